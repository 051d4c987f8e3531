"""The events of one chain, in order, from the sequenced topics: what the source and the readers outside of flows share."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from infra.kafka import clients
from infra.kafka.assembler import Assembler
from infra.kafka.checked_reader import CheckedReader
from infra.kafka.errors import StateMismatch
from infra.kafka.gap_watch import GapWatch
from infra.kafka.layout import LogLayout, reached
from infra.kafka.positions import Partition
from infra.kafka.until import Until
from infra.runtime import metrics
from schemas.config import KafkaConfig
from schemas.event import Event
from schemas.record import Sequenced
from schemas.topics import MIB, SEQUENCED

#: Records taken from the client in one go.
_READ_LIMIT = 500
#: How much is held for events whose turn has not come, before the topics that are ahead are made to wait.
_HOLD_BYTES = 64 * MIB

#: A saved place in the events: cluster id, next event, and per partition the offset from which everything not yet
#: returned can be read again. Plain data, so that it outlives classes.
Bookmark = tuple[str, int, tuple[tuple[str, int, int], ...]]


class EventReader:
    """One consumer over all partitions of all sequenced topics, returning the chain's events strictly by number."""

    def __init__(
        self,
        kafka: KafkaConfig,
        chain: int,
        reader: str,
        *,
        bookmark: Bookmark | None = None,
        from_seq: int = 0,
        until: Until | None = None,
        gap_timeout_s: float = 30.0,
    ) -> None:
        """Without a `bookmark`, reads from the low-water marks and returns events from `from_seq` on."""
        layout = LogLayout(kafka, clients.admin(kafka))
        partitions = layout.partitions(t.name for t in SEQUENCED)
        self._cluster_id = layout.cluster_id()
        lows = layout.lows(partitions)
        starts = lows if bookmark is None else resumed(bookmark[0], bookmark[2], self._cluster_id, lows)
        self._until = until
        self._ends = layout.settled_ends(partitions) if until is not None else {}
        self._last_seq: int | None = until.seq if until is not None else None
        self._highest_before_end = -1
        self._assembler = Assembler(chain, from_seq if bookmark is None else bookmark[1])
        self._reader = CheckedReader(kafka, f"{reader}.{chain}", starts)
        self._gap = GapWatch(self._assembler, self._reader.log, layout, gap_timeout_s)
        self._next_seq = metrics.NEXT_SEQ.labels(str(chain))
        self._waiting = metrics.PARTS_WAITING.labels(str(chain))

    def read(self, limit: int, wait_s: float) -> list[Event]:
        """At most `limit` next events; waits up to `wait_s` seconds for something to read, less if something is there.

        Raises `MissingSequence`, `ConflictingParts`, `OffsetLost`, `ReadFailed`, `WriteFailed` (of a dead letter).
        """
        if not self._assembler.ready:
            self._fill(wait_s)
        events = self._assembler.take(limit, self._last_seq)
        for event in events:
            metrics.EVENTS_EMITTED.labels(str(event.chain), event.kind.value).inc()
        if not events:
            self._waiting.set(self._assembler.held_parts)
        self._next_seq.set(self._assembler.next_seq)
        return events

    def _fill(self, wait_s: float) -> None:
        for place, record, size in self._reader.read(_READ_LIMIT, wait_s):
            # Only sequenced topics are read here, so only sequenced records come.
            assert isinstance(record, Sequenced)
            if self._until is not None and place.offset < self._ends[Partition(place.topic, place.partition)]:
                self._note_before_end(record)
            if not self._assembler.add(record, place, size) and record.chain == self._assembler.chain:
                metrics.RECORDS_REPEATED.labels(place.topic).inc()
        self._hold_back()
        self._gap.check()

    def _note_before_end(self, record: Sequenced) -> None:
        if record.chain == self._assembler.chain:
            self._highest_before_end = max(self._highest_before_end, record.seq)

    def _hold_back(self) -> None:
        """Bound memory: topics that have nothing of the next event left to give wait for the others."""
        held, log = self._assembler.held_bytes, self._reader.log
        if held > _HOLD_BYTES:
            log.pause_only(self._assembler.ahead())
        elif log.paused:
            # Lasting until half of it is gone, so that topics do not stop and go with each record; but one that is not ahead
            # any more may have the very part that is waited for.
            log.pause_only(() if held < _HOLD_BYTES // 2 else log.paused.intersection(self._assembler.ahead()))

    @property
    def next_seq(self) -> int:
        """The number of the next event that `read` will return."""
        return self._assembler.next_seq

    @property
    def finished(self) -> bool:
        """Whether a bounded reader has returned everything up to its bound: to the last event of which a part lay before
        the ends the partitions had at the start, and of that event everything."""
        if self._until is None:
            return False
        if self._until.seq is not None and self._assembler.next_seq > self._until.seq:
            return True
        if not reached(self._reader.log.positions, self._ends):
            return False
        highest = self._highest_before_end
        self._last_seq = highest if self._until.seq is None else min(highest, self._until.seq)
        return self._assembler.next_seq > self._last_seq

    def bookmark(self) -> Bookmark:
        """Where to go on after everything returned so far. Dead letters before it are on the cluster when this returns."""
        self._reader.flush_dead_letters()
        offsets = {**self._reader.log.positions, **self._assembler.oldest_held()}
        plain = tuple((p.topic, p.number, offset) for p, offset in sorted(offsets.items()))
        return (self._cluster_id, self._assembler.next_seq, plain)

    def flush_dead_letters(self) -> None:
        """Return when every dead letter so far is on the cluster. Raises `WriteFailed`."""
        self._reader.flush_dead_letters()

    def close(self) -> None:
        """Leave the cluster. Never raises; see `flush_dead_letters`."""
        self._reader.close()

    def __enter__(self) -> EventReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def resumed(
    saved_cluster: str, saved: tuple[tuple[str, int, int], ...], cluster: str, lows: Mapping[Partition, int]
) -> dict[Partition, int]:
    """Where to start each partition of today after a restart: as saved; a partition made since then, at its beginning.

    Raises `StateMismatch` if the offsets are of another cluster, or a partition is gone.
    """
    if saved_cluster != cluster:
        raise StateMismatch(
            f"the saved positions are of cluster {saved_cluster!r}, this is cluster {cluster!r}: offsets mean nothing here. "
            "To go on, connect to the former, or remove the state directory to begin anew"
        )
    offsets = {Partition(t, n): offset for t, n, offset in saved}
    if gone := sorted(offsets.keys() - lows.keys()):
        raise StateMismatch(
            f"saved positions of {', '.join(map(str, gone))}, which this flow does not find any more. "
            "To go on, restore the topics, or remove the state directory to begin anew"
        )
    return {p: offsets.get(p, low) for p, low in lows.items()}
