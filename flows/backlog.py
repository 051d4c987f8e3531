"""What settlement must know before it looks at blocks: the decisions and submissions that were there when it started.

The streams are read by sources of their own, and blocks are read faster than anything else. A decision that arrives after
settlement has forgotten its block could not be settled as it ended, so blocks wait until the others have caught up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from infra.kafka import clients
from infra.kafka.checked_source import Bookmark, CheckedSource
from infra.kafka.layout import LogLayout, reached
from infra.kafka.positions import Partition
from infra.runtime.drain import Drain
from schemas.config import KafkaConfig
from schemas.event import Event
from schemas.record import Record

_POLL = timedelta(milliseconds=20)


class Backlog:
    """Which of some sources have read what was there at the start. A folder tells it from process to process."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`folder` belongs to one run of the flow: files of another run would be taken for answers."""
        self._folder = folder
        self._missing = set(names)

    def read(self, name: str) -> None:
        """Note that a source has read its backlog."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).touch()

    @property
    def over(self) -> bool:
        """Whether all have."""
        self._missing = {name for name in self._missing if not (self._folder / name).exists()}
        return not self._missing


class _CatchingUp(StatefulSourcePartition[tuple[str, Record], Bookmark]):
    """Passes a source on, and tells when it is past the ends of its topics as of the start."""

    def __init__(
        self,
        inner: StatefulSourcePartition[tuple[str, Record], Bookmark],
        ends: dict[Partition, int],
        name: str,
        backlog: Backlog,
    ) -> None:
        self._inner = inner
        self._ends: dict[Partition, int] | None = ends
        self._name = name
        self._backlog = backlog

    def next_batch(self) -> list[tuple[str, Record]]:
        # Looked at before reading: what was read by now has left in an earlier batch.
        self._tell()
        return list(self._inner.next_batch())

    def _tell(self) -> None:
        if self._ends is None:
            return
        _, positions = self._inner.snapshot()
        if reached({Partition(topic, number): offset for topic, number, offset in positions}, self._ends):
            self._backlog.read(self._name)
            self._ends = None

    def snapshot(self) -> Bookmark:
        return self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


class BacklogSource(FixedPartitionedSource[tuple[str, Record], Bookmark]):
    """A `CheckedSource` of one topic that tells when its backlog is read."""

    def __init__(
        self, kafka: KafkaConfig, topic_name: str, reader: str, *, batch_size: int, drain: Drain, backlog: Backlog
    ) -> None:
        self._source = CheckedSource(kafka, [topic_name], f"{reader}.{topic_name}", batch_size=batch_size, drain=drain)
        self._kafka = kafka
        self._topic_name = topic_name
        self._backlog = backlog

    def list_parts(self) -> list[str]:
        """Those of the source itself."""
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Bookmark | None) -> _CatchingUp:
        """Opens the source and notes where its topic ends now."""
        layout = LogLayout(self._kafka, clients.admin(self._kafka))
        ends = layout.settled_ends(layout.partitions([self._topic_name]))
        inner = self._source.build_part(step_id, for_part, resume_state)
        return _CatchingUp(inner, ends, self._topic_name, self._backlog)


class _Waiting(StatefulSourcePartition[Event, Any]):
    """Emits nothing before the backlog is over."""

    def __init__(self, inner: StatefulSourcePartition[Event, Any], backlog: Backlog, drain: Drain) -> None:
        self._inner = inner
        self._backlog: Backlog | None = backlog
        self._drain = drain
        self._awake: datetime | None = None

    def next_batch(self) -> list[Event]:
        if self._backlog is not None:
            if self._drain.is_set():
                raise StopIteration
            if not self._backlog.over:
                self._awake = datetime.now(UTC) + _POLL
                return []
            self._backlog = self._awake = None
        return list(self._inner.next_batch())

    def next_awake(self) -> datetime | None:
        return self._awake if self._backlog is not None else self._inner.next_awake()

    def snapshot(self) -> Any:
        return self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


class AfterBacklog(FixedPartitionedSource[Event, Any]):
    """A source of events that waits for the backlog."""

    def __init__(self, source: FixedPartitionedSource[Event, Any], backlog: Backlog, drain: Drain) -> None:
        self._source = source
        self._backlog = backlog
        self._drain = drain

    def list_parts(self) -> list[str]:
        """Those of the source itself."""
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Waiting:
        """Opens the source; it is read from when the backlog is over."""
        return _Waiting(self._source.build_part(step_id, for_part, resume_state), self._backlog, self._drain)
