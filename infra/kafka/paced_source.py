"""A source that waits while its consumer has enough: what is not read stays in the log, which is the better buffer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from infra.runtime.drain import Drain

_POLL = timedelta(milliseconds=20)


class _Paced(StatefulSourcePartition[Any, Any]):
    def __init__(self, inner: StatefulSourcePartition[Any, Any], enough: Callable[[], bool], drain: Drain) -> None:
        self._inner = inner
        self._enough = enough
        self._drain = drain
        self._awake: datetime | None = None

    @override
    def next_batch(self) -> list[Any]:
        if self._enough():
            if self._drain.is_set():
                raise StopIteration
            self._awake = datetime.now(UTC) + _POLL
            return []
        self._awake = None
        return list(self._inner.next_batch())

    @override
    def next_awake(self) -> datetime | None:
        return self._awake or self._inner.next_awake()

    @override
    def snapshot(self) -> Any:
        return self._inner.snapshot()

    @override
    def close(self) -> None:
        self._inner.close()


class PacedSource(FixedPartitionedSource[Any, Any]):
    """Passes a source on, except while `enough()`; asked in the process that reads, so for flows of one process."""

    def __init__(self, source: FixedPartitionedSource[Any, Any], enough: Callable[[], bool], drain: Drain) -> None:
        self._source = source
        self._enough = enough
        self._drain = drain

    @override
    def list_parts(self) -> list[str]:
        return self._source.list_parts()

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Paced:
        return _Paced(self._source.build_part(step_id, for_part, resume_state), self._enough, self._drain)
