"""Replay: decisions of a live flow, made again from the log, byte for byte, however the flow is cut and spread."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.replay import ReplayError, compare, read_decision_file, recorded_decisions, run_replay
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_events
from infra.runtime.child import ChildProcess
from schemas.config import dump_config
from tests.chaos.scenario import Scenario
from tests.flow.cut_off_replay import write_events

pytestmark = [pytest.mark.chain, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 36


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Iterator[Scenario]:
    """A market in which a flow of two processes has been at work, ended by SIGKILL in the middle and at the end by a drain."""
    with Scenario(tmp_path_factory.mktemp("replay"), broker, seed=SEED, search_processes=2, with_v3=True) as running:
        with running.traffic():
            running.sleep(6, 7)
            running.kill(("search",))
            running.restart(("search",))
            running.sleep(6, 7)
        running.settle()
        running.world.flows.stop()
        yield running


@pytest.fixture(scope="module")
def decisions(scenario: Scenario) -> int:
    """How many decisions there are; some must have chosen something, or equality would mean little."""
    found = scenario.world.flows.decisions(scenario.world.config)
    assert sum(d.chosen is not None for d in found.values()) >= 10
    return len(found)


@pytest.mark.parametrize("batch_size", [1, 37, 1000])
@pytest.mark.parametrize("processes", [1, 2])
def test_live_decisions_of_two_processes_replay_equal(
    scenario: Scenario, decisions: int, processes: int, batch_size: int
) -> None:
    result = run_replay(scenario.world.config_path, processes=processes, batch_size=batch_size)
    assert (result.decisions, result.equal, result.different) == (decisions, decisions, 0), result.first_difference


def test_a_range_of_blocks_replays_what_was_decided_on_them(scenario: Scenario, decisions: int) -> None:
    found = scenario.world.flows.decisions(scenario.world.config).values()
    heads = sorted({d.head_number for d in found})
    low, high = heads[len(heads) // 3], heads[2 * len(heads) // 3]
    result = run_replay(scenario.world.config_path, low, high)
    wanted = sum(low <= d.head_number <= high for d in found)
    assert 0 < wanted < decisions
    assert (result.decisions, result.equal, result.different) == (wanted, wanted, 0)


def test_other_limits_are_refused_and_not_compared(
    scenario: Scenario, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = scenario.world.config
    decide = config.decide.model_copy(update={"min_net_wei": config.decide.min_net_wei + 1})
    path = tmp_path_factory.mktemp("other") / "sluice.toml"
    path.write_text(dump_config(config.model_copy(update={"decide": decide})))
    with pytest.raises(ReplayError, match="replay with the configuration and engine that decided"):
        run_replay(path)


def test_blocks_that_nobody_decided_on_are_an_error(scenario: Scenario) -> None:
    with pytest.raises(ReplayError, match="no decision is recorded"):
        run_replay(scenario.world.config_path, 10**9, 10**9 + 1)


def test_without_any_network_the_decisions_are_the_same(scenario: Scenario, decisions: int, tmp_path: Path) -> None:
    """Not even Kafka is there: what the flow decides is in the events and nowhere else, and nothing in it opens a socket."""
    world = scenario.world
    recorded = recorded_decisions(world.config, 0, 2**63 - 1)
    wrote = write_events(
        tmp_path / "events", read_events(world.config.kafka, world.config.chain.id, until_seq=max(recorded))
    )
    assert wrote == len(recorded) == decisions
    argv = [sys.executable, "-m", "tests.flow.cut_off", "tests.flow.cut_off_replay", world.config_path]
    child = ChildProcess(
        "cut off", [*argv, tmp_path / "events", tmp_path / "decisions", "37"], tmp_path / "log"
    ).start()
    status = child.wait(600)
    log = child.log_path.read_text()
    # The process ends badly at the first socket: by the kernel's signal, or because Python asked for one.
    assert status == os.EX_OK, f"status {status}\n{log}"
    walls = json.loads(log.splitlines()[0])
    print("walls around the flow:", ", ".join(walls))
    assert "audit" in walls
    result = compare(recorded, dict(read_decision_file(tmp_path / "decisions")))
    assert (result.decisions, result.equal, result.different) == (decisions, decisions, 0), result.first_difference
