"""The Bytewax step of graph state: one key per shard, one answer per event and shard with a part in it.

The engine stores the whole state of every key that an epoch has touched, so a shard is spared what does not concern it: between two
blocks most events are pending transactions, and with a part in none of them no shard is stored again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.graph.messages import ShardInput, ShardOutput, fan_out, shards_with_a_part
from operators.graph.shard import GraphShard
from schemas.event import Event


class _Logic(StatefulBatchLogic[ShardInput, ShardOutput, tuple[Any, ...]]):
    def __init__(self, state: tuple[Any, ...] | None, journal_depth: int) -> None:
        self._core = GraphShard(state, journal_depth)

    def on_batch(self, values: list[ShardInput]) -> tuple[Iterable[ShardOutput], bool]:
        return [self._core.apply(value) for value in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._core.snapshot()


class _Split:
    """An event as the inputs of the shards with a part in it. The first one goes to all: after a resume each has to tell what it holds, and
    who gathers the answers takes the first event the same way."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._first = True

    def __call__(self, event: Event) -> Iterable[tuple[str, ShardInput]]:
        asked = range(self._shards) if self._first else shards_with_a_part(event, self._shards)
        self._first = False
        return [keyed for keyed in fan_out(event, self._shards) if keyed[1].shard in asked] if asked else ()


def graph_state(step_id: str, events: Stream[Event], shards: int, journal_depth: int) -> KeyedStream[ShardOutput]:
    """Keep pools and tracked accounts of each shard in step with the events.

    >>> # changes = graph_state("graph_state", events, shards=16, journal_depth=64)
    """

    keyed = op.flat_map(f"{step_id}_fan_out", events, _Split(shards))
    return op.stateful_batch(step_id, keyed, lambda state: _Logic(state, journal_depth))
