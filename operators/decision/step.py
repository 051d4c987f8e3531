"""The Bytewax step of decisions: gathers each event's summary with the verdicts of the simulation shards that had candidates of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.deadline import NO_DEADLINE, Deadline
from operators.decision.core import Decision, DecisionSettings
from operators.decision.requests import Requests
from operators.gather import Gather
from operators.market.messages import EventSummary
from operators.market.step import Reaction
from operators.observe import Observe, ignore
from operators.simulation.step import SimulationOutput, answers_to
from schemas.control import CommandRecord
from schemas.decisions import DecisionRecord
from schemas.opportunities import OpportunityRecord

KEY = "decision"
SNAPSHOT_VERSION = 2


class Decided(NamedTuple):
    """An event's decision, the record of each opportunity it had, and what is asked of the sequencer because of it."""

    decision: DecisionRecord
    opportunities: tuple[OpportunityRecord, ...]
    commands: tuple[CommandRecord, ...] = ()


class _Logic(StatefulBatchLogic[EventSummary | SimulationOutput, Decided, tuple[Any, ...]]):
    def __init__(
        self, settings: DecisionSettings, shards: int, observe: Observe, deadline: Deadline, state: Any
    ) -> None:
        version, last_seq, decision, requests = state or (SNAPSHOT_VERSION, None, None, None)
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"decision step snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._gather: Gather[EventSummary, SimulationOutput] = Gather(shards, last_seq)
        self._core = Decision(settings, decision)
        self._requests = Requests(settings.chain_id, settings.request_witness_every, requests)
        self._observe = observe
        self._deadline = deadline

    def on_batch(self, values: list[EventSummary | SimulationOutput]) -> tuple[Iterable[Decided], bool]:
        out = []
        for value in values:
            if isinstance(value, EventSummary):
                complete = self._gather.context(value.seq, value, answers_to(value, self._gather.shards))
            else:
                complete = self._gather.answer(value.seq, value.shard, value)
            for event, answers in complete:
                self._observe("simulate", event.seq)
                verdicts = {index: verdict for answer in answers for index, verdict in answer.verdicts}
                decision, opportunities = self._core.decide(event, verdicts)
                self._observe("decide", event.seq)
                out.append(Decided(decision, tuple(opportunities), tuple(self._requests.of(event, verdicts))))
        if late := [decided.decision for decided in out if decided.decision.late]:
            self._deadline.keep(late)
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        assert self._gather.idle(), "an epoch closed with an event half gathered"
        return (SNAPSHOT_VERSION, self._gather.last_seq, self._core.snapshot(), self._requests.snapshot())


def decide(
    step_id: str,
    reactions: KeyedStream[Reaction],
    verdicts: KeyedStream[SimulationOutput],
    shards: int,
    settings: DecisionSettings,
    observe: Observe = ignore,
    deadline: Deadline = NO_DEADLINE,
) -> KeyedStream[Decided]:
    """One decision per event."""
    summaries = op.map(f"{step_id}_key_events", reactions, lambda keyed: (KEY, keyed[1].summary))
    answers = op.map(f"{step_id}_key_verdicts", verdicts, lambda keyed: (KEY, keyed[1]))
    merged: KeyedStream[EventSummary | SimulationOutput] = op.merge(f"{step_id}_merge", summaries, answers)
    return op.stateful_batch(step_id, merged, lambda state: _Logic(settings, shards, observe, deadline, state))
