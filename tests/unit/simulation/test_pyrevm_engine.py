"""Every trap of pyrevm that changes a result. Expected gas follows from the EIPs' tables, not from an engine."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from operators.simulation.engine import Refusal, UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH, keccak
from operators.simulation.model import ABSENT, AccountView, BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from schemas.opportunities import VerdictKind
from schemas.pools import AccountSlots

SENDER, TARGET, OTHER, COINBASE = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20, b"\xc0" * 20
GWEI, ETHER = 10**9, 10**18
BASE_FEE = 10 * GWEI

ENV = BlockEnv(
    chain_id=59_144, number=100, timestamp=1_700_000_000, coinbase=COINBASE, base_fee=BASE_FEE, gas_limit=30_000_000,
    prevrandao=b"\x07" * 32, difficulty=0, excess_blob_gas=0, fork="Cancun",
)  # fmt: skip
TX = Transaction(SENDER, TARGET, 5, 0, b"", 1_000_000, 12 * GWEI, GWEI)
ENGINE = PyrevmEngine()


def word(value):
    return value.to_bytes(32, "big")


def witness(code="", slots=None, other="", other_slots=None, balance=10 * ETHER):
    known = Witness(
        {SENDER: AccountView(5, balance, EMPTY_CODE_HASH, {}), COINBASE: AccountView(1, 1, EMPTY_CODE_HASH, {})}, {}
    )
    for address, text, storage in ((TARGET, code, slots), (OTHER, other, other_slots)):
        slots_ = {word(k): word(v) for k, v in (storage or {}).items()}
        known.accounts[address] = AccountView(1, 0, known.add_code(bytes.fromhex(text)), slots_)
    return known


def run(known, tx=TX, env=ENV, **kw):
    return ENGINE.execute_each(known, env, [tx], **kw)[0]


def returned(code, known=None, tx=TX, env=ENV, **fields):
    """What a contract sees: runs `code`, which leaves one word on the stack, and returns that word."""
    verdict = run(witness(code + "60005260206000f3", **fields), tx, env)
    assert verdict.kind is VerdictKind.SUCCESS, verdict
    return int.from_bytes(verdict.output, "big")


# ---- storage is cold and original


@pytest.mark.parametrize(
    ("before", "after", "gas", "refund"),
    [
        (0, 0, 2_200, 0),  # EIP-2929: 2100 cold, 100 no change
        (0, 1, 22_100, 0),
        (1, 1, 2_200, 0),
        (1, 2, 5_000, 0),
        (1, 0, 5_000, 4_800),  # EIP-3529
    ],
)
def test_each_of_several_slots_is_cold_with_its_original_value(before, after, gas, refund):
    code = "".join(f"60{after:02x}60{slot:02x}55" for slot in range(3)) + "00"
    spent = 21_000 + 3 * (6 + gas)
    verdict = run(witness(code, dict.fromkeys(range(3), before)))
    assert verdict.gas_used == spent - min(3 * refund, spent // 5)


def test_loads_are_cold_once_and_warm_after():
    assert (
        run(witness("6000545060005450" + "60015450" + "00", {0: 1, 1: 1})).gas_used == 21_000 + 3 * 5 + 2 * 2_100 + 100
    )


def test_nothing_leaks_from_one_transaction_into_the_next():
    known = witness("60005460010160005560aa60005d00", {0: 1})
    execution = ENGINE.execute(known, ENV, [TX, replace(TX, nonce=6)])
    assert execution.verdicts[0].gas_used == execution.verdicts[1].gas_used
    assert execution.post.accounts[TARGET].slots == {word(0): word(3)}
    assert known.accounts[TARGET].slots == {word(0): word(1)}
    first, second = ENGINE.execute_each(known, ENV, [TX, TX])
    assert first == second == execution.verdicts[0]


def test_the_access_list_is_warm_and_paid_for():
    known = witness("60005400", {0: 1})
    listed = replace(TX, access_list=((TARGET, (word(0),)),))
    assert run(known, listed).gas_used == 21_000 + 2_400 + 1_900 + 3 + 100


@pytest.mark.parametrize(
    ("fork", "quotient", "refund"), [("Berlin", 2, 15_000), ("London", 5, 4_800), ("Cancun", 5, 4_800)]
)
def test_refunds_are_capped(fork, quotient, refund):
    code = "".join(f"600060{slot:02x}55" for slot in range(8)) + "00"
    spent = 21_000 + 8 * (6 + 5_000)
    env = replace(ENV, fork=fork, base_fee=0 if fork == "Berlin" else BASE_FEE)
    tx = replace(TX, tx_type=0, max_fee=12 * GWEI, priority_fee=12 * GWEI)
    verdict = run(witness(code, dict.fromkeys(range(8), 1)), tx, env)
    assert verdict.gas_used == spent - min(spent // quotient, 8 * refund)


# ---- what is not known is refused by name


def test_a_missing_slot_is_named():
    verdict = run(witness("6007545000", {0: 1}))
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Refusal.MISSING_SLOT)
    assert word(7).hex() in verdict.detail and TARGET.hex() in verdict.detail


def test_a_missing_slot_is_named_though_the_call_that_reads_it_reverts():
    inner = "600754" + "60006000fd"
    outer = f"6000600060006000600073{OTHER.hex()}5af1" + "00"
    verdict = run(witness(outer, other=inner))
    assert verdict.reason == Refusal.MISSING_SLOT and word(7).hex() in verdict.detail


def test_a_missing_account_is_named_or_absent_by_choice():
    known = witness(f"73{'dd' * 20}3100")
    verdict = run(known)
    assert verdict.reason == Refusal.MISSING_ACCOUNT and "dd" * 20 in verdict.detail
    assert run(known, unknown=UnknownAccounts.ABSENT).gas_used == 21_000 + 3 + 2_600
    known.mark_absent([b"\xdd" * 20])
    assert run(known).gas_used == 21_000 + 3 + 2_600


def test_a_missing_code_is_named():
    known = witness("00")
    known.codes.clear()
    known.add_code(b"")
    assert run(known).reason == Refusal.MISSING_CODE


def test_a_missing_recipient_is_refused():
    known = witness()
    del known.accounts[TARGET]
    assert run(known).reason == Refusal.MISSING_ACCOUNT
    assert run(known, unknown=UnknownAccounts.ABSENT).gas_used == 21_000


def test_needs_are_checked_before_anything_runs():
    known = witness("00", {0: 1})
    needs = (AccountSlots(TARGET, (word(0), word(1))),)
    assert run(known, needs=[needs]).reason == Refusal.MISSING_SLOT
    assert ENGINE.execute(known, ENV, [TX], needs).verdicts[0].reason == Refusal.MISSING_SLOT
    assert run(known, needs=[(AccountSlots(b"\xdd" * 20, ()),)]).reason == Refusal.MISSING_ACCOUNT
    assert run(known, needs=[(AccountSlots(TARGET, (word(0),)),)]).kind is VerdictKind.SUCCESS


def test_precompiles_need_no_witness():
    assert returned("602060006000600060006004" + "5af1") == 1


def test_an_unknown_coinbase_does_not_matter_until_it_does():
    known = witness("00")
    del known.accounts[COINBASE]
    assert run(known).kind is VerdictKind.SUCCESS
    assert COINBASE not in ENGINE.execute(known, ENV, [TX]).post.accounts
    reads = witness("413160005260206000f3")
    del reads.accounts[COINBASE]
    assert run(reads).reason == Refusal.UNSUPPORTED_OPCODE


# ---- rules


@pytest.mark.parametrize("fork", ["CANCUN", "cancun", "LATEST", "Osaka", ""])
def test_an_unknown_fork_is_refused(fork):
    assert run(witness("00"), env=replace(ENV, fork=fork)).reason == Refusal.UNSUPPORTED_FORK


def test_rules_follow_the_fork():
    push0 = witness("5f00")
    assert run(push0, env=replace(ENV, fork="Merge")).kind is VerdictKind.HALTED
    assert run(push0, env=replace(ENV, fork="Shanghai")).kind is VerdictKind.SUCCESS


def test_the_calldata_floor_is_paid_and_asked_for_in_prague():
    known, tx, env = witness("00"), replace(TX, data=b"\1" * 100), replace(ENV, fork="Prague")
    assert run(known, tx).gas_used == 21_000 + 1_600
    assert run(known, tx, env).gas_used == 21_000 + 4_000
    assert run(known, replace(tx, gas_limit=24_999), env).reason == Refusal.INTRINSIC_GAS


def test_what_prague_adds_is_refused_where_it_is_met():
    env = replace(ENV, fork="Prague")
    assert run(witness("00"), replace(TX, tx_type=4), env).reason == Refusal.UNSUPPORTED_TRANSACTION
    delegated = f"6000600060006000600073{OTHER.hex()}5af100"
    assert run(witness(delegated, other="ef0100" + "dd" * 20), env=env).reason == Refusal.DELEGATED_ACCOUNT
    bls = "60006000600060006000600b5af100"
    assert run(witness(bls), env=env).reason == Refusal.UNSUPPORTED_PRECOMPILE
    assert run(witness(bls), unknown=UnknownAccounts.ABSENT).kind is VerdictKind.SUCCESS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nonce": 4}, Refusal.NONCE_TOO_LOW),
        ({"nonce": 6}, Refusal.NONCE_TOO_HIGH),
        ({"max_fee": BASE_FEE - 1, "priority_fee": 0}, Refusal.FEE_BELOW_BASE),
        ({"priority_fee": 13 * GWEI}, Refusal.PRIORITY_ABOVE_MAX),
        ({"value": 10 * ETHER}, Refusal.INSUFFICIENT_FUNDS),
        ({"gas_limit": 20_999}, Refusal.INTRINSIC_GAS),
        ({"gas_limit": 30_000_001}, Refusal.GAS_ABOVE_BLOCK_LIMIT),
        ({"gas_limit": 1 << 64}, Refusal.OUT_OF_RANGE),
        ({"value": 1 << 256}, Refusal.OUT_OF_RANGE),
        ({"to": b"", "data": b"\0" * 49_153}, Refusal.INITCODE_TOO_LARGE),
        ({"tx_type": 4}, Refusal.UNSUPPORTED_TRANSACTION),
        ({"sender": TARGET, "nonce": 1}, Refusal.SENDER_HAS_CODE),
        ({"sender": b"\xdd" * 20}, Refusal.MISSING_ACCOUNT),
    ],
)
def test_transactions_no_block_could_hold(change, reason):
    verdict = run(witness("00"), replace(TX, **change))
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, reason)


# ---- what contracts see


def test_the_block_and_the_transaction_as_a_contract_sees_them():
    assert returned("46") == 59_144  # CHAINID
    assert returned("45") == 30_000_000  # GASLIMIT
    assert returned("3a") == 11 * GWEI  # GASPRICE: base fee and tip
    assert returned("44") == int.from_bytes(b"\x07" * 32, "big")
    assert returned("43") == 100
    assert returned("42") == 1_700_000_000


def test_base_fee_is_the_block_s():
    assert returned("48") == BASE_FEE
    # ... also where every likely stand-in is in use, as long as one is free.
    assert returned("4450" + "4650" + "48") == BASE_FEE


def test_base_fee_costs_what_it_costs():
    assert run(witness("485000")).gas_used == 21_000 + 2 + 2


def test_base_fee_in_a_code_that_copies_itself():
    copies = "6020600060003960206000f3"
    # Copies its first byte only, not the instruction: two stand-ins agree.
    assert returned("60016000600039" + "48") == BASE_FEE
    # Copies the instruction, and the base fee does not matter: the code as it is.
    assert run(witness("4850" + copies)).output == bytes.fromhex("4850" + copies).ljust(32, b"\0")
    # Copies the instruction, and the base fee matters: no stand-in is safe.
    assert run(witness("48600055" + copies, {0: 0})).reason == Refusal.UNSUPPORTED_OPCODE


def test_block_hash_is_refused_where_it_is_reached():
    assert run(witness("606340")).reason == Refusal.UNSUPPORTED_OPCODE
    assert run(witness("00606340")).kind is VerdictKind.SUCCESS
    assert returned("606540") == 0  # not an earlier block: zero by definition


def test_the_sender_s_balance_is_shown_with_the_gas_paid():
    assert returned("3331") == 10 * ETHER - 1_000_000 * 11 * GWEI
    verdict = run(witness("333160005260206000f3", balance=12 * 10**15 + 1))
    assert verdict.reason == Refusal.UNSUPPORTED_OPCODE


# ---- money


def test_fees_nonce_and_tip_are_carried():
    known = witness("60006000fd")
    execution = ENGINE.execute(known, ENV, [TX, replace(TX, nonce=6, to=OTHER, value=7)])
    reverted, sent = execution.verdicts
    gas = reverted.gas_used + sent.gas_used
    assert (reverted.gas_used, sent.gas_used) == (21_006, 21_000)
    accounts = execution.post.accounts
    assert accounts[SENDER][:2] == (7, 10 * ETHER - gas * 11 * GWEI - 7)
    assert accounts[OTHER].balance == 7
    assert accounts[COINBASE].balance == 1 + gas * GWEI
    assert known.accounts[SENDER].nonce == 5


def test_a_created_contract_can_be_called_next():
    # Constructor: SSTORE(0, 1), return the code PUSH1 0 SLOAD PUSH1 1 SLOAD ADD ... as 0x60005460015401600052 60206000f3.
    runtime = "6000546001540160005260206000f3"
    size = len(runtime) // 2
    initcode = f"600160005560{size:02x}6011600039" + f"60{size:02x}6000f3" + runtime
    offset = (len(initcode) - len(runtime)) // 2
    initcode = initcode.replace("6011600039", f"60{offset:02x}600039")
    known = witness()
    create = replace(TX, to=b"", data=bytes.fromhex(initcode))
    first = ENGINE.execute(known, ENV, [create], unknown=UnknownAccounts.ABSENT)
    (made,) = first.verdicts
    assert made.kind is VerdictKind.SUCCESS and len(made.output) == 20
    view = first.post.accounts[made.output]
    assert view == AccountView(1, 0, keccak(bytes.fromhex(runtime)), {word(0): word(1)}, complete=True)
    assert first.post.accounts[SENDER][:2] == (6, 10 * ETHER - made.gas_used * 11 * GWEI)
    assert first.post.accounts[COINBASE].balance == 1 + made.gas_used * GWEI
    called = ENGINE.execute(first.post, ENV, [replace(TX, nonce=6, to=made.output)]).verdicts[0]
    assert called.output == word(1)  # slot 1 is zero, known by implication


def test_self_destruct_before_cancun_removes_the_account():
    known = witness(f"73{OTHER.hex()}ff", {0: 1})
    known.accounts[TARGET] = known.accounts[TARGET]._replace(balance=9)
    old = ENGINE.execute(known, replace(ENV, fork="Shanghai"), [TX]).post.accounts
    new = ENGINE.execute(known, ENV, [TX]).post.accounts
    assert old[TARGET] == ABSENT and old[OTHER].balance == 9
    assert new[TARGET].slots == {word(0): word(1)} and new[TARGET].balance == 0 and new[OTHER].balance == 9


# ---- endings


def test_endings():
    reverted = run(witness("6000600052" + "60046000fd"))
    assert (reverted.kind, reverted.reason, reverted.output) == (VerdictKind.REVERTED, "unknown_error", bytes(4))
    halted = run(witness("fe"))
    assert (halted.kind, halted.reason, halted.gas_used) == (VerdictKind.HALTED, "InvalidFEOpcode", 1_000_000)
    assert run(witness("5b600056")).reason.startswith("OutOfGas")


def test_logs():
    code = "60aa600052" + "60076020600" + "0a1" + "00"
    execution = ENGINE.execute(witness(code), ENV, [TX, replace(TX, nonce=6)])
    first, second = (verdict.logs[0] for verdict in execution.verdicts)
    assert (first.address, first.topics, first.data) == (TARGET, (word(7),), word(0xAA))
    assert (first.tx_index, first.log_index, second.tx_index, second.log_index) == (0, 0, 1, 1)


def test_after_a_refusal_nothing_is_known():
    execution = ENGINE.execute(witness("00"), ENV, [TX, replace(TX, nonce=9), replace(TX, nonce=6)])
    assert [v.reason for v in execution.verdicts] == ["", Refusal.NONCE_TOO_HIGH, Refusal.PRECEDING_REFUSED]
    assert execution.post.accounts[SENDER].nonce == 6


def test_the_answer_does_not_depend_on_the_order_of_the_witness():
    known = witness("600054600154016000556003545000", {0: 1, 1: 2, 2: 3, 3: 4}, other="00", other_slots={5: 6, 4: 4})
    turned = Witness(
        {a: v._replace(slots=dict(reversed(v.slots.items()))) for a, v in reversed(known.accounts.items())},
        dict(reversed(known.codes.items())),
    )
    answers = []
    for each in (known, turned, pickle.loads(pickle.dumps(known))):
        execution = PyrevmEngine().execute(each, ENV, [TX])
        answers.append((execution.verdicts, execution.post.to_states()))
    assert answers[0] == answers[1] == answers[2]
