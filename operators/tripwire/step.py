"""The Bytewax step of the tripwire: events in, samples out, one key per shard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.graph.messages import ShardInput, fan_out
from operators.tripwire.messages import Sample, TakenOff
from operators.tripwire.watch import WatchSettings, WatchShard
from schemas.event import Event


class _Logic(StatefulBatchLogic[ShardInput, Sample | TakenOff, tuple[Any, ...]]):
    def __init__(self, settings: WatchSettings, state: tuple[Any, ...] | None) -> None:
        self._settings = settings
        # Which shard it is, the first message says; a resumed one is made when that comes.
        self._state = state
        self._core: WatchShard | None = None

    def on_batch(self, values: list[ShardInput]) -> tuple[Iterable[Sample | TakenOff], bool]:
        out: list[Sample | TakenOff] = []
        for value in values:
            if self._core is None:
                self._core = WatchShard(self._settings, value.shard, self._state)
            out += self._core.apply(value)
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        if self._core is not None:
            return self._core.snapshot()
        return self._state or ()


def watch(step_id: str, events: Stream[Event], shards: int, settings: WatchSettings) -> KeyedStream[Sample | TakenOff]:
    """Follow the events and draw samples of the pools.

    >>> # samples = watch("watch", events, 16, WatchSettings(delay=2, least=1, block_seconds=12))
    """

    def split(event: Event) -> Iterable[tuple[str, ShardInput]]:
        return fan_out(event, shards)

    keyed = op.flat_map(f"{step_id}_fan_out", events, split)
    return op.stateful_batch(step_id, keyed, lambda state: _Logic(settings, state))
