"""The deadline of an event at the simulation: whose turn comes too late is refused and not executed, by a clock or as recorded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

import schemas.blocks
from flows.deadline import ClockDeadline, Past, RecordedDeadline
from operators.deadline import LATE, NO_DEADLINE, UNLIMITED, Allowance
from operators.market.messages import Candidate, SimulationInput
from operators.simulation.engine import Case
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.step import simulate
from operators.simulation.verdict import Verdict
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.opportunities import VerdictKind

MS = 1_000_000
ENV = BlockEnv(1, 1, 1, bytes(20), 1, 1, bytes(32), 0, 0, "Cancun")
TRANSACTION = Transaction(bytes(20), bytes(20), 0, 0, b"", 1, 1, 1)


class SlowEngine:
    """Takes 3 ms of the clock for each candidate, and notes whom it executed."""

    name = "slow"

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.now = 0
        self.executed = 0

    def clock(self) -> int:
        return self.now

    def execute_cases(self, cases: Sequence[Case], **_: object) -> list[Verdict]:
        self.now += 3 * MS * bool(cases)
        self.executed += len(cases)
        return [Verdict(VerdictKind.SUCCESS, "", "", 100_000, 1, (), b"")] * len(cases)


def candidates(refused: int | None = None) -> tuple[Candidate, ...]:
    witness = Witness({}, {})
    return tuple(
        Candidate(index, TRANSACTION, ENV, witness, (), "hint_not_simulable" if index == refused else "")
        for index in range(0, 12, 2)
    )


def event(seq: int) -> Event:
    return Event(1, seq, EventKind.BLOCK, (msgspec.structs.replace(schemas.blocks.GOLDEN, seq=seq),))


def by_clock(engine: SlowEngine, limit_ms: int, past: Past | None = None) -> ClockDeadline:
    return ClockDeadline(limit_ms, lambda first: past or Past({}, 0), lambda found: None, engine.clock)


@pytest.mark.parametrize(("limit_ms", "in_time"), [(1, 1), (6, 3), (7, 3), (8, 3), (9, 4), (100, 6)])
def test_whose_turn_comes_after_the_deadline_is_refused_unexecuted(limit_ms: int, in_time: int) -> None:
    engine = SlowEngine()
    deadline = by_clock(engine, limit_ms)
    allowance = deadline.allow(event(7), deadline.arrived())
    verdicts = simulate(engine, SimulationInput(7, 0, candidates(), (0,) * 6, allowance), deadline).verdicts  # type: ignore[arg-type]
    assert [index for index, _ in verdicts] == [0, 2, 4, 6, 8, 10]
    late = tuple(index for index, v in verdicts if (v.kind, v.reason) == (VerdictKind.REFUSED, LATE))
    assert engine.executed == in_time and late == (0, 2, 4, 6, 8, 10)[in_time:]
    # The replay knows no clock, and whatever the machine's pace comes to the same verdicts.
    again, recorded = SlowEngine(), RecordedDeadline({7: late})
    message = SimulationInput(7, 0, candidates(), (0,) * 6, recorded.allow(event(7), recorded.arrived()))
    assert simulate(again, message, recorded).verdicts == verdicts  # type: ignore[arg-type]
    assert again.executed == in_time


@pytest.mark.parametrize(("at_once", "in_time"), [(1, 3), (2, 6), (4, 6)])
def test_those_that_are_executed_at_the_same_time_begin_at_the_same_time(at_once: int, in_time: int) -> None:
    engine = SlowEngine(at_once)
    deadline = by_clock(engine, 6)
    allowance = deadline.allow(event(7), deadline.arrived())
    simulate(engine, SimulationInput(7, 0, candidates(), (0,) * 6, allowance), deadline)  # type: ignore[arg-type]
    assert engine.executed == in_time


def test_what_the_search_took_counts_as_well() -> None:
    engine = SlowEngine()
    deadline = by_clock(engine, 5)
    arrived = deadline.arrived()
    engine.now += 6 * MS
    message = SimulationInput(7, 0, candidates(), (0,) * 6, deadline.allow(event(7), arrived))
    assert all(v.reason == LATE for _, v in simulate(engine, message, deadline).verdicts)  # type: ignore[arg-type]
    assert not engine.executed


def test_another_refusal_stays_what_it_is() -> None:
    engine = SlowEngine()
    message = SimulationInput(7, 0, candidates(refused=2), (0,) * 6, Allowance((0, 2)))
    reasons = [v.reason for _, v in simulate(engine, message, NO_DEADLINE).verdicts]  # type: ignore[arg-type]
    assert reasons == [LATE, "hint_not_simulable", "", "", "", ""]


def test_the_past_is_read_once_and_repeated_as_recorded() -> None:
    engine, asked = SlowEngine(), list[int]()

    def read(first: Event) -> Past:
        asked.append(first.seq)
        return Past({7: (1, 3)}, 9)

    deadline = ClockDeadline(5, read, lambda found: None, engine.clock)
    allowed = [deadline.allow(event(seq), 100) for seq in range(7, 11)]
    assert asked == [7]
    # Decided with late ones; decided without any, or not at all; what came after the start.
    assert allowed == [Allowance((1, 3)), UNLIMITED, Allowance(None, 100 + 5 * MS), Allowance(None, 100 + 5 * MS)]
