"""The Bytewax steps of graph state: one key per shard and per code shard, one answer per event and shard with a part in it.

The engine stores the whole state of every key that an epoch has touched, so a shard is spared what does not concern it: between two
blocks most events are pending transactions, and with a part in none of them no shard is stored again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.graph.codes import CodeShard, fan_out_codes
from operators.graph.messages import ShardOutput, fan_out_parts
from operators.graph.shard import GraphShard
from schemas.event import Event

V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)


class _Core(Protocol[V_contra]):
    def apply(self, message: V_contra, /) -> ShardOutput: ...

    def snapshot(self) -> tuple[Any, ...]: ...


class _Logic(StatefulBatchLogic[V, ShardOutput, tuple[Any, ...]]):
    def __init__(self, core: _Core[V]) -> None:
        self._core = core

    def on_batch(self, values: list[V]) -> tuple[Iterable[ShardOutput], bool]:
        return [self._core.apply(value) for value in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._core.snapshot()


class _Split(Generic[V]):
    """An event as the inputs of the shards with a part in it, by `inputs(event, to_all)`. The first one goes to all: after a resume each has
    to tell what it holds, and who gathers the answers takes the first event the same way."""

    def __init__(self, inputs: Callable[[Event, bool], Iterable[tuple[str, V]]]) -> None:
        self._inputs = inputs
        self._first = True

    def __call__(self, event: Event) -> Iterable[tuple[str, V]]:
        first, self._first = self._first, False
        return list(self._inputs(event, first))


def graph_state(step_id: str, events: Stream[Event], shards: int, journal_depth: int) -> KeyedStream[ShardOutput]:
    """Keep pools and tracked accounts of each shard in step with the events, and the codes of all contracts.

    >>> # changes = graph_state("graph_state", events, shards=16, journal_depth=64)
    """
    states = _Split(lambda event, to_all: fan_out_parts(event, shards, to_all))
    codes = _Split(lambda event, to_all: fan_out_codes(event, shards, to_all))
    states_by_shard = op.flat_map(f"{step_id}_fan_out", events, states)
    codes_by_shard = op.flat_map(f"{step_id}_codes_fan_out", events, codes)
    return op.merge(
        f"{step_id}_merge",
        op.stateful_batch(step_id, states_by_shard, lambda state: _Logic(GraphShard(state, journal_depth))),
        op.stateful_batch(f"{step_id}_codes", codes_by_shard, lambda state: _Logic(CodeShard(state))),
    )
