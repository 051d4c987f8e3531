"""Blocks wait until decisions and submissions have caught up with where they ended at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.backlog import AfterBacklog, Backlog, _CatchingUp
from infra.kafka.positions import Partition
from infra.runtime.drain import Drain

PLACE = Partition("decisions", 0)


class Scripted(StatefulSourcePartition[Any, Any]):
    """Emits one item per call and counts them as its position."""

    def __init__(self, length: int, position: int = 0) -> None:
        self.length, self.position = length, position

    def next_batch(self) -> list[Any]:
        if self.position >= self.length:
            return []
        self.position += 1
        return [self.position]

    def snapshot(self) -> Any:
        return ("cluster", ((*PLACE, self.position),))


class Source(FixedPartitionedSource[Any, Any]):
    def list_parts(self) -> list[str]:
        return ["events"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Scripted:
        return Scripted(5, resume_state or 0)


def test_a_source_tells_once_it_has_emitted_its_backlog(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, ["decisions"])
    source = _CatchingUp(Scripted(3), {PLACE: 2}, "decisions", backlog)
    for expected in (1, 2):
        assert source.next_batch() == [expected]
        assert not backlog.over
    assert source.next_batch() == [3]
    assert backlog.over


def test_what_ends_where_it_starts_has_no_backlog(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, ["decisions"])
    _CatchingUp(Scripted(0), {PLACE: 0}, "decisions", backlog).next_batch()
    assert backlog.over


def test_events_wait_for_all_of_them(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, ["decisions", "submissions"])
    events = AfterBacklog(Source(), backlog, Drain()).build_part("events", "events", None)
    assert events.next_batch() == []
    assert events.next_awake() is not None
    # Another process of the flow tells by the same folder.
    Backlog(tmp_path, []).read("submissions")
    assert events.next_batch() == []
    backlog.read("decisions")
    assert events.next_batch() == [1]
    assert events.next_awake() is None


def test_events_go_on_from_the_saved_state(tmp_path: Path) -> None:
    events = AfterBacklog(Source(), Backlog(tmp_path, []), Drain()).build_part("events", "events", 3)
    assert events.next_batch() == [4]
    assert events.snapshot() == ("cluster", ((*PLACE, 4),))


def test_a_drain_ends_the_waiting(tmp_path: Path) -> None:
    drain = Drain()
    events = AfterBacklog(Source(), Backlog(tmp_path, ["decisions"]), drain).build_part("events", "events", None)
    drain.set()
    with pytest.raises(StopIteration):
        events.next_batch()
