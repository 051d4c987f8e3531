"""The Bytewax step of simulation: candidates over a fixed set of shards, so that processes share the work.

A shard with a share of an event's candidates answers it with one message, the others are not asked; so the order in which workers finish cannot
be seen downstream. A candidate whose turn comes after the event's deadline is refused as late (`operators.deadline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import NamedTuple

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.deadline import LATE, LATE_DETAIL, NO_DEADLINE, Allowance, Deadline, is_late
from operators.market.messages import Candidate, EventSummary, SimulationInput
from operators.market.step import Reaction
from operators.simulation.access_lists import TOUCHED, Executed, cheapest
from operators.simulation.engine import Case, Engine
from operators.simulation.verdict import WITHOUT_LOGS, Verdict, refused


class SimulationOutput(NamedTuple):
    """A shard's verdicts on its share of an event's candidates, by candidate index."""

    seq: int
    shard: int
    verdicts: tuple[tuple[int, Verdict], ...]


def simulate(
    engine: Engine, message: SimulationInput, deadline: Deadline = NO_DEADLINE, access_lists: bool = False
) -> SimulationOutput:
    """Execute each candidate on its own fresh witness, best first, until the deadline; then those that may be chosen with an access list, which
    they keep if they cost less."""
    verdicts: dict[int, Verdict] = {}
    begun: dict[int, Case] = {}
    for first in range(0, len(message.candidates), engine.at_once):
        together: dict[int, Case] = {}
        for candidate in message.candidates[first : first + engine.at_once]:
            refusal = _refusal(candidate, message.allowance, deadline)
            if refusal is not None:
                verdicts[candidate.index] = refusal
            else:
                case = Case(candidate.witness, candidate.env, candidate.transaction, candidate.needs)
                together[candidate.index] = case
        report = TOUCHED if access_lists else WITHOUT_LOGS
        verdicts.update(zip(together, engine.execute_cases(list(together.values()), report=report), strict=True))
        begun |= together
    if access_lists:
        gross = dict(zip((candidate.index for candidate in message.candidates), message.gross_wei, strict=True))
        executed = [Executed(case, verdicts[index], gross[index]) for index, case in begun.items()]
        verdicts.update(zip(begun, cheapest(engine, executed), strict=True))
    return SimulationOutput(message.seq, message.shard, tuple(sorted(verdicts.items(), key=itemgetter(0))))


def _refusal(candidate: Candidate, allowance: Allowance, deadline: Deadline) -> Verdict | None:
    """Why a candidate is not executed."""
    if candidate.refusal:
        return refused(candidate.refusal, "the state before it is not known")
    if is_late(deadline, allowance, candidate.index):
        return refused(LATE, LATE_DETAIL)
    return None


class _Logic(StatefulBatchLogic[SimulationInput, SimulationOutput, tuple[()]]):
    def __init__(self, engine: Engine, deadline: Deadline, access_lists: bool) -> None:
        self._engine = engine
        self._deadline = deadline
        self._access_lists = access_lists

    def on_batch(self, values: list[SimulationInput]) -> tuple[Iterable[SimulationOutput], bool]:
        out = [simulate(self._engine, value, self._deadline, self._access_lists) for value in values]
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[()]:
        return ()  # every candidate brings its own state


def split(reaction: Reaction, shards: int) -> Iterable[tuple[str, SimulationInput]]:
    """Deal an event's candidates over the simulation shards, a message to each that gets some: of most events none."""
    dealt: dict[int, list[Candidate]] = {}
    for candidate in reaction.candidates:
        dealt.setdefault(candidate.index % shards, []).append(candidate)
    routes = reaction.summary.routes
    for shard in sorted(dealt):
        candidates = tuple(dealt[shard])
        gross_wei = tuple(routes[candidate.index].gross_wei for candidate in candidates)
        message = SimulationInput(reaction.summary.seq, shard, candidates, gross_wei, reaction.allowance)
        yield f"{shard:03d}", message


def answers_to(event: EventSummary, shards: int) -> int:
    """How many simulation shards answer an event: those that `split` has something for."""
    return len({route.index % shards for route in event.routes})


def simulation(
    step_id: str,
    reactions: KeyedStream[Reaction],
    shards: int,
    make_engine: Callable[[], Engine],
    deadline: Deadline = NO_DEADLINE,
    access_lists: bool = False,
) -> KeyedStream[SimulationOutput]:
    """Verdicts for every event's candidates."""

    def deal(keyed: tuple[str, Reaction]) -> Iterable[tuple[str, SimulationInput]]:
        return split(keyed[1], shards)

    dealt = op.flat_map(f"{step_id}_fan_out", reactions, deal)
    return op.stateful_batch(step_id, dealt, lambda _state: _Logic(make_engine(), deadline, access_lists))
