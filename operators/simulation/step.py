"""The Bytewax step of simulation: candidates over a fixed set of shards, so that processes share the work.

A shard answers every event with one message, so the order in which workers finish cannot be seen downstream. A candidate whose turn comes
after the event's deadline is refused as late (`operators.deadline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.deadline import LATE, LATE_DETAIL, NO_DEADLINE, Allowance, Deadline, is_late
from operators.market.messages import Candidate, SimulationInput
from operators.market.step import Reaction
from operators.simulation.engine import Engine
from operators.simulation.verdict import Verdict, refused


class SimulationOutput(NamedTuple):
    """A shard's verdicts on its share of an event's candidates, by candidate index."""

    seq: int
    shard: int
    verdicts: tuple[tuple[int, Verdict], ...]


def simulate(engine: Engine, message: SimulationInput, deadline: Deadline = NO_DEADLINE) -> SimulationOutput:
    """Execute each candidate on its own fresh witness, best first, until the deadline."""
    verdicts = tuple(
        (candidate.index, _verdict(engine, candidate, message.allowance, deadline)) for candidate in message.candidates
    )
    return SimulationOutput(message.seq, message.shard, verdicts)


def _verdict(engine: Engine, candidate: Candidate, allowance: Allowance, deadline: Deadline) -> Verdict:
    if candidate.refusal:
        return refused(candidate.refusal, "the state before it is not known")
    if is_late(deadline, allowance, candidate.index):
        return refused(LATE, LATE_DETAIL)
    return engine.execute_each(candidate.witness, candidate.env, [candidate.transaction], [candidate.needs])[0]


class _Logic(StatefulBatchLogic[SimulationInput, SimulationOutput, tuple[()]]):
    def __init__(self, engine: Engine, deadline: Deadline) -> None:
        self._engine = engine
        self._deadline = deadline

    def on_batch(self, values: list[SimulationInput]) -> tuple[Iterable[SimulationOutput], bool]:
        return [simulate(self._engine, value, self._deadline) for value in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[()]:
        return ()  # every candidate brings its own state


def split(reaction: Reaction, shards: int) -> Iterable[tuple[str, SimulationInput]]:
    """Deal an event's candidates over the simulation shards, one message each."""
    dealt: list[list[Candidate]] = [[] for _ in range(shards)]
    for candidate in reaction.candidates:
        dealt[candidate.index % shards].append(candidate)
    for shard in range(shards):
        yield f"{shard:03d}", SimulationInput(reaction.summary.seq, shard, tuple(dealt[shard]), reaction.allowance)


def simulation(
    step_id: str,
    reactions: KeyedStream[Reaction],
    shards: int,
    make_engine: Callable[[], Engine],
    deadline: Deadline = NO_DEADLINE,
) -> KeyedStream[SimulationOutput]:
    """Verdicts for every event's candidates."""

    def deal(keyed: tuple[str, Reaction]) -> Iterable[tuple[str, SimulationInput]]:
        return split(keyed[1], shards)

    dealt = op.flat_map(f"{step_id}_fan_out", reactions, deal)
    return op.stateful_batch(step_id, dealt, lambda _state: _Logic(make_engine(), deadline))
