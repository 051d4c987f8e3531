"""What both engines answer alike behind the seam: packed states, balance changes, touched slots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operators.simulation.engine import Refusal
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.holdings import NATIVE, BalanceChange, Holding
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.packed import BadPackedWitness, PackedState, pack, pack_states, unpack
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from operators.simulation.verdict import Report
from schemas.opportunities import VerdictKind
from schemas.witness import AccountState

SENDER, TOKEN, FRIEND, COINBASE = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20, b"\xc0" * 20
GWEI, ETHER = 10**9, 10**18
ENV = BlockEnv(
    chain_id=1, number=100, timestamp=1_800_000_000, coinbase=COINBASE, base_fee=GWEI, gas_limit=30_000_000,
    prevrandao=b"\x07" * 32, difficulty=0, excess_blob_gas=0, fork="Cancun",
)  # fmt: skip
#: `balanceOf(a)` is the slot of `a`; any other call takes `calldata[36:68]` off the caller's slot and adds one unit less to that of
#: `calldata[4:36]`, without a log: what a token says and what it does are two things.
TOKEN_CODE = bytes.fromhex(
    "5f3560e01c6370a0823114602657"  # selector == balanceOf(address) -> 0x26
    + "60243533540333556001"  # sstore(caller, sload(caller) - v)
    + "6024350360043554016004355500"  # sstore(to, sload(to) + (v - 1))
    + "5b600435545f5260205ff3"  # 0x26: return sload(a)
)


@pytest.fixture(params=["revm", "pyrevm"], scope="module")
def engine(request):
    if request.param == "revm" and not available():
        pytest.skip("the extension sluice_evm is not built")
    return RevmEngine() if request.param == "revm" else PyrevmEngine()


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def state() -> Witness:
    known = Witness({}, {})
    slots = {word(SENDER): word(1000), word(FRIEND): word(5), word(COINBASE): word(0)}
    known.accounts[TOKEN] = AccountView(1, 0, known.add_code(TOKEN_CODE), slots)
    known.accounts[SENDER] = AccountView(0, ETHER, EMPTY_CODE_HASH, {})
    known.accounts[COINBASE] = AccountView(1, 1, EMPTY_CODE_HASH, {})
    return known


def pay(amount: int, nonce: int = 0, gas_limit: int = 100_000) -> Transaction:
    data = b"\x01\x02\x03\x04" + word(FRIEND) + word(amount)
    return Transaction(SENDER, TOKEN, nonce, 0, data, gas_limit, 2 * GWEI, GWEI)


# -------------------------------------------------------------------- packed states


def packed(known: Witness) -> PackedState:
    return PackedState((pack_states(known.to_states()),), known.codes)


def test_a_packed_state_is_executed_like_the_witness_it_holds(engine):
    known = state()
    plain, from_bytes = (engine.execute(given, ENV, [pay(7), pay(8, 1)]) for given in (known, packed(known)))
    assert from_bytes.verdicts == plain.verdicts and plain.verdicts[1].kind is VerdictKind.SUCCESS
    assert from_bytes.post.accounts == plain.post.accounts
    assert engine.execute_each(packed(known), ENV, [pay(7)]) == engine.execute_each(known, ENV, [pay(7)])


def test_later_layers_win(engine):
    known = state()
    over = Witness({SENDER: AccountView(4, ETHER, EMPTY_CODE_HASH, {})}, {})
    layered = PackedState((*packed(known).layers, pack(over)), known.codes)
    assert engine.execute_each(layered, ENV, [pay(7, 4)])[0].kind is VerdictKind.SUCCESS
    assert engine.execute_each(layered, ENV, [pay(7, 0)])[0].reason == Refusal.NONCE_TOO_LOW


def test_a_code_that_is_not_known_is_refused(engine):
    # A new engine: codes are content-addressed, so one that has seen this code before may use it.
    verdict = type(engine)().execute_each(PackedState(packed(state()).layers, {}), ENV, [pay(7)])[0]
    assert verdict.kind is VerdictKind.REFUSED and verdict.reason == Refusal.MISSING_CODE


def test_bytes_that_are_no_packed_witness_are_a_refusal(engine):
    bad = PackedState((packed(state()).layers[0][:-1],), state().codes)
    for verdict in (*engine.execute(bad, ENV, [pay(7), pay(8)]).verdicts[:1], *engine.execute_each(bad, ENV, [pay(7)])):
        assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Refusal.BAD_WITNESS)
    report = Report((Holding(TOKEN, SENDER),))
    assert engine.execute_each(bad, ENV, [pay(7)], report=report)[0].reason == Refusal.BAD_WITNESS


def test_records_are_packed_as_they_are():
    known = state()
    assert unpack(pack_states(known.to_states())).accounts == known.accounts
    assert pack_states(known.to_states()) == pack(Witness(known.accounts, {}))


@pytest.mark.parametrize(
    "accounts",
    [
        (AccountState(SENDER, None, bytes(32), EMPTY_CODE_HASH, b""),),
        (AccountState(SENDER, 0, bytes(32), EMPTY_CODE_HASH, word(2) * 2 + word(1) * 2),),
        (AccountState(TOKEN, 0, bytes(32), EMPTY_CODE_HASH, b""), AccountState(SENDER, 0, bytes(32), EMPTY_CODE_HASH, b"")),
    ],
    ids=["known in part", "slots out of order", "accounts out of order"],
)  # fmt: skip
def test_what_is_no_whole_state_is_not_packed(accounts):
    with pytest.raises(BadPackedWitness):
        pack_states(accounts)


# -------------------------------------------------------------------- reports


def test_balances_are_what_the_token_answers_not_what_it_says(engine):
    holdings = (Holding(TOKEN, SENDER), Holding(TOKEN, FRIEND), Holding(NATIVE, SENDER))
    verdict = engine.execute_each(state(), ENV, [pay(7)], report=Report(holdings))[0]
    assert verdict.kind is VerdictKind.SUCCESS and not verdict.logs
    sold, bought, paid = verdict.balances
    assert sold == BalanceChange(TOKEN, SENDER, 1000, 993) and bought.change == 6
    assert paid.change == -verdict.gas_used * verdict.effective_gas_price


def test_balances_follow_transactions_in_order(engine):
    report = Report((Holding(TOKEN, FRIEND),))
    first, second = engine.execute(state(), ENV, [pay(7), pay(10, 1)], report=report).verdicts
    assert [(v.balances[0].before, v.balances[0].after) for v in (first, second)] == [(5, 11), (11, 20)]


def test_a_report_changes_nothing_else(engine):
    txs = [pay(7), pay(8, 1), pay(9, 9), pay(1, 2)]
    plain = engine.execute(state(), ENV, txs)
    told = engine.execute(state(), ENV, txs, report=Report((Holding(TOKEN, SENDER),)))
    assert tuple(v._replace(balances=()) for v in told.verdicts) == plain.verdicts
    assert told.post.accounts == plain.post.accounts
    assert [v.reason for v in plain.verdicts[2:]] == [Refusal.NONCE_TOO_HIGH, Refusal.PRECEDING_REFUSED]


def test_a_balance_that_the_state_does_not_tell_is_unknown(engine):
    stranger = Holding(TOKEN, b"\x77" * 20)
    verdict = engine.execute_each(state(), ENV, [pay(7)], report=Report((stranger, Holding(NATIVE, stranger.account))))[
        0
    ]
    assert [(c.before, c.after, c.change) for c in verdict.balances] == [(None, None, None)] * 2


def test_a_failed_transaction_costs_its_gas(engine):
    tx = pay(7, gas_limit=21_700)
    verdict = engine.execute_each(state(), ENV, [tx], report=Report((Holding(NATIVE, SENDER), Holding(TOKEN, SENDER))))[
        0
    ]
    assert verdict.kind is VerdictKind.HALTED
    assert verdict.balances[0].change == -21_700 * verdict.effective_gas_price and verdict.balances[1].change == 0


def test_touched_slots_of_successes_are_told(engine):
    report = Report(touched=True)
    (verdict,) = engine.execute_each(state(), ENV, [pay(7)], report=report)
    found = {(slot.address, slot.key): (slot.before, slot.after) for slot in verdict.touched or ()}
    assert found == {(TOKEN, word(SENDER)): (word(1000), word(993)), (TOKEN, word(FRIEND)): (word(5), word(11))}
    assert engine.execute(state(), ENV, [pay(7)], report=report).verdicts == (verdict,)
    refused = engine.execute_each(state(), replace(ENV, base_fee=ETHER), [pay(7)], report=report)[0]
    assert refused.touched is None
