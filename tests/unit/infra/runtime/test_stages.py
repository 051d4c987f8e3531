"""Stamps of the stages: in the file, in the histogram, from the source on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.operators import input as op_input
from bytewax.operators import output
from bytewax.testing import TestingSink, TestingSource, run_main
from prometheus_client import REGISTRY

from infra.runtime.stages import _EVENTS_KEPT, StageClock, StampedSource, trace_file
from schemas.event import Event, assemble
from schemas.pools import GOLDEN


def count(stage: str) -> float:
    return REGISTRY.get_sample_value("sluice_stage_seconds_count", {"stage": stage}) or 0.0


def test_a_stage_is_timed_from_the_stage_before(tmp_path: Path) -> None:
    clock = StageClock(tmp_path / "deep" / "trace.jsonl")
    clock("test_first", 7)
    clock("test_second", 7)
    clock("test_second", 8)
    clock.close()
    assert (count("test_first"), count("test_second")) == (0, 1)
    lines = [json.loads(line) for line in (tmp_path / "deep" / "trace.jsonl").read_text().splitlines()]
    assert [(x["stage"], x["seq"]) for x in lines] == [("test_first", 7), ("test_second", 7), ("test_second", 8)]
    assert lines[0]["perf_ns"] <= lines[1]["perf_ns"]
    assert lines[0].keys() == {"stage", "seq", "unix_ns", "perf_ns", "pid"}


def test_processes_share_a_file(tmp_path: Path) -> None:
    one, other = StageClock(tmp_path / "t"), StageClock(tmp_path / "t")
    one("source", 1)
    other("source", 2)
    one("graph", 1)
    assert [json.loads(line)["seq"] for line in (tmp_path / "t").read_text().splitlines()] == [1, 2, 1]


def test_stamps_of_events_that_never_come_again_do_not_pile_up() -> None:
    clock = StageClock()
    for seq in range(2 * _EVENTS_KEPT):
        clock("test_only", seq)
    assert len(clock._last) == _EVENTS_KEPT


def test_the_source_stamps_what_it_emits(tmp_path: Path) -> None:
    events = [assemble((GOLDEN,)) for _ in range(3)]
    out: list[Event] = []
    clock = StageClock(tmp_path / "t")
    flow = Dataflow("stamped")
    inner: FixedPartitionedSource[Event, object] = TestingSource(events)
    output("out", op_input("in", flow, StampedSource(inner, clock)), TestingSink(out))
    run_main(flow)
    assert out == events
    stamps = [json.loads(line) for line in (tmp_path / "t").read_text().splitlines()]
    assert [(s["stage"], s["seq"]) for s in stamps] == [("source", GOLDEN.seq)] * 3


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_TRACE", raising=False)
    assert trace_file(None) is None
    monkeypatch.setenv("SLUICE_TRACE", "there")
    assert trace_file(None) == Path("there")
    assert trace_file(Path("here")) == Path("here")
