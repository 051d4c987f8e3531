"""Several pending transactions of one sender in order: on the prestates that each has alone, and what the last one leaves behind."""

from __future__ import annotations

import msgspec
import pytest

import schemas.pending
from operators.graph.dispatch import Listeners
from operators.overlay.pending import Overlay, Traced, simulate_sequence
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.simulation.engine import Engine
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Witness
from operators.simulation.packed import pack
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from schemas.pending import PendingRecord
from schemas.types import Wide

USER, COINBASE, ONE, OTHER = b"\xaa" * 20, b"\xc0" * 20, b"\x01" * 19 + b"\x11", b"\x01" * 19 + b"\x22"
GWEI, ETHER = 10**9, 10**18
ENV = BlockEnv(1, 100, 1_800_000_000, COINBASE, GWEI, 30_000_000, bytes(32), 0, 0, "Cancun")


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def code() -> bytes:
    """Swap: slot 0 grows by what slot 1 holds, which must not be zero; then Sync(slot 0, 1000). Approve (no calldata): slot 1 becomes 5."""
    approve = bytes.fromhex("5b600560015500")  # JUMPDEST PUSH1 5 PUSH1 1 SSTORE STOP
    swap = b"".join(
        (
            bytes.fromhex("36"),  # CALLDATASIZE
            bytes.fromhex("15"),  # ISZERO
            bytes.fromhex("60ff57"),  # PUSH1 approve JUMPI
            bytes.fromhex("600154"),  # SLOAD(1)
            bytes.fromhex("8015"),  # DUP1 ISZERO
            bytes.fromhex("60fe57"),  # PUSH1 fail JUMPI
            bytes.fromhex("5f5401"),  # SLOAD(0) ADD
            bytes.fromhex("805f55"),  # DUP1, SSTORE(0)
            bytes.fromhex("5f52"),  # MSTORE(0)
            bytes.fromhex("6103e8602052"),  # MSTORE(32, 1000)
            b"\x7f" + SYNC_TOPIC,
            bytes.fromhex("60405fa1"),  # LOG1(0, 64, topic)
            b"\x00",
        )
    )
    fail = bytes.fromhex("5b5f5ffd")
    approve_at = len(swap) + len(fail)
    return (
        swap.replace(b"\x60\xff\x57", bytes([0x60, approve_at, 0x57])).replace(
            b"\x60\xfe\x57", bytes([0x60, len(swap), 0x57])
        )
        + fail
        + approve
    )


def tx(nonce: int, to: bytes = ONE, data: bytes = b"\x01") -> PendingRecord:
    return msgspec.structs.replace(
        schemas.pending.GOLDEN, hash=bytes([nonce]) * 32, sender=USER, nonce=nonce, to=to, value=Wide(0), data=data,
        gas_limit=200_000, max_fee=Wide(3 * GWEI), max_priority_fee=Wide(GWEI), access_list=(),
    )  # fmt: skip


def traced(record: PendingRecord, *slots: int, allowed: int = 0, balance: int = ETHER) -> Traced:
    """A transaction with the slots that it reads alone: 0 is the reserve, 1 the allowance."""
    known = Witness({}, {})
    held = {0: word(7), 1: word(allowed)}
    known.accounts[USER] = AccountView(3, balance, EMPTY_CODE_HASH, {})
    known.accounts[COINBASE] = AccountView(1, 1, EMPTY_CODE_HASH, {})
    known.accounts[record.to] = AccountView(1, 0, known.add_code(code()), {word(n): held[n] for n in slots})
    return Traced(record, pack(known))


@pytest.fixture(params=["revm", "pyrevm"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "revm" and not available():
        pytest.skip("the extension sluice_evm is not built")
    return RevmEngine() if request.param == "revm" else PyrevmEngine()


def overlay(engine: Engine, *sequence: Traced) -> Overlay:
    pools = {a: V2Pool(a, b"\x0e" * 20, b"\x0f" * 20, 3000, 7, 1000, "") for a in (ONE, OTHER)}
    listeners = Listeners()
    for pool in pools.values():
        listeners.add(pool)
    return simulate_sequence(engine, pools.get, listeners, {}, ENV, sequence)


def test_an_account_that_a_trace_leaves_out_does_not_exist_and_one_that_a_list_leaves_out_is_refused(
    engine: Engine,
) -> None:
    whole = traced(tx(3, ONE), 0, 1, allowed=1)
    elsewhere = whole._replace(record=tx(3, b"\x99" * 20))
    assert overlay(engine, elsewhere)[:2] == ("", ())
    assert overlay(engine, elsewhere._replace(whole=False)).refusal == "pending_refused:missing_account"
    assert overlay(engine, whole._replace(whole=False)).refusal == ""


def reserves(found: Overlay) -> dict[bytes, int]:
    return {pool.address: pool.to_plain()[4] for pool in found.pools}


def test_the_second_swap_stands_on_the_first(engine: Engine) -> None:
    first, second = traced(tx(3), 0, 1, allowed=2), traced(tx(4), 0, 1, allowed=2)
    assert reserves(overlay(engine, first)) == {ONE: 9}
    found = overlay(engine, first, second)
    assert (found.refusal, reserves(found), found.moved) == ("", {ONE: 11}, (ONE,))
    assert found.post is not None and found.post.accounts[USER].nonce == 5
    assert found.post.accounts[ONE].slots[word(0)] == word(11)
    # Alone the second is not the sender's turn.
    assert overlay(engine, second).refusal == "pending_refused:nonce_too_high"


def test_what_moved_is_the_last_ones_and_the_states_are_of_all(engine: Engine) -> None:
    found = overlay(engine, traced(tx(3), 0, 1, allowed=2), traced(tx(4, OTHER), 0, 1, allowed=1))
    assert (reserves(found), found.moved) == ({ONE: 9, OTHER: 8}, (OTHER,))


def test_what_only_an_earlier_one_makes_possible_is_refused_by_name_where_it_was_not_traced(engine: Engine) -> None:
    approve = traced(tx(3, data=b""), 1)
    # Alone the swap fails at the allowance, so its prestate ends there.
    assert overlay(engine, approve, traced(tx(4), 1)).refusal == "pending_refused:missing_slot"
    # Where it was traced behind the approval, its prestate has the rest; and the earlier one's own word counts for what that changes.
    behind = traced(tx(4), 0, 1, allowed=5)
    found = overlay(engine, approve, behind)
    assert (found.refusal, reserves(found), found.moved) == ("", {ONE: 12}, (ONE,))
    assert found.post is not None and found.post.accounts[ONE].slots[word(1)] == word(5)


def test_who_fails_is_said(engine: Engine) -> None:
    good, bad = traced(tx(3), 0, 1, allowed=2), traced(tx(4), 0, 1)
    assert overlay(engine, traced(tx(3), 0, 1), traced(tx(4), 0, 1)).refusal == "predecessor_reverted"
    poor = traced(tx(3), 0, 1, balance=5)
    assert overlay(engine, poor, bad).refusal == "predecessor_refused:insufficient_funds"
    failing = traced(tx(4, OTHER), 0, 1)
    assert overlay(engine, good, failing).refusal == "pending_reverted"
