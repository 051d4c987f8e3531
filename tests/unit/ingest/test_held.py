"""A pool that a command suspended stays so: through discovery, restarts and reorgs, until a command wants it back."""

from __future__ import annotations

import msgspec
import pytest

from operators.ingest.commands import CommandFilter
from operators.ingest.held import GONE, OPERATOR, HeldPools, subject_of, suspension, unanswered
from operators.ingest.log_state import LogState
from operators.pools.base import Found
from operators.pools.records import packed_state, pool_of
from schemas import blocks, control, pools
from schemas.blocks import BlockOp, BlockRecord
from schemas.control import Command, CommandRecord, ControlRecord
from schemas.pools import PoolOp, PoolRecord

POOL, OTHER = b"\x06" * 20, b"\x07" * 20
EXECUTOR, OWNER = b"\x0e" * 20, b"\x0f" * 20


def command(what: Command, seq: int = 0, subject: bytes = POOL, reason: str = "") -> ControlRecord:
    return msgspec.structs.replace(control.GOLDEN, command=what, seq=seq, subject="0x" + subject.hex(), reason=reason)


def added(number: int, seq: int = 0, address: bytes = POOL) -> PoolRecord:
    state = packed_state(msgspec.structs.replace(pool_of(pools.GOLDEN), address=address))
    return msgspec.structs.replace(pools.GOLDEN, address=address, state=state, block_number=number, seq=seq)


def suspended(number: int, seq: int = 0, reason: str = "tripwire:missed_log finding 0x12") -> PoolRecord:
    return msgspec.structs.replace(suspension(added(1), number, command(Command.SUSPEND_POOL, reason=reason)), seq=seq)


def block(number: int, seq: int, op: BlockOp = BlockOp.APPLY) -> BlockRecord:
    return msgspec.structs.replace(
        blocks.GOLDEN, number=number, hash=bytes([number]) * 32, parent_hash=bytes([number - 1]) * 32, seq=seq, op=op
    )


def state(*records: PoolRecord) -> LogState:
    out = LogState(8, EXECUTOR, OWNER)
    for number in (1, 2, 3):
        out.applied(block(number, number))
    for record in records:
        out.admitted(record)
    return out


def test_what_it_is_suspended_for_is_the_flow_s_word_or_the_operator_s() -> None:
    assert (suspended(5).op, suspended(5).refusal, suspended(5).block_number) == (
        PoolOp.SUSPEND,
        "tripwire:missed_log",
        5,
    )
    assert suspended(5).detail == "tripwire:missed_log finding 0x12"
    by_hand = suspended(5, reason="its token was paused")
    assert (by_hand.refusal, by_hand.detail) == (OPERATOR, "its token was paused")
    # Nobody can have a pool look as if the chain had taken it.
    assert suspended(5, reason=GONE).refusal == suspended(5, reason="").refusal == OPERATOR


@pytest.mark.parametrize("subject", ["", "0x", "0x12", "xyz", "0x" + "06" * 21])
def test_a_subject_that_is_no_address_names_no_pool(subject: str) -> None:
    assert subject_of(msgspec.structs.replace(control.GOLDEN, subject=subject)) is None
    assert subject_of(command(Command.SUSPEND_POOL)) == POOL


def test_discovery_leaves_a_held_pool_alone_and_takes_a_gone_one() -> None:
    found = [Found("uniswap_v2", POOL, b"\x5c" * 20)]
    held = state(added(1), suspended(2))
    held.discover(found)
    assert POOL in held.held and not held.to_admit and POOL not in held.pools
    gone = state(added(1), msgspec.structs.replace(suspended(2), refusal=GONE))
    gone.discover(found)
    assert list(gone.to_admit) == [POOL]


def test_only_a_readmission_brings_it_back() -> None:
    known = state(added(1), suspended(2))
    assert known.readmit(POOL) and not known.readmit(OTHER)
    assert known.to_admit[POOL] == Found("uniswap_v2", POOL, pools.GOLDEN.factory, pools.GOLDEN.seed)
    # Held until the new admission is written.
    assert POOL in known.held
    known.admitted(added(3))
    assert POOL not in known.held and POOL in known.pools and not known.to_admit


def test_a_suspension_that_a_reorg_takes_with_it_is_said_again() -> None:
    held = HeldPools()
    held.hold(suspended(7), admitted_at=3)
    assert held.undone_by(8) == []
    (again,) = held.undone_by(6)
    assert (again.block_number, again.refusal, again.op) == (5, "tripwire:missed_log", PoolOp.SUSPEND)
    # Its admission goes as well: there is nothing to suspend, and it is held all the same.
    assert held.undone_by(3) == [] and POOL in held
    known = state(added(1), suspended(3))
    (again,) = known.held.undone_by(3)
    known.reverted(block(3, 9, BlockOp.REVERT))
    known.admitted(again)
    assert known.held.get(POOL) == again and not known.to_admit
    # Where it was admitted is remembered over that.
    assert known.held.undone_by(1) == []
    assert [r.block_number for r in known.held.undone_by(2)] == [1]


def test_a_restart_remembers_what_is_held_and_where_it_was_admitted() -> None:
    log = [block(1, 0), block(2, 2), block(3, 4)]
    records = [added(1, seq=1), suspended(3, seq=5), added(2, seq=3, address=OTHER)]
    resumed = LogState(8, EXECUTOR, OWNER)
    resumed.resume(6, log, records)
    assert POOL in resumed.held and list(resumed.pools) == [OTHER] and not resumed.to_admit
    assert [r.block_number for r in resumed.held.undone_by(2)] == [1]
    assert resumed.held.undone_by(1) == []


def test_a_readmission_that_a_crash_cut_off_is_done_after_the_restart() -> None:
    records = [added(1, seq=1), suspended(3, seq=5)]
    wanted = [command(Command.READMIT_POOL, seq=6), command(Command.READMIT_POOL, seq=7, subject=OTHER)]
    assert unanswered(wanted, records) == [POOL]
    assert unanswered(wanted, [*records, added(3, seq=8)]) == []
    assert unanswered([command(Command.SUSPEND_POOL, seq=6)], records) == []


def test_suspending_and_readmitting_replace_each_other() -> None:
    fresh = CommandFilter()
    suspend = CommandRecord(b"\x01" * 32, 1, Command.SUSPEND_POOL, "0x06", 0, "", "tripwire")
    readmit = CommandRecord(b"\x02" * 32, 1, Command.READMIT_POOL, "0x06", 0, "", "cli")
    assert fresh.take(suspend) and not fresh.take(suspend)
    assert fresh.take(readmit) and fresh.take(suspend)
