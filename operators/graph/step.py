"""The Bytewax step of graph state: one key per shard, one answer per event and shard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.graph.messages import ShardInput, ShardOutput, fan_out
from operators.graph.shard import GraphShard
from schemas.event import Event


class _Logic(StatefulBatchLogic[ShardInput, ShardOutput, tuple[Any, ...]]):
    def __init__(self, state: tuple[Any, ...] | None, journal_depth: int) -> None:
        self._core = GraphShard(state, journal_depth)

    def on_batch(self, values: list[ShardInput]) -> tuple[Iterable[ShardOutput], bool]:
        return [self._core.apply(value) for value in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._core.snapshot()


def graph_state(step_id: str, events: Stream[Event], shards: int, journal_depth: int) -> KeyedStream[ShardOutput]:
    """Keep pools and tracked accounts of each shard in step with the events.

    >>> # changes = graph_state("graph_state", events, shards=16, journal_depth=64)
    """

    def split(event: Event) -> Iterable[tuple[str, ShardInput]]:
        return fan_out(event, shards)

    keyed = op.flat_map(f"{step_id}_fan_out", events, split)
    return op.stateful_batch(step_id, keyed, lambda state: _Logic(state, journal_depth))
