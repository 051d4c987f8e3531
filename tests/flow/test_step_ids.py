"""The names of the flows' steps, as committed: the engine finds saved state by them, and loses it when one changes.

A changed name is a decision: say in the changelog that state has to be rebuilt, and write the file anew with
`python -m tests.flow.test_step_ids`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource

from flows import audit, search, settle, tripwire
from infra.runtime.manifest import manifest_of
from tests.flow.settled_world import CONFIG

MANIFEST = Path(__file__).with_name("step_ids.json")


def step_ids(part: Any) -> list[str]:
    """The ids of all steps, inner ones too, in the order of the wiring."""
    return [found for step in part.substeps for found in (step.step_id, *step_ids(step))]


def flows() -> list[Dataflow]:
    def source() -> TestingSource[Any]:
        return TestingSource([])

    return [
        search.build(CONFIG, source(), TestingSink([]), TestingSink([])),
        settle.build(CONFIG, source(), source(), source(), TestingSink([])),
        audit.build(CONFIG, source(), source(), TestingSink([]), audit.Pace()),
        tripwire.build(CONFIG, source(), TestingSink([])),
    ]


def current() -> dict[str, Any]:
    return {flow.flow_id: {"steps": step_ids(flow), "stateful": manifest_of(flow, {})["steps"]} for flow in flows()}


def test_step_ids_are_those_that_are_committed() -> None:
    assert current() == json.loads(MANIFEST.read_text())


def test_step_ids_do_not_depend_on_the_configuration() -> None:
    other = CONFIG.model_copy(update={"search": CONFIG.search.model_copy(update={"shards": 3})})
    built = search.build(other, TestingSource([]), TestingSink([]), TestingSink([]))
    assert step_ids(built) == current()["search"]["steps"]


if __name__ == "__main__":
    MANIFEST.write_text(json.dumps(current(), indent=2) + "\n")
