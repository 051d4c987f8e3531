"""`kill -9` of ingest, search and settle at random moments under traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.processes import FLOWS
from infra.kafka.broker import LocalBroker
from tests.chaos.checks import check_all
from tests.chaos.progress import Progress
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 31
#: Of each flow: some while it works, some wherever it is, which may be its start.
KILLS_AT_WORK, KILLS_ANYWHERE = 7, 3


@pytest.mark.timeout(900)
def test_ten_kills_of_each_flow_lose_and_double_nothing(tmp_path: Path, broker: LocalBroker) -> None:
    with Scenario(tmp_path, broker, seed=SEED, with_v3=True) as scenario:
        kills = [
            ((name,), at_work) for name in FLOWS for at_work in (True,) * KILLS_AT_WORK + (False,) * KILLS_ANYWHERE
        ]
        kills += [(("search", "settle"), True), (("search", "settle"), True), (FLOWS, True)]
        scenario.rng.shuffle(kills)
        progress = Progress(scenario.world.config)
        at_work = 0
        with scenario.traffic():
            for names, wanted in kills:
                if wanted:
                    at_work += progress.wait(names, 60.0)
                scenario.sleep(0.0, 1.2)
                scenario.kill(names)
                progress.note(names)
                scenario.restart(names)
            # Otherwise nothing was tested. On a busy machine kills follow each other faster than most bundles get through.
            wait_until("bundles in blocks", lambda: scenario.included() >= 10, 240)
        scenario.settle()
        check_all(scenario)
        assert at_work >= 2 * KILLS_AT_WORK
