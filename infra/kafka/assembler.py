"""Putting events together: parts from several topics in, events strictly by sequence number out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.kafka.errors import ConflictingParts
from infra.kafka.positions import Partition, Position
from schemas.event import Event, assemble
from schemas.record import Sequenced


@dataclass
class _Waiting:
    """An event of which not everything is known to be there, or whose turn has not come."""

    count: int
    parts: dict[int, tuple[Sequenced, Position, int]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.parts) == self.count

    def places(self) -> dict[int, Position]:
        """Where each part was found, in part order."""
        return {i: self.parts[i][1] for i in sorted(self.parts)}


@dataclass(frozen=True)
class Gap:
    """What keeps an assembler from going on: the event `seq`, the places of its parts that are there, how many it should
    have (None: unknown, there is none), and where the next event after it was found."""

    seq: int
    found: dict[int, Position]
    count: int | None
    next_seq: int | None
    next_places: tuple[Position, ...]

    def __str__(self) -> str:
        if self.count is not None:
            absent = sorted(set(range(self.count)) - set(self.found))
            there = ", ".join(f"part {i} at {p}" for i, p in self.found.items())
            return f"event {self.seq} has {self.count} parts; missing: {absent}; there: {there}"
        after = ", ".join(str(p) for p in self.next_places)
        return f"event {self.seq} is missing; the next one there is {self.next_seq} (at {after})"


class Assembler:
    """Collects the parts of one chain's events. The result does not depend on how the topics' streams interleave."""

    def __init__(self, chain: int, next_seq: int = 0) -> None:
        self.chain = chain
        self.next_seq = next_seq
        self.held_bytes = 0
        #: The highest sequence number of this chain seen in each partition.
        self.frontier: dict[Partition, int] = {}
        self._waiting: dict[int, _Waiting] = {}

    def add(self, record: Sequenced, place: Position, size: int) -> bool:
        """Take a part of `size` bytes found at `place`; False if it is of another chain or a repetition.

        Raises `ConflictingParts` if another record claims to be the same part, or the same event has another part count.
        """
        if record.chain != self.chain:
            return False
        partition = Partition(place.topic, place.partition)
        self.frontier[partition] = max(record.seq, self.frontier.get(partition, record.seq))
        if record.seq < self.next_seq:
            return False
        event = self._waiting.setdefault(record.seq, _Waiting(record.parts))
        there = event.parts.get(record.part)
        if there is not None and there[0] == record:
            return False
        if there is not None or record.parts != event.count:
            self._conflict(record, place, event)
        event.parts[record.part] = (record, place, size)
        self.held_bytes += size
        return True

    def _conflict(self, record: Sequenced, place: Position, event: _Waiting) -> None:
        places = ", ".join(f"part {i} of {event.count} at {p}" for i, p in event.places().items())
        raise ConflictingParts(
            f"chain {self.chain}, event {record.seq}: part {record.part} of {record.parts} at {place} contradicts {places}. "
            "Two sequencers wrote the same number; this log cannot be followed further"
        )

    def take(self, limit: int, until_seq: int | None = None) -> list[Event]:
        """At most `limit` complete events, the next ones in order, none after `until_seq`."""
        events: list[Event] = []
        while len(events) < limit and (until_seq is None or self.next_seq <= until_seq):
            event = self._waiting.get(self.next_seq)
            if event is None or not event.complete:
                break
            del self._waiting[self.next_seq]
            self.next_seq += 1
            ordered = [event.parts[i] for i in range(event.count)]
            self.held_bytes -= sum(size for _, _, size in ordered)
            events.append(assemble(tuple(record for record, _, _ in ordered)))
        return events

    @property
    def ready(self) -> bool:
        """Whether `take` has something to give."""
        event = self._waiting.get(self.next_seq)
        return event is not None and event.complete

    @property
    def blocked(self) -> bool:
        """Whether something is held and the next event is not complete."""
        return bool(self._waiting) and not self.ready

    @property
    def held_parts(self) -> int:
        """How many parts are held."""
        return sum(len(event.parts) for event in self._waiting.values())

    def gap(self) -> Gap | None:
        """What is being waited for, None if nothing is held back."""
        if not self.blocked:
            return None
        event = self._waiting.get(self.next_seq)
        later = min((s for s in self._waiting if s > self.next_seq), default=None)
        return Gap(
            seq=self.next_seq,
            found=event.places() if event else {},
            count=event.count if event else None,
            next_seq=later,
            next_places=tuple(self._waiting[later].places().values()) if later is not None else (),
        )

    def oldest_held(self) -> dict[Partition, int]:
        """The lowest offset of a held part, for each partition that has one: re-reading from there finds them all."""
        oldest: dict[Partition, int] = {}
        for event in self._waiting.values():
            for _, place, _ in event.parts.values():
                partition = Partition(place.topic, place.partition)
                oldest[partition] = min(place.offset, oldest.get(partition, place.offset))
        return oldest

    def ahead(self) -> list[Partition]:
        """The partitions in which nothing of the next event can still come, as each partition is in order."""
        return [partition for partition, seq in self.frontier.items() if seq > self.next_seq]
