"""State is resumed only by the flow that saved it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource

from infra.runtime.manifest import ManifestChanged, manifest_of
from infra.runtime.run_flow import run_flow


def flow(out: list[object], *, items: int = 5, step: str = "count", name: str = "flow") -> Dataflow:
    built = Dataflow(name)
    keyed = op.key_on("key", op.input("in", built, TestingSource(range(items))), lambda _: "shard")
    counted = op.stateful_map(step, keyed, lambda state, item: ((state or 0) + 1, (item, (state or 0) + 1)))
    op.output("out", counted, TestingSink(out))
    return built


def run(built: Dataflow, state: Path, **layout: int) -> None:
    run_flow(built, state_dir=state, epoch=timedelta(0), layout=layout)


def test_the_manifest_names_what_keeps_state() -> None:
    assert manifest_of(flow([]), {"shards": 16}) == {
        "flow": "flow",
        "steps": {
            "flow.in": "input",
            "flow.count.stateful_flat_map.stateful.stateful_batch": "stateful_batch",
            "flow.out": "output",
        },
        "layout": {"shards": 16},
    }


def test_the_same_flow_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out: list[object] = []
    run(flow(out), tmp_path, shards=16)
    run(flow(out, items=8), tmp_path, shards=16)
    assert out == [("shard", (i, i + 1)) for i in range(8)]


@pytest.mark.parametrize(
    ("changed", "layout", "line"),
    [
        (
            {"step": "tally"},
            {"shards": 16},
            "steps: flow.count.stateful_flat_map.stateful.stateful_batch: saved 'stateful_batch', now None",
        ),
        ({"name": "other"}, {"shards": 16}, "flow: saved 'flow', now 'other'"),
        ({}, {"shards": 8}, "layout: shards: saved 16, now 8"),
    ],
)
def test_a_changed_flow_does_not_start(
    tmp_path: Path, changed: dict[str, str], layout: dict[str, int], line: str
) -> None:
    run(flow([]), tmp_path, shards=16)
    out: list[object] = []
    with pytest.raises(ManifestChanged) as caught:
        run(flow(out, items=9, **changed), tmp_path, **layout)  # type: ignore[arg-type]
    assert line in str(caught.value)
    assert "empty state directory" in str(caught.value)
    assert out == []


def test_a_start_that_died_before_its_manifest_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "recovery").mkdir()
    (tmp_path / "recovery" / "part-0.sqlite3").write_bytes(b"half")
    out: list[object] = []
    run(flow(out), tmp_path)
    assert len(out) == 5


def test_what_stopped_the_flow_is_what_is_raised() -> None:
    class OfOurs(Exception):
        pass

    def boom(_: object) -> object:
        raise OfOurs("the reason")

    built = Dataflow("flow")
    op.output("out", op.map("boom", op.input("in", built, TestingSource([1])), boom), TestingSink([]))
    with pytest.raises(OfOurs, match="the reason"):
        run_flow(built, state_dir=None, epoch=timedelta(0))


def test_process_id_and_addresses_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        run_flow(flow([]), state_dir=None, epoch=timedelta(0), process_id=0)
