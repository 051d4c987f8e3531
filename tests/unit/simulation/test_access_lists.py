"""Access lists: built from what is touched, kept where the transaction is then cheaper, the same from both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operators.market.messages import Candidate, SimulationInput
from operators.simulation.access_lists import TOUCHED, Executed, access_list_of, cheapest
from operators.simulation.engine import Case, Engine
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccessList, AccountView, BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from operators.simulation.step import simulate
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind

OWNER, EXECUTOR, FIRST, SECOND, COINBASE = b"\xaa" * 20, b"\xee" * 20, b"\xb1" * 20, b"\xb2" * 20, b"\xc0" * 20
GWEI, ETHER = 10**9, 10**18
ENV = BlockEnv(
    chain_id=1, number=100, timestamp=1_800_000_000, coinbase=COINBASE, base_fee=GWEI, gas_limit=30_000_000,
    prevrandao=b"\x07" * 32, difficulty=0, excess_blob_gas=0, fork="Cancun",
)  # fmt: skip


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


#: Reads slot 7 of its own and calls both contracts.
EXECUTOR_CODE = bytes.fromhex(
    "60075450" + "".join(f"5f5f5f5f5f73{address.hex()}5af150" for address in (FIRST, SECOND)) + "00"
)
#: Reads slots 2 and 1, then writes slot 1.
READER_CODE = bytes.fromhex("600254506001546001016001555f5ff3")
#: Writes slot 3 without reading it.
WRITER_CODE = bytes.fromhex("600560035500")
#: The accounts and slots of FIRST and SECOND, 100 each; the slot that is only written is charged as a cold one all the same, and 200.
WHOLE: AccessList = ((FIRST, (word(1), word(2))), (SECOND, (word(3),)))
SAVED = 2 * 100 + 2 * 100 + 200


@pytest.fixture(params=["revm", "revm on two threads", "pyrevm"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "pyrevm":
        return PyrevmEngine()
    if not available():
        pytest.skip("the extension sluice_evm is not built")
    return RevmEngine(threads=2 if "two" in request.param else 1)


def state() -> Witness:
    known = Witness({}, {})
    slots = {
        EXECUTOR: {word(7): word(1)},
        FIRST: {word(1): word(5), word(2): word(6)},
        SECOND: {word(3): word(9)},
    }
    for address, code in ((EXECUTOR, EXECUTOR_CODE), (FIRST, READER_CODE), (SECOND, WRITER_CODE)):
        known.accounts[address] = AccountView(1, 0, known.add_code(code), slots[address])
    known.accounts[OWNER] = AccountView(0, ETHER, EMPTY_CODE_HASH, {})
    known.accounts[COINBASE] = AccountView(1, 1, EMPTY_CODE_HASH, {})
    return known


def case(env: BlockEnv = ENV, data: bytes = b"", **changes: object) -> Case:
    tx = Transaction(OWNER, EXECUTOR, 0, 0, data, 200_000, 2 * GWEI, GWEI)
    return Case(state(), env, replace(tx, **changes))  # type: ignore[arg-type]


def both(engine: Engine, *cases: Case) -> tuple[list[Verdict], list[Verdict]]:
    """Without a list, and what is kept where as much is left of all."""
    told = engine.execute_cases(cases, report=TOUCHED)
    executed = [
        Executed(one, verdict, verdict.gas_used * one.env.base_fee) for one, verdict in zip(cases, told, strict=True)
    ]
    return engine.execute_cases(cases), cheapest(engine, executed)


def test_all_that_was_touched_is_listed_and_spared(engine: Engine) -> None:
    (without,), (kept,) = both(engine, case())
    assert without.kind is VerdictKind.SUCCESS and without.gas_used - kept.gas_used == SAVED
    assert kept.access_list == WHOLE
    listed = case(access_list=WHOLE)
    (again,) = engine.execute_cases([listed])
    assert again == kept._replace(access_list=())


def test_what_is_warm_from_the_start_is_not_listed(engine: Engine) -> None:
    (verdict,) = engine.execute_cases([case()], report=TOUCHED)
    assert verdict.touched is not None
    assert {slot.address for slot in verdict.touched} == {EXECUTOR, FIRST, SECOND}
    assert access_list_of(case().tx, ENV, verdict.touched) == WHOLE
    assert access_list_of(case().tx, replace(ENV, coinbase=FIRST), verdict.touched) == WHOLE[1:]


def test_a_list_that_spares_nothing_is_not_kept(engine: Engine) -> None:
    """Where the floor of the calldata (EIP-7623) is what is paid, it is paid with and without."""
    (without,), (kept,) = both(engine, case(replace(ENV, fork="Prague"), b"\xff" * 4_000, gas_limit=300_000))
    assert without.kind is VerdictKind.SUCCESS and without.gas_used == 21_000 + 40 * 4_000
    assert kept == without


def test_what_carries_no_list_or_fails_is_left_as_it_is(engine: Engine) -> None:
    cases = [
        case(tx_type=0, max_fee=2 * GWEI, priority_fee=2 * GWEI),
        case(gas_limit=30_000),
        case(nonce=1),
        case(),
        case(to=OWNER, sender=OWNER),
    ]
    without, kept = both(engine, *cases)
    assert [verdict.kind for verdict in without] == [
        VerdictKind.SUCCESS, VerdictKind.HALTED, VerdictKind.REFUSED, VerdictKind.SUCCESS, VerdictKind.SUCCESS,
    ]  # fmt: skip
    assert [bool(verdict.access_list) for verdict in kept] == [False, False, False, True, False]
    assert [k for k in kept if not k.access_list] == [
        w for w, k in zip(without, kept, strict=True) if not k.access_list
    ]


def test_only_what_may_become_the_best_is_tried(engine: Engine) -> None:
    """The bound is what a list spares at most, so whoever is left out could not have been chosen."""
    cases = [case() for _ in range(5)]
    told = engine.execute_cases(cases, report=TOUCHED)
    most = (2 * 100 + 3 * 200) * ENV.base_fee
    gross = [10**15, 10**15 - most, 10**15 - most - 1, 0, 10**15]
    executed = [Executed(*one) for one in zip(cases, told, gross, strict=True)]
    kept = cheapest(engine, [*executed, Executed(case(nonce=1), engine.execute_cases([case(nonce=1)])[0], 10**18)])
    assert [bool(verdict.access_list) for verdict in kept] == [True, True, False, False, True, False]
    assert kept[2] == engine.execute_cases([cases[2]])[0]
    assert cheapest(engine, []) == []


def test_the_step_lists_where_it_is_told_to(engine: Engine) -> None:
    candidates = tuple(
        Candidate(index, one.tx, one.env, one.witness, (), "hint_not_simulable" if index == 1 else "")
        for index, one in enumerate([case(), case(), case(gas_limit=30_000), case()])
    )
    message = SimulationInput(7, 0, candidates, (0,) * len(candidates))
    plain = dict(simulate(engine, message).verdicts)
    listed = dict(simulate(engine, message, access_lists=True).verdicts)
    assert list(plain) == list(listed) == [0, 1, 2, 3]
    assert [listed[index] == plain[index] for index in range(4)] == [False, True, True, False]
    assert listed[0].access_list == listed[3].access_list == WHOLE
    assert listed[0].touched is None


def test_the_engines_keep_the_same() -> None:
    if not available():
        pytest.skip("the extension sluice_evm is not built")
    cases = [case(), case(replace(ENV, fork="Prague")), case(gas_limit=30_000)]
    assert both(RevmEngine(), *cases) == both(PyrevmEngine(), *cases) == both(RevmEngine(threads=3), *cases)
