"""The flow's input from topics that are not sequenced: in order within each partition, nothing skipped."""

from __future__ import annotations

from collections.abc import Sequence

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from infra.kafka import clients
from infra.kafka.checked_reader import CheckedReader
from infra.kafka.event_reader import resumed
from infra.kafka.layout import LogLayout, reached
from infra.kafka.positions import Partition
from infra.runtime.drain import Drain
from schemas.config import KafkaConfig
from schemas.record import Record

#: How long a read may hold the worker when nothing is there, in seconds.
_WAIT_S = 0.001

#: Cluster id, and per partition the offset to go on from.
Bookmark = tuple[str, tuple[tuple[str, int, int], ...]]


class _Partitions(StatefulSourcePartition[tuple[str, Record], Bookmark]):
    def __init__(
        self, reader: CheckedReader, cluster_id: str, batch_size: int, drain: Drain, ends: dict[Partition, int] | None
    ) -> None:
        self._reader = reader
        self._cluster_id = cluster_id
        self._batch_size = batch_size
        self._drain = drain
        self._ends = ends

    @override
    def next_batch(self) -> list[tuple[str, Record]]:
        if self._drain.is_set() or (self._ends is not None and reached(self._reader.log.positions, self._ends)):
            raise StopIteration
        return [(place.topic, record) for place, record, _ in self._reader.read(self._batch_size, _WAIT_S)]

    @override
    def snapshot(self) -> Bookmark:
        self._reader.flush_dead_letters()
        positions = sorted(self._reader.log.positions.items())
        return (self._cluster_id, tuple((p.topic, p.number, offset) for p, offset in positions))

    @override
    def close(self) -> None:
        # Also called while an error unwinds the engine, which dies if this raises; the last snapshot has flushed everything.
        self._reader.close()


class CheckedSource(FixedPartitionedSource[tuple[str, Record], Bookmark]):
    """Emits (topic name without prefix, record) from all partitions of some topics, through one consumer.

    A first start begins at the low-water marks, or, for a topic or partition made later, at its beginning. `until_end`
    stops at the ends that the partitions had at the start. Errors and dead letters as in `SequencedSource`.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        topic_names: Sequence[str],
        reader: str,
        *,
        batch_size: int,
        drain: Drain,
        until_end: bool = False,
    ) -> None:
        self._kafka = kafka
        self._topic_names = tuple(topic_names)
        self._reader = reader
        self._batch_size = batch_size
        self._drain = drain
        self._until_end = until_end

    @override
    def list_parts(self) -> list[str]:
        return ["records"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Bookmark | None) -> _Partitions:
        layout = LogLayout(self._kafka, clients.admin(self._kafka))
        partitions = layout.partitions(self._topic_names)
        cluster_id = layout.cluster_id()
        lows = layout.lows(partitions)
        starts = lows if resume_state is None else resumed(*resume_state, cluster_id, lows)
        ends = layout.settled_ends(partitions) if self._until_end else None
        reader = CheckedReader(self._kafka, self._reader, starts)
        return _Partitions(reader, cluster_id, self._batch_size, self._drain, ends)
