"""The sink of a replay: it takes decisions and reaches nobody. No client, no key and no address is in this module."""

from __future__ import annotations

from collections.abc import Callable

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from schemas.decisions import DecisionRecord

Keep = Callable[[DecisionRecord], None]


class _ShadowPartition(StatefulSinkPartition[DecisionRecord, None]):
    def __init__(self, keep: Keep | None) -> None:
        self._keep = keep

    def write_batch(self, values: list[DecisionRecord]) -> None:
        if self._keep is not None:
            for decision in values:
                self._keep(decision)

    def snapshot(self) -> None:
        return None


class ShadowSink(FixedPartitionedSink[DecisionRecord, None]):
    """Takes `(key, DecisionRecord)` where the live flow has its `BundleSink`; hands each to `keep`, if given."""

    def __init__(self, keep: Keep | None = None) -> None:
        self._keep = keep

    def list_parts(self) -> list[str]:
        """One partition, like the live sink's."""
        return ["edge"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _ShadowPartition:
        """Nothing is resumed: nothing was done."""
        return _ShadowPartition(self._keep)
