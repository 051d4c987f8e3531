"""What the sequencer remembers of its log: the same whether it lived through it or read it back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.commands import CommandFilter, already_sequenced
from operators.ingest.drafts import Draft, stamp
from operators.ingest.log_state import LogState
from operators.ingest.resume import LogBroken
from operators.ingest.tracked_state import TrackedState, as_needs, as_slots
from operators.pools.records import packed_state, pool_of
from schemas import blocks, control, pools, witness
from schemas.blocks import BlockOp, BlockRecord
from schemas.control import Command, CommandRecord
from schemas.pools import PoolOp, PoolRecord

EXECUTOR, OWNER = b"\x0e" * 20, b"\x0f" * 20
word = st.integers(0, 5).map(lambda n: n.to_bytes(32, "big"))
account = st.integers(1, 4).map(lambda n: bytes([n]) * 20)
needs = st.dictionaries(account, st.frozensets(word, max_size=4), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 3), needs | st.none()), max_size=20))
def test_tracked_state_is_the_union_of_what_is_needed(
    actions: list[tuple[int, dict[bytes, frozenset[bytes]] | None]],
) -> None:
    tracked = TrackedState()
    tracked.track_whole(EXECUTOR)
    model: dict[bytes, dict[bytes, frozenset[bytes]]] = {}
    for owner, need in actions:
        name = bytes([owner])
        if need is None:
            tracked.drop(name)
            model.pop(name, None)
        else:
            tracked.put(name, need)
            model[name] = need
        union: dict[bytes, frozenset[bytes] | None] = {EXECUTOR: None}
        for each in model.values():
            for address, keys in each.items():
                union[address] = (union.get(address) or frozenset()) | keys
        assert dict(tracked.accounts) == union


@given(needs)
def test_needs_come_back_as_they_were(need: dict[bytes, frozenset[bytes]]) -> None:
    assert as_slots(as_needs(need)) == need


def block(number: int, salt: int, parent: bytes, seq: int, op: BlockOp = BlockOp.APPLY) -> BlockRecord:
    return msgspec.structs.replace(
        blocks.GOLDEN, number=number, hash=repr((number, salt)).encode().ljust(32), parent_hash=parent, seq=seq, op=op
    )


def pool_record(address: bytes, **changes: Any) -> PoolRecord:
    """A pair as the log has it."""
    state = packed_state(msgspec.structs.replace(pool_of(pools.GOLDEN), address=address))
    return msgspec.structs.replace(pools.GOLDEN, address=address, state=state, **changes)


@given(
    st.lists(st.sampled_from(["block", "block", "revert", "pool 1", "pool 2", "suspend 1"]), max_size=50),
    st.integers(4, 200),
)
def test_a_resumed_state_equals_the_one_that_lived(actions: list[str], tail: int) -> None:
    lived = LogState(8, EXECUTOR, OWNER)
    log: list[BlockRecord] = []
    admitted: list[PoolRecord] = []
    chain: list[BlockRecord] = []
    for seq, action in enumerate(["block", *actions]):
        lived.next_seq = seq + 1
        if action == "revert":
            # One block is never reverted, and no more than the depth in a row.
            if len(lived.tracker.chain) > 1:
                gone = chain.pop()
                log.append(msgspec.structs.replace(gone, op=BlockOp.REVERT, seq=seq))
                lived.reverted(gone)
        elif action == "block":
            number = chain[-1].number + 1 if chain else 50
            made = block(number, seq, chain[-1].hash if chain else bytes(32), seq)
            chain.append(made)
            log.append(made)
            lived.applied(made)
        else:
            op = PoolOp.ADD if action.startswith("pool") else PoolOp.SUSPEND
            address = bytes([int(action[-1])]) * 20
            if op is PoolOp.ADD or address in lived.pools:
                record = pool_record(address, seq=seq, op=op, block_number=chain[-1].number)
                admitted.append(record)
                lived.admitted(record)
    resumed = LogState(8, EXECUTOR, OWNER)
    resumed.resume(lived.next_seq, log[-max(tail, len(log) if tail > 100 else 24) :], admitted)
    assert resumed.tip == lived.tip
    shared = min(len(resumed.tracker.chain), len(lived.tracker.chain))
    assert resumed.tracker.chain[-shared:] == lived.tracker.chain[-shared:]
    assert resumed.pools == lived.pools
    assert dict(resumed.tracked.accounts) == dict(lived.tracked.accounts)
    for address in (b"\1" * 20, b"\2" * 20):
        assert (address in resumed.log_sources) == (address in lived.log_sources) == (address in lived.pools)
    if tail > 100:
        assert set(resumed.to_admit) == set(lived.to_admit)


def test_a_log_that_does_not_link_is_refused() -> None:
    state = LogState(8, EXECUTOR, OWNER)
    with pytest.raises(LogBroken, match="does not follow"):
        state.resume(2, [block(1, 0, bytes(32), 0), block(2, 0, b"?" * 32, 1)], [])
    with pytest.raises(LogBroken, match="no block that stands"):
        state.resume(9, [], [])


def test_stamping_numbers_events_and_publishes_each_code_once() -> None:
    sight = msgspec.structs.replace(witness.GOLDEN, codes=())
    drafts = [
        Draft((blocks.GOLDEN, sight), {b"a": b"code a", b"b": b"code b"}),
        Draft((pools.GOLDEN, sight), {b"b": b"code b", b"c": b"code c"}),
        Draft((control.GOLDEN,)),
    ]
    done = stamp(drafts, 7, {b"c"})
    assert [(r.seq, r.part, r.parts) for r in done.records] == [(7, 0, 2), (7, 1, 2), (8, 0, 2), (8, 1, 2), (9, 0, 1)]
    assert [r.codes for r in done.records if isinstance(r, witness.WitnessRecord)] == [(b"code a", b"code b"), ()]
    assert done.next_seq == 10 and done.published == {b"a", b"b"}


def command(kind: Command, reason: str, subject: str = "") -> CommandRecord:
    identity = f"{kind} {reason} {subject}".encode().ljust(32)[:32]
    return CommandRecord(id=identity, chain=1, command=kind, subject=subject, until_block=0, reason=reason, issuer="t")


def test_a_repeated_command_is_one_that_changes_nothing() -> None:
    pause, resume = command(Command.PAUSE, "p"), command(Command.RESUME, "r")
    first, second = command(Command.COOLDOWN, "x", "pool 1"), command(Command.COOLDOWN, "x", "pool 2")
    sent = [pause, pause, first, pause, second, first, resume, resume, pause, second]
    news = CommandFilter()
    assert [c for c in sent if news.take(c)] == [pause, first, second, resume, pause]


@given(
    st.lists(st.sampled_from([b"a", b"b"]), max_size=8),
    st.lists(st.sampled_from([b"a", b"b"]), max_size=8),
    st.integers(0, 8),
)
def test_commands_read_again_are_recognised(before: list[bytes], backlog: list[bytes], done: int) -> None:
    done = min(done, len(backlog))
    logged = before + backlog[:done]
    count = already_sequenced(logged, backlog)
    # Nothing that is in the log is sequenced again; what is skipped beyond that is in the log's end word for word.
    assert count >= done
    assert logged[len(logged) - count :] == backlog[:count]
