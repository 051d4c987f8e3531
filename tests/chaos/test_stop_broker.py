"""The broker is stopped, crashes and comes back under traffic; the flows are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.checks import check_all
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 34


@pytest.mark.timeout(900)
def test_broker_stopped_and_killed_under_traffic(tmp_path: Path) -> None:
    with Scenario(tmp_path, None, seed=SEED) as scenario:
        broker, flows = scenario.world.broker, scenario.world.flows
        ends = [broker.stop, broker.kill, broker.stop, broker.kill]
        scenario.rng.shuffle(ends)
        with scenario.traffic():
            for end in ends:
                scenario.sleep(2, 4)
                end()
                scenario.sleep(0, 2)
                broker.start()
                # They wait for the broker: none of them may need somebody to start it again.
                flows.check()
            # Otherwise nothing was tested.
            wait_until("bundles in blocks", lambda: scenario.included() >= 5, 240)
        scenario.settle()
        check_all(scenario)
