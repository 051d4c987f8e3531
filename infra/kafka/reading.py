"""Reading the log outside of flows: reports, tests, and the sequencer finding its place again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.kafka import clients
from infra.kafka.checked_reader import decode
from infra.kafka.event_reader import EventReader
from infra.kafka.layout import LogLayout, reached
from infra.kafka.log_reader import LogReader
from infra.kafka.positions import Partition, Position
from infra.kafka.until import Until
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.event import Event
from schemas.record import Record, Sequenced
from schemas.topics import SEQUENCED

__all__ = ["Position", "TailState", "read_events", "read_records", "tail_records", "tail_state"]

_READER = "reading"
_LIMIT = 1000
_WAIT_S = 0.5
#: Records looked at first from the end of a partition; doubled until what is looked for is found.
_TAIL_STEP = 64


def _layout(kafka: KafkaConfig) -> LogLayout:
    return LogLayout(kafka, clients.admin(kafka))


def _between(
    kafka: KafkaConfig, starts: Mapping[Partition, int], ends: Mapping[Partition, int]
) -> Iterator[tuple[Position, Record | BadRecord]]:
    """Everything committed at positions from `starts` to before `ends`."""
    todo = {p: start for p, start in starts.items() if start < ends[p]}
    if not todo:
        return
    with LogReader(kafka, _READER, todo) as reader:
        while not reached(reader.positions, {p: ends[p] for p in todo}):
            for raw in reader.read(_LIMIT, _WAIT_S):
                if raw.offset >= ends[raw.partition]:
                    continue
                place = Position(raw.partition.topic, raw.partition.number, raw.offset)
                try:
                    yield place, decode(place.topic, raw.value)
                except BadRecord as error:
                    yield place, error


def read_records(
    kafka: KafkaConfig, topic_name: str, since_ms: int | None = None
) -> Iterator[tuple[Position, Record | BadRecord]]:
    """Every record of a topic whose commit was acknowledged before the call, in order within each partition. `since_ms` begins in each
    partition with the first record that was written at this time (unix milliseconds, by the writer's clock) or later.

    A record that cannot be read comes as the `BadRecord` that says why. Raises `TopicMissing`, `OffsetLost`, `ReadFailed`.
    """
    layout = _layout(kafka)
    partitions = layout.partitions([topic_name])
    ends = layout.settled_ends(partitions)
    yield from _between(
        kafka, layout.lows(partitions) if since_ms is None else layout.since(partitions, since_ms), ends
    )


def read_events(
    kafka: KafkaConfig, chain: int, from_seq: int = 0, until_seq: int | None = None, *, gap_timeout_s: float = 30.0
) -> Iterator[Event]:
    """The chain's events in order, from `from_seq` to `until_seq` (both included) or to the last one that was committed before the call.

    Raises `MissingSequence` as the sequenced source does. Unreadable records go to the dead-letter topic.
    """
    with EventReader(
        kafka, chain, _READER, from_seq=from_seq, until=Until(until_seq), gap_timeout_s=gap_timeout_s
    ) as reader:
        while not reader.finished:
            yield from reader.read(_LIMIT, _WAIT_S)
        reader.flush_dead_letters()


def tail_records(kafka: KafkaConfig, topic_name: str, count: int, chain: int | None = None) -> list[Record]:
    """The newest `count` records of each partition of a topic (of one chain, if given), oldest first; unreadable ones are
    passed over. Reads backwards in growing steps, so the cost goes by what is wanted, not by the length of the log."""
    layout = _layout(kafka)
    partitions = layout.partitions([topic_name])
    lows, ends = layout.lows(partitions), layout.committed_ends(partitions)
    found: list[Record] = []
    for partition in partitions:
        found += _tail(kafka, partition, lows[partition], ends[partition], count, chain)
    return found


def _tail(kafka: KafkaConfig, partition: Partition, low: int, end: int, count: int, chain: int | None) -> list[Record]:
    step = max(_TAIL_STEP, 2 * count)
    while True:
        start = max(low, end - step)
        records = [
            record
            for _, record in _between(kafka, {partition: start}, {partition: end})
            if not isinstance(record, BadRecord) and (chain is None or getattr(record, "chain", chain) == chain)
        ]
        if len(records) >= count or start == low:
            return records[-count:]
        step *= 4


@dataclass(frozen=True)
class TailState:
    """How far a chain's log goes: the number its next event gets, and the newest record of the chain in each topic."""

    next_seq: int
    newest: dict[str, Sequenced]


def tail_state(kafka: KafkaConfig, chain: int) -> TailState:
    """Where the sequencer goes on. Events are written whole, so the highest number in any topic is that of a whole event.

    Ask after a `TransactionalWriter` was opened: only then is nothing of an earlier writer under way.
    """
    newest: dict[str, Sequenced] = {}
    for row in SEQUENCED:
        for record in tail_records(kafka, row.name, 1, chain):
            assert isinstance(record, Sequenced)
            if row.name not in newest or record.seq > newest[row.name].seq:
                newest[row.name] = record
    return TailState(max((r.seq for r in newest.values()), default=-1) + 1, newest)
