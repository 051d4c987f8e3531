"""The Bytewax step of the market: gathers each event with the shards' answers and reacts to it.

One key for the chain: a route may cross any shards. What it hands on goes out over the simulation shards again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.deadline import NO_DEADLINE, UNLIMITED, Allowance, Deadline
from operators.gather import Gather
from operators.graph.codes import answers_to
from operators.graph.messages import ShardOutput
from operators.market.candidates import EncodeCall
from operators.market.heads import Heads
from operators.market.mempool import Mempool
from operators.market.messages import Candidate, EventSummary
from operators.market.react import Market, MarketSettings
from operators.observe import Observe, ignore
from operators.simulation.engine import Engine
from schemas.event import Event

KEY = "market"
SNAPSHOT_VERSION = 2


class Reaction(NamedTuple):
    """An event's summary, its candidates, and what is allowed to their simulation."""

    summary: EventSummary
    candidates: tuple[Candidate, ...]
    allowance: Allowance = UNLIMITED


class _Logic(StatefulBatchLogic[Event | ShardOutput, Reaction, tuple[Any, ...]]):
    def __init__(
        self,
        settings: MarketSettings,
        shards: int,
        engine: Engine,
        encode: EncodeCall,
        observe: Observe,
        deadline: Deadline,
        state: Any,
    ) -> None:
        version, last_seq, heads, pending = state or (SNAPSHOT_VERSION, None, (), None)
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"market snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._gather: Gather[Event, ShardOutput] = Gather(shards, last_seq)
        self._market = Market(
            settings,
            engine,
            encode,
            Heads(settings.chain_id, settings.fork, settings.block_seconds, heads),
            Mempool(settings.mempool, pending),
        )
        self._observe = observe
        self._deadline = deadline
        #: The first event of a process goes to all shards: see `operators.graph.step`.
        self._first = True

    def on_batch(self, values: list[Event | ShardOutput]) -> tuple[Iterable[Reaction], bool]:
        out = []
        arrived = self._deadline.arrived()
        for value in values:
            if isinstance(value, Event):
                expected = answers_to(value, self._gather.shards, self._first)
                self._first = False
                complete = self._gather.context(value.seq, value, expected)
            else:
                complete = self._gather.answer(value.seq, value.shard, value)
            for event, answers in complete:
                self._observe("graph", event.seq)
                allowance = self._deadline.allow(event, arrived)
                summary, candidates = self._market.react(event, answers)
                self._observe("search", event.seq)
                out.append(Reaction(summary, tuple(candidates), allowance))
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        # The view is not here: it holds only what the shards hold, and they announce all of it after a resume.
        assert self._gather.idle(), "an epoch closed with an event half gathered"
        return (SNAPSHOT_VERSION, self._gather.last_seq, self._market.heads.snapshot(), self._market.mempool.snapshot())


def market(
    step_id: str,
    events: Stream[Event],
    changes: KeyedStream[ShardOutput],
    shards: int,
    settings: MarketSettings,
    make_engine: Callable[[], Engine],
    encode: EncodeCall,
    observe: Observe = ignore,
    deadline: Deadline = NO_DEADLINE,
) -> KeyedStream[Reaction]:
    """Overlay, search and encoding: every event with what there is to do about it."""
    contexts = op.map(f"{step_id}_key_events", events, lambda event: (KEY, event))
    answers = op.map(f"{step_id}_key_changes", changes, lambda keyed: (KEY, keyed[1]))
    merged: KeyedStream[Event | ShardOutput] = op.merge(f"{step_id}_merge", contexts, answers)
    return op.stateful_batch(
        step_id, merged, lambda state: _Logic(settings, shards, make_engine(), encode, observe, deadline, state)
    )
