"""The flow's input: the events of one chain, strictly by sequence number."""

from __future__ import annotations

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from infra.kafka.event_reader import Bookmark, EventReader
from infra.kafka.until import Until
from infra.runtime.drain import Drain
from schemas.config import KafkaConfig
from schemas.event import Event

__all__ = ["SequencedSource", "Until"]

#: How long a read may hold the worker when nothing is there, in seconds. Short: other operators share the thread.
_WAIT_S = 0.001


class _Partition(StatefulSourcePartition[Event, Bookmark]):
    def __init__(self, reader: EventReader, batch_size: int, drain: Drain) -> None:
        self._reader = reader
        self._batch_size = batch_size
        self._drain = drain

    @override
    def next_batch(self) -> list[Event]:
        if self._drain.is_set() or self._reader.finished:
            raise StopIteration
        return self._reader.read(self._batch_size, _WAIT_S)

    @override
    def snapshot(self) -> Bookmark:
        return self._reader.bookmark()

    @override
    def close(self) -> None:
        # Also called while an error unwinds the engine, which dies if this raises; the last snapshot has flushed everything.
        self._reader.close()


class SequencedSource(FixedPartitionedSource[Event, Bookmark]):
    """Emits `schemas.event.Event`s of one chain.

    One partition, because there is one order. A first start begins at the low-water marks, a resumed one drops what was
    emitted before. A number that is missing for `gap_timeout_s` seconds is a `MissingSequence`; an offset that the cluster
    no longer has is an `OffsetLost`; nothing is ever skipped. Records that cannot be read go to the dead-letter topic under
    the name `reader`, before the position behind them is saved.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        chain: int,
        reader: str,
        *,
        batch_size: int,
        drain: Drain,
        until: Until | None = None,
        gap_timeout_s: float = 30.0,
    ) -> None:
        self._kafka = kafka
        self._chain = chain
        self._reader = reader
        self._batch_size = batch_size
        self._drain = drain
        self._until = until
        self._gap_timeout_s = gap_timeout_s

    @override
    def list_parts(self) -> list[str]:
        return ["events"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Bookmark | None) -> _Partition:
        reader = EventReader(
            self._kafka,
            self._chain,
            self._reader,
            bookmark=resume_state,
            until=self._until,
            gap_timeout_s=self._gap_timeout_s,
        )
        return _Partition(reader, self._batch_size, self._drain)
