"""The assembler: whatever the interleaving, the same events; nothing doubled, nothing skipped, nothing guessed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.assembler import Assembler
from infra.kafka.errors import ConflictingParts
from infra.kafka.positions import Partition, Position
from schemas.blocks import GOLDEN as BLOCK
from schemas.event import Event, assemble
from schemas.logs import GOLDEN as LOGS
from schemas.witness import GOLDEN as WITNESS
from tests.unit.infra.kafka.parts import Placed, event_parts, part, streams_of

kinds = st.lists(st.integers(0, 2), min_size=1, max_size=25)


def interleave(data: st.DataObject, streams: list[list[Placed]]) -> list[Placed]:
    """One interleaving of the streams that keeps each stream's order."""
    queues = [list(s) for s in streams]
    merged = []
    while any(queues):
        open_ = [q for q in queues if q]
        merged.append(data.draw(st.sampled_from(range(len(open_))).map(open_.__getitem__)).pop(0))
    return merged


def run(assembler: Assembler, placed: list[Placed], limit: int = 1000) -> list[Event]:
    emitted = []
    for record, place in placed:
        assembler.add(record, place, 10)
        emitted += assembler.take(limit)
    while more := assembler.take(limit):
        emitted += more
    return emitted


@given(kinds, st.integers(1, 5), st.data())
def test_any_interleaving_gives_the_same_events(chosen: list[int], limit: int, data: st.DataObject) -> None:
    events = [event_parts(kind, seq) for seq, kind in enumerate(chosen)]
    merged = interleave(data, list(streams_of(events).values()))
    assembler = Assembler(1)
    assert run(assembler, merged, limit) == [assemble(tuple(parts)) for parts in events]
    assert (assembler.held_parts, assembler.held_bytes, assembler.blocked) == (0, 0, False)


@given(kinds, kinds, st.data())
def test_parts_of_other_chains_are_passed_over(ours: list[int], theirs: list[int], data: st.DataObject) -> None:
    mine = [event_parts(kind, seq, chain=1) for seq, kind in enumerate(ours)]
    other = [event_parts(kind, seq, chain=2) for seq, kind in enumerate(theirs)]
    merged = interleave(data, [*streams_of(mine).values(), *streams_of(other).values()])
    assert run(Assembler(1), merged) == [assemble(tuple(parts)) for parts in mine]


@given(kinds, st.data())
def test_repetitions_change_nothing(chosen: list[int], data: st.DataObject) -> None:
    events = [event_parts(kind, seq) for seq, kind in enumerate(chosen)]
    streams = []
    for stream in streams_of(events).values():
        again = data.draw(st.integers(0, len(stream)))
        # A stretch is there twice, as after a writer that wrote its tail again.
        streams.append([*stream, *((r, Position(p.topic, 0, p.offset + 1000)) for r, p in stream[again:])])
    assert run(Assembler(1), interleave(data, streams)) == [assemble(tuple(parts)) for parts in events]


@given(kinds, st.data())
def test_a_restart_anywhere_goes_on_without_loss_or_repetition(chosen: list[int], data: st.DataObject) -> None:
    """Re-reading from the oldest held offset, or from where a partition was read to, gives exactly what is left."""
    events = [event_parts(kind, seq) for seq, kind in enumerate(chosen)]
    streams = streams_of(events)
    merged = interleave(data, list(streams.values()))
    stop = data.draw(st.integers(0, len(merged)))
    first = Assembler(1)
    before = []
    for record, place in merged[:stop]:
        first.add(record, place, 10)
        before += first.take(data.draw(st.integers(0, 2)))
    positions = {Partition(p.topic, p.partition): p.offset + 1 for _, p in merged[:stop]}
    resume = {**positions, **first.oldest_held()}
    left = [[(r, p) for r, p in s if p.offset >= resume.get(Partition(p.topic, 0), 0)] for s in streams.values()]
    after = run(Assembler(1, first.next_seq), interleave(data, left))
    assert before + after == [assemble(tuple(parts)) for parts in events]


@given(kinds, st.data())
def test_a_partition_that_is_ahead_has_nothing_of_the_next_event_left(chosen: list[int], data: st.DataObject) -> None:
    events = [event_parts(kind, seq) for seq, kind in enumerate(chosen)]
    merged = interleave(data, list(streams_of(events).values()))
    assembler = Assembler(1)
    for i, (record, place) in enumerate(merged):
        assembler.add(record, place, 10)
        assembler.take(data.draw(st.integers(0, 2)))
        to_come = {Partition(p.topic, p.partition) for r, p in merged[i + 1 :] if r.seq == assembler.next_seq}
        assert not to_come & set(assembler.ahead())


def test_the_next_event_is_waited_for_and_named() -> None:
    assembler = Assembler(1, 7)
    assembler.add(part(BLOCK, 7, 0, 3), Position("blocks", 0, 5), 10)
    assembler.add(part(WITNESS, 7, 2, 3), Position("witness", 0, 9), 10)
    assembler.add(part(BLOCK, 9, 0, 1), Position("blocks", 0, 6), 10)
    assert assembler.take(10) == []
    assert assembler.blocked
    assert (
        str(assembler.gap()) == "event 7 has 3 parts; missing: [1]; there: part 0 at blocks/0@5, part 2 at witness/0@9"
    )


def test_an_event_of_which_nothing_is_there_is_named_by_what_follows() -> None:
    assembler = Assembler(1)
    assembler.add(part(BLOCK, 2, 0, 1), Position("blocks", 0, 6), 10)
    assert str(assembler.gap()) == "event 0 is missing; the next one there is 2 (at blocks/0@6)"


def test_two_records_for_one_part_are_an_error() -> None:
    assembler = Assembler(1)
    assembler.add(part(BLOCK, 0, 0, 2), Position("blocks", 0, 1), 10)
    other = msgspec.structs.replace(part(BLOCK, 0, 0, 2), number=5)
    with pytest.raises(ConflictingParts, match=r"part 0 of 2 at blocks/0@3 contradicts part 0 of 2 at blocks/0@1"):
        assembler.add(other, Position("blocks", 0, 3), 10)


def test_two_part_counts_for_one_event_are_an_error() -> None:
    assembler = Assembler(1)
    assembler.add(part(BLOCK, 0, 0, 2), Position("blocks", 0, 1), 10)
    with pytest.raises(ConflictingParts, match="part 1 of 3 at logs/0@0"):
        assembler.add(part(LOGS, 0, 1, 3), Position("logs", 0, 0), 10)


def test_nothing_after_the_last_wanted_event_is_taken() -> None:
    assembler = Assembler(1)
    for seq in range(5):
        assembler.add(part(BLOCK, seq, 0, 1), Position("blocks", 0, seq), 10)
    assert [e.seq for e in assembler.take(10, until_seq=2)] == [0, 1, 2]
    assert assembler.take(10, until_seq=2) == []
