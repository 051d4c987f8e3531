"""Engine `revm` behind the seam: rules that pyrevm does not have, input that fits nowhere, budgets, packed witnesses."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from operators.simulation.engine import Refusal, UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import ABSENT, AccountView, Authorization, BlockEnv, Transaction, Witness
from operators.simulation.packed import BadPackedWitness, PackedState, pack, unpack
from operators.simulation.revm_engine import Budget, RevmEngine, SystemCallRefused, available
from schemas.opportunities import VerdictKind
from schemas.pools import AccountSlots

pytestmark = pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")

SENDER, TARGET, OTHER, COINBASE = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20, b"\xc0" * 20
GWEI, ETHER = 10**9, 10**18
ENV = BlockEnv(
    chain_id=1, number=100, timestamp=1_800_000_000, coinbase=COINBASE, base_fee=GWEI, gas_limit=30_000_000,
    prevrandao=b"\x07" * 32, difficulty=0, excess_blob_gas=0, fork="Osaka",
)  # fmt: skip
TX = Transaction(SENDER, TARGET, 0, 0, b"", 1_000_000, 2 * GWEI, GWEI)


@pytest.fixture(scope="module")
def engine():
    return RevmEngine()


def word(value):
    return value.to_bytes(32, "big")


def witness(code="", slots=()):
    known = Witness({}, {})
    known.accounts[SENDER] = AccountView(0, ETHER, EMPTY_CODE_HASH, {})
    known.accounts[COINBASE] = AccountView(1, 1, EMPTY_CODE_HASH, {})
    storage = {word(key): word(value) for key, value in dict(slots).items()}
    known.accounts[TARGET] = AccountView(1, 0, known.add_code(bytes.fromhex(code)), storage)
    return known


def run(engine, known, tx=TX, env=ENV, **kw):
    return engine.execute_each(known, env, [tx], **kw)[0]


def test_the_engine_names_its_release(engine):
    assert engine.name == "revm 43.0.3"


def test_the_newest_instruction_is_there_and_only_under_its_fork(engine):
    known = witness("60011e" + "5f5260205ff3")  # CLZ (EIP-7939)
    assert int.from_bytes(run(engine, known).output, "big") == 255
    assert run(engine, known, env=replace(ENV, fork="Prague")).kind is VerdictKind.HALTED


def test_calldata_costs_its_floor_from_prague_on(engine):
    tx = replace(TX, data=b"\x01" * 100)
    assert run(engine, witness(), tx).gas_used == 21_000 + 100 * 40
    assert run(engine, witness(), tx, replace(ENV, fork="Cancun")).gas_used == 21_000 + 100 * 16


def test_an_authorization_with_an_invalid_signature_is_skipped_and_paid_for(engine):
    tx = replace(TX, tx_type=4, authorizations=(Authorization(0, OTHER, 0, 9, 1, 1),))
    assert run(engine, witness(), tx).gas_used == 21_000 + 25_000
    assert run(engine, witness(), replace(TX, tx_type=4)).reason == Refusal.UNSUPPORTED_TRANSACTION


def test_block_hashes_are_those_given(engine):
    known = witness("606340" + "5f5260205ff3")
    assert run(engine, known).reason == Refusal.MISSING_BLOCK_HASH
    assert run(engine, known, env=replace(ENV, block_hashes={99: b"\x09" * 32})).output == b"\x09" * 32


@pytest.mark.parametrize("fork", ["", "osaka", "OSAKA", "Paris", "Amsterdam", "Latest"])
def test_an_unknown_fork_is_refused(engine, fork):
    env = replace(ENV, fork=fork)
    assert run(engine, witness(), env=env).reason == Refusal.UNSUPPORTED_FORK
    execution = engine.execute(witness(), env, [TX, TX])
    assert [verdict.reason for verdict in execution.verdicts] == ["unsupported_fork", "preceding_refused"]


@pytest.mark.parametrize(
    "change",
    [
        {"value": -1}, {"value": 1 << 256}, {"nonce": -1}, {"nonce": 1 << 64}, {"gas_limit": 1 << 64}, {"max_fee": -1},
        {"max_fee": 1 << 128}, {"tx_type": 256}, {"tx_type": -1}, {"sender": b"\x01" * 19}, {"to": b"\x01" * 21},
        {"access_list": ((b"\x01", ()),)}, {"blob_hashes": (b"\x01",), "tx_type": 3}, {"max_blob_fee": 1 << 128},
        {"authorizations": ((1, 2, 3),), "tx_type": 4}, {"nonce": 1.5}, {"data": "0x"}, {"value": None},
    ],
)  # fmt: skip
def test_a_transaction_that_cannot_be_expressed_is_refused(engine, change):
    bad = replace(TX, **change)
    verdicts = engine.execute_each(witness(), ENV, [TX, bad, TX])
    assert [verdict.reason for verdict in verdicts] == ["", Refusal.OUT_OF_RANGE, ""]
    assert verdicts[1].detail
    execution = engine.execute(witness(), ENV, [TX, bad, replace(TX, nonce=1)])
    assert [v.reason for v in execution.verdicts] == ["", Refusal.OUT_OF_RANGE, Refusal.PRECEDING_REFUSED]
    assert execution.post.accounts[SENDER].nonce == 1


@pytest.mark.parametrize("change", [{"number": -1}, {"base_fee": 1 << 64}, {"coinbase": b""}, {"excess_blob_gas": 1 << 63},
                                    {"block_hashes": {1: b"\x01"}}, {"prevrandao": b"\x01"}])  # fmt: skip
def test_a_block_that_cannot_be_expressed_is_refused(engine, change):
    assert run(engine, witness(), env=replace(ENV, **change)).reason == Refusal.OUT_OF_RANGE


def test_a_code_with_another_hash_is_an_error(engine):
    known = witness("00")
    known.codes = dict.fromkeys(known.codes, b"\x01\x02\x03")
    with pytest.raises(ValueError, match="hashes to"):
        run(RevmEngine(), known)


def test_needs_are_checked_before_anything_runs(engine):
    needs = (AccountSlots(address=TARGET, keys=(word(5),)),)
    assert run(engine, witness("00"), needs=[needs]).reason == Refusal.MISSING_SLOT
    assert run(engine, witness("00", {5: 1}), needs=[needs]).kind is VerdictKind.SUCCESS
    assert engine.execute(witness("00"), ENV, [TX], needs=needs).verdicts[0].reason == Refusal.MISSING_SLOT


def test_a_bomb_costs_its_own_candidate():
    engine = RevmEngine(threads=2, budget=Budget(gas=1 << 50, milliseconds=50))
    known = witness("5f35600657005b600656")  # loops for ever if calldata is not zero
    env = replace(ENV, gas_limit=1 << 60, base_fee=0, fork="Cancun")
    fine = replace(TX, max_fee=0, priority_fee=0)
    bomb = replace(fine, data=b"\x01" * 32, gas_limit=1 << 50)
    verdicts = engine.execute_each(known, env, [fine, bomb, fine, replace(bomb, gas_limit=1 << 51), fine])
    assert [verdict.reason for verdict in verdicts] == ["", Refusal.TIME_BUDGET, "", Refusal.GAS_BUDGET, ""]


def test_effects_name_changed_slots_and_balances(engine):
    known = witness("5f5460015500", {0: 7, 1: 3})
    _, (effects, nothing) = engine.execute_with_effects(known, ENV, [replace(TX, value=5), replace(TX, nonce=9)])
    assert effects.changed_slots() == {TARGET: {word(1): word(7)}}
    assert [key for _, key, _, _ in effects.slots] == [word(0), word(1)]
    assert effects.balances[TARGET] == (0, 5)
    assert set(effects.accounts) == {SENDER, TARGET, COINBASE}
    assert not nothing.slots and not nothing.balances


def test_the_post_state_carries_what_was_created_and_destroyed(engine):
    # Creates a contract whose code is one STOP byte.
    known = witness()
    run_ = engine.execute(
        known, ENV, [replace(TX, to=b"", data=bytes.fromhex("60015ff3"))], unknown=UnknownAccounts.ABSENT
    )
    (created,) = set(run_.post.accounts) - set(known.accounts)
    view = run_.post.accounts[created]
    assert (view.nonce, view.complete, run_.post.codes[view.code_hash]) == (1, True, b"\0")
    assert run_.post.accounts[SENDER].nonce == 1 and known.accounts[SENDER].nonce == 0
    # An account known to have no other slots keeps being known for it.
    whole = Witness({a: v._replace(complete=True) for a, v in known.accounts.items()}, known.codes)
    assert engine.execute(whole, ENV, [TX]).post.accounts[SENDER].complete


def test_system_calls_are_made_when_asked(engine):
    history = bytes.fromhex("0000F90827F1C53a10cb7A02335B175320002935")
    code = bytes.fromhex(
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff"
        "9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    )
    known = witness()
    known.accounts[history] = AccountView(1, 0, known.add_code(code), {word(99): word(0)})
    after = engine.begin_block(known, ENV, parent_hash=b"\x77" * 32, beacon_root=b"\x66" * 32)
    assert after.accounts[history].slots[word(99)] == b"\x77" * 32
    assert engine.begin_block(known, replace(ENV, fork="Cancun"), parent_hash=b"\x77" * 32).accounts == known.accounts
    known.accounts[history] = known.accounts[history]._replace(slots={})
    with pytest.raises(SystemCallRefused, match="missing_slot"):
        engine.begin_block(known, ENV, parent_hash=b"\x77" * 32)


def test_the_packed_form_is_the_same_from_both_sides(engine):
    import sluice_evm

    known = witness("5f5460015500", {1: 3, 0: 7})
    known.accounts[OTHER] = ABSENT
    known.accounts[SENDER] = known.accounts[SENDER]._replace(complete=True)
    packed = pack(known)
    store = sluice_evm.CodeStore()
    assert sluice_evm.Witness.parse(packed, store).pack() == packed
    assert sluice_evm.Witness.parse(packed, store).views() == known.accounts
    back = unpack(packed)
    assert (back.accounts, back.codes) == (known.accounts, known.codes)
    assert engine.execute_each(PackedState((packed,), {}), ENV, [TX]) == engine.execute_each(known, ENV, [TX])


def test_mutated_packed_witnesses_are_read_alike_or_refused_by_both(engine):
    import sluice_evm

    packed = pack(witness("5f5460015500", {1: 3, 0: 7}))
    read = 0
    for seed in range(3_000):
        chance, bad = random.Random(seed), bytearray(packed)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(bad))
            if chance.random() < 0.3:
                del bad[at : at + chance.randint(1, 70)]
            else:
                bad[at] = chance.choice((0, 1, 2, 255, chance.randrange(256)))
            if not bad:
                break
        try:
            ours = unpack(bytes(bad))
        except BadPackedWitness:
            with pytest.raises(sluice_evm.WitnessError):
                sluice_evm.Witness.parse(bytes(bad), sluice_evm.CodeStore())
            assert run(engine, PackedState((bytes(bad),), {})).reason == Refusal.BAD_WITNESS
        else:
            read += 1
            assert sluice_evm.Witness.parse(bytes(bad), sluice_evm.CodeStore()).views() == ours.accounts
    assert read > 100


@pytest.mark.parametrize("view", [(0, -1, EMPTY_CODE_HASH, {}, False), (1 << 64, 0, EMPTY_CODE_HASH, {}, False)])
def test_what_does_not_fit_is_not_packed(view):
    with pytest.raises(BadPackedWitness, match="aaaa"):
        pack(Witness({SENDER: AccountView(*view)}, {}))


def test_the_blob_schedule_of_the_chain_counts(engine):
    known = witness("4a5f5260205ff3")  # BLOBBASEFEE
    env = replace(ENV, excess_blob_gas=50_000_000)
    prices = [
        int.from_bytes(run(engine, known, env=replace(env, blob_fraction=fraction)).output, "big")
        for fraction in (0, 5_007_716, 11_684_671)
    ]
    assert prices == [21_689, 21_689, 72]  # e**(excess / fraction), rounded down
