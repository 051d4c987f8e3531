"""Deadlines: what was late by a clock is late again when the event is decided again, after a crash and in a replay."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from flows.deadline import ClockDeadline, Past, RecordedDeadline
from flows.search import build
from operators.deadline import Deadline
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.record import Record
from tests.flow.test_search_flow import CONFIG, decisions, events_with_codes, sink, undisturbed

LIMIT_MS = 1


class Clock:
    """A machine that is mostly fast and sometimes not: a look at the clock takes from 10 ns to 1 ms. Every run's is another one."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self._now = 0

    def __call__(self) -> int:
        self._now += int(10 ** self._rng.uniform(1, 6))
        return self._now


class Topic:
    """The decisions as Kafka has them. What the flow's own sink wrote since the last saved epoch may be lost with the process; what was kept
    is there."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self.written: list[tuple[str, Record]] = []
        self.kept: list[DecisionRecord] = []

    def read_past(self, first: Event, next_seq: int) -> Past:
        lost = {d.seq for d in decisions(self.written) if d.seq >= first.seq and self._rng.random() < 0.5}
        self.written[:] = [one for one in self.written if getattr(one[1], "seq", -1) not in lost]
        return Past({d.seq: d.late for d in self.all() if d.late and d.seq >= first.seq}, next_seq)

    def all(self) -> list[DecisionRecord]:
        return sorted([*decisions(self.written), *self.kept], key=lambda d: d.seq)

    def by_seq(self) -> dict[int, DecisionRecord]:
        found: dict[int, DecisionRecord] = {}
        for decision in self.all():
            assert found.setdefault(decision.seq, decision) == decision, "a repetition that differs"
        return found


def live(topic: Topic, clock: Clock, next_seq: int = 0) -> ClockDeadline:
    def keep(found: Sequence[DecisionRecord]) -> None:
        assert all(decision.late for decision in found)
        topic.kept += found

    return ClockDeadline(LIMIT_MS, lambda first: topic.read_past(first, next_seq), keep, clock)


def replayed(seed: int, recorded: dict[int, DecisionRecord], batch_size: int = 1) -> list[DecisionRecord]:
    out: list[tuple[str, Record]] = []
    deadline: Deadline = RecordedDeadline({seq: d.late for seq, d in recorded.items() if d.late})
    source = TestingSource(events_with_codes(seed), batch_size)
    run_main(build(CONFIG, source, sink(out), TestingSink([]), deadline=deadline))
    return decisions(out)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("seed", range(3))
def test_a_replay_refuses_what_was_late(seed: int, batch_size: int, workers: int) -> None:
    # Two workers look at the clock in no order of ours, so once in about a thousand runs there is no choice among those in time.
    for attempt in range(8):
        topic = Topic("")
        source = TestingSource(events_with_codes(seed), batch_size)
        deadline = live(topic, Clock(f"{seed}{attempt or ''}"))
        flow = build(CONFIG, source, sink(topic.written), TestingSink([]), deadline=deadline)
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
        found = topic.by_seq()
        if any(d.chosen for d in found.values() if 0 < len(d.late) < d.considered):
            break
    assert any(d.chosen for d in found.values() if 0 < len(d.late) < d.considered)
    for decision in found.values():
        assert len(decision.late) == sum(c.count for c in decision.rejected if c.reason == "refused:late")
    assert {d.id for d in topic.kept} == {d.id for d in found.values() if d.late}
    assert replayed(seed, found, batch_size=3) == list(found.values()) != undisturbed(seed, events_with_codes)


@pytest.mark.parametrize("epoch", [timedelta(0), timedelta(seconds=10)], ids=["short epochs", "nothing saved"])
@pytest.mark.parametrize("seed", range(12))
def test_after_a_crash_the_same_candidates_are_late(seed: int, epoch: timedelta, tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    rng = random.Random(seed)
    happened = events_with_codes(seed)
    crash = rng.randrange(len(happened) // 2, len(happened))
    items: list[Event | TestingSource.ABORT] = [*happened[:crash], TestingSource.ABORT(), *happened[crash:]]
    source = TestingSource(items, batch_size=rng.choice([1, 3, 10]))
    topic, acted = Topic(f"lost {seed}"), list[tuple[str, DecisionRecord]]()
    # When the second run starts, some of what the first one never saw may be in the log already.
    for run, next_seq in enumerate((rng.randrange(3), crash + rng.randrange(3))):
        deadline = live(topic, Clock(f"{seed} {run}"), next_seq)
        flow = build(CONFIG, source, sink(topic.written), TestingSink(acted), deadline=deadline)
        run_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(tmp_path))
    found = topic.by_seq()
    assert sorted(found) == list(range(len(happened)))
    assert any(d.late for d in found.values())
    for _, decision in acted:
        assert found[decision.seq] == decision, "the edge acted on a decision that is not the recorded one"
    assert replayed(seed, found) == list(found.values())


def test_what_was_in_the_log_at_the_start_is_never_late() -> None:
    topic = Topic("")
    happened = events_with_codes(1)
    flow = build(
        CONFIG, TestingSource(happened), sink(topic.written), TestingSink([]),
        deadline=live(topic, Clock("1"), next_seq=len(happened)),
    )  # fmt: skip
    run_main(flow)
    assert topic.all() == undisturbed(1, events_with_codes)
