"""How flows begin and end: drained by a signal, pushed aside by a second one, refused by a broker that is not there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.ingest import EXIT_FENCED
from flows.processes import FLOWS, FlowProcesses
from infra.kafka.broker import LocalBroker
from infra.runtime.ports import free_ports
from schemas.config import dump_config
from tests.chaos.checks import check_all
from tests.chaos.progress import Progress
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 35
#: A drain waits for nothing; the rest is a busy machine ending a process with a compiler loaded.
DRAIN_S = 5.0
PROBE_S = 2.0


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Iterator[Scenario]:
    with Scenario(tmp_path_factory.mktemp("world"), broker, seed=SEED) as running:
        yield running


def test_drained_flows_end_at_once_and_lose_nothing(scenario: Scenario) -> None:
    """SIGTERM in the middle of traffic, twice to each flow: exit code 0 at once."""
    children = scenario.world.flows.children
    progress = Progress(scenario.world.config)
    took: dict[str, list[float]] = {name: [] for name in FLOWS}
    with scenario.traffic():
        for name in (*FLOWS, *FLOWS):
            assert progress.wait((name,), 90)
            scenario.sleep(0.5, 1.5)
            started = time.monotonic()
            assert children[name].stop(timeout=60) == 0, children[name].log_tail()
            took[name].append(time.monotonic() - started)
            progress.note((name,))
            scenario.restart((name,))
        # Restarts follow each other faster than a bundle gets through; all flows run again now.
        wait_until("a bundle in a block", lambda: scenario.included() >= 1, 120)
    scenario.settle()
    check_all(scenario)
    # Of each flow the quicker one: the machine may hold one of them up, a drain that waits for something holds up both.
    assert max(min(times) for times in took.values()) < DRAIN_S, took


def test_second_ingestor_fences_the_first(scenario: Scenario, tmp_path: Path) -> None:
    """Two sequencers of one chain cannot both write; the first says why it stops, and the log has no trace of the change."""
    first = scenario.world.flows.children["ingest"]
    second = FlowProcesses(scenario.world.config_path, tmp_path)
    with scenario.traffic():
        scenario.sleep(1, 2)
        second.start(("ingest",))
        try:
            wait_until("the first sequencer to stop", lambda: not first.running, 120)
            assert first.returncode == EXIT_FENCED
            assert "another writer has taken over" in first.log_tail()
            assert Progress(scenario.world.config).wait(("ingest",), 90)
            second.check()
        finally:
            second.stop()
        scenario.restart(("ingest",))
        scenario.sleep(2, 3)
    scenario.settle()
    check_all(scenario)


@pytest.mark.parametrize("name", ["search", "settle"])
def test_flow_without_a_broker_says_so_and_ends(scenario: Scenario, tmp_path: Path, name: str) -> None:
    """The stream engine alone would wait in silence, for ever."""
    config = scenario.world.config
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    kafka = config.kafka.model_copy(update={"bootstrap_servers": dead, "probe_timeout_s": PROBE_S})
    path = tmp_path / "sluice.toml"
    path.write_text(dump_config(config.model_copy(update={"kafka": kafka})))
    flows = FlowProcesses(path, tmp_path)
    flows.start((name,))
    child = flows.children[name]
    try:
        wait_until("the flow to give up", lambda: not child.running)
        assert child.returncode not in (0, None)
        message = " ".join(child.log_tail().split())
        assert "no Kafka broker answered" in message and dead in message and "Traceback" not in message
        # Its own deadline ended it, and not a longer one of somebody else's.
        assert f"within {PROBE_S:g} s" in message
    finally:
        flows.kill()
