"""Each kind of token is found out for what it is, by both engines alike."""

from __future__ import annotations

import pytest

from operators.simulation.engine import Engine
from operators.simulation.engines import make_engine
from operators.simulation.model import AccountView, Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import available
from operators.tokens.experiment import Subject, design
from operators.tokens.judge import ASKS_REGISTRY, CAN_PAUSE, HAS_BLACKLIST, REGISTRY, judge
from operators.tokens.puppets import ACCOUNT, STRANGER
from schemas.tokens import TRADABLE, Quality, TokenRecord
from schemas.topics import topic
from tests.unit.tokens.kinds import BALANCE, ENV, EXECUTOR, HOLDER, OWNER, TOKEN, compiled, kind, mapped, word, world

#: As the executor: a call that it does not know reverts.
OUR_CODE = bytes.fromhex("60006000fd")
ENGINES = ["pyrevm", *(["revm"] if available() else [])]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return make_engine(request.param)


def judged(state: Witness, engine: Engine, balance: int = BALANCE) -> TokenRecord:
    pool = state.codes[state.accounts[HOLDER].code_hash]
    experiment = design(Subject(TOKEN, HOLDER, balance, pool, OWNER, EXECUTOR, OUR_CODE))
    assert experiment is not None
    record = judge(experiment, state, ENV, ENV.number - 1, b"\x05" * 32, engine)
    codec = topic("tokens").codec
    assert codec.decode(codec.encode(record)) == record
    return record


KINDS = [
    ("Plain", {}, Quality.PLAIN),
    ("Silent", {}, Quality.MISSING_RETURN),
    ("Denying", {}, Quality.RETURNS_FALSE),
    ("Refusing", {}, Quality.RETURNS_FALSE),
    ("Pretending", {}, Quality.TRANSFER_TAX),
    ("TaxesAll", {"knob": 300}, Quality.TRANSFER_TAX),
    ("TaxesAll", {"knob": 9_000}, Quality.TRANSFER_TAX),
    ("TaxesAll", {"knob": 0}, Quality.PLAIN),
    ("TaxesSales", {"knob": 1_000, "marked": HOLDER}, Quality.TRANSFER_TAX),
    ("Surcharging", {}, Quality.TRANSFER_TAX),
    ("Growing", {}, Quality.REBASING),
    ("Shares", {"knob": 1_234_567_890_123_456_789}, Quality.INEXACT),
    ("Barring", {"marked": EXECUTOR}, Quality.BLOCKS_US),
    ("Barring", {"marked": HOLDER}, Quality.NO_WAY_BACK),
    ("Barring", {"marked": b"\x77" * 20}, Quality.PLAIN),
    ("NoContracts", {}, Quality.BLOCKS_CONTRACTS),
    ("NoContracts", {"marked": HOLDER}, Quality.BLOCKS_CONTRACTS),
    ("Paused", {}, Quality.UNTRANSFERABLE),
    ("Cooling", {}, Quality.NO_WAY_BACK),
    ("Limiting", {"knob": BALANCE // 100}, Quality.LIMITED),
    ("Telling", {}, Quality.CALLS_BACK),
    ("Looking", {}, Quality.PLAIN),
    ("Burning", {}, Quality.UNTRANSFERABLE),
    ("NoToken", {}, Quality.NOT_A_TOKEN),
]


@pytest.mark.parametrize(("name", "setup", "quality"), KINDS)
def test_each_kind_is_found_out(engine: Engine, name: str, setup: dict, quality: Quality) -> None:
    record = judged(kind(name, **setup), engine)
    assert record.quality == quality, record
    assert bool(record.detail) == (quality is not Quality.PLAIN)


def test_taxes_are_measured_in_each_direction(engine: Engine) -> None:
    both = judged(kind("TaxesAll", knob=300), engine)
    assert (both.tax_out_bps, both.tax_in_bps) == (300, 300)
    sales = judged(kind("TaxesSales", knob=1_000, marked=HOLDER), engine)
    assert (sales.tax_out_bps, sales.tax_in_bps) == (0, 1_000)
    surcharge = judged(kind("Surcharging"), engine)
    assert (surcharge.tax_out_bps, surcharge.tax_in_bps) == (100, 100)
    assert judged(kind("Pretending"), engine).tax_out_bps == 10_000


def test_the_evidence_is_what_moved(engine: Engine) -> None:
    record = judged(kind("TaxesAll", knob=300), engine)
    out = next(t for t in record.trials if t.name == "out")
    assert (out.amount, out.debited, out.credited) == (BALANCE // 1000, BALANCE // 1000, BALANCE // 1000 * 97 // 100)
    assert (out.success, out.answer) == (True, word(1))
    assert [t.name for t in record.trials] == ["out", "back", "out_contract", "out_account", "out_large"]
    assert record.holder == HOLDER


def test_what_a_token_could_do_is_told_and_decides_nothing(engine: Engine) -> None:
    assert judged(kind("Silent"), engine).behaviours == (CAN_PAUSE, HAS_BLACKLIST, Quality.MISSING_RETURN)
    assert judged(kind("Barring"), engine).behaviours == (HAS_BLACKLIST,)


def test_a_revert_s_reason_is_told(engine: Engine) -> None:
    assert "Pausable: paused" in judged(kind("Paused"), engine).detail
    assert "account is blacklisted" in judged(kind("Barring", marked=EXECUTOR), engine).detail


def test_erc777_asks_the_registry_and_calls_nobody(engine: Engine) -> None:
    state = kind("Asking")
    # As traced: the slots that the transfers asked for, nobody registered.
    slots = {mapped_twice(account): bytes(32) for account in (EXECUTOR, HOLDER, STRANGER, ACCOUNT)}
    state.accounts[REGISTRY] = AccountView(1, 0, state.add_code(compiled()["Registry"]), slots)
    record = judged(state, engine)
    assert (record.quality, record.behaviours) == (Quality.PLAIN, (ASKS_REGISTRY,))


def mapped_twice(account: bytes) -> bytes:
    from infra.chain.keccak import keccak

    return keccak(keccak(b"ERC777TokensRecipient") + mapped(account, 0))


def test_missing_state_is_unknown_and_named(engine: Engine) -> None:
    state = world(compiled()["Plain"], whole=False)
    record = judged(state, engine)
    assert record.quality == Quality.UNKNOWN
    assert "missing_slot" in record.detail and TOKEN.hex() in record.detail
    assert record.trials == ()


def test_a_holder_with_next_to_nothing_cannot_be_tried() -> None:
    assert design(Subject(TOKEN, HOLDER, 7, b"", OWNER, EXECUTOR, b"")) is None
    small = design(Subject(TOKEN, HOLDER, 100, b"", OWNER, EXECUTOR, b""))
    assert small is not None and small.runs[0].trials[0].amount == 25


def test_the_state_is_not_changed() -> None:
    state = kind("Plain")
    before = dict(state.accounts), dict(state.codes)
    judged(state, PyrevmEngine())
    assert (state.accounts, state.codes) == before


def test_every_quality_is_either_tradable_or_refused() -> None:
    refused = {quality for _, _, quality in KINDS} - TRADABLE
    assert refused == set(Quality) - TRADABLE
