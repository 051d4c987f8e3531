"""`kill -9` of a search flow with a deadline: what was late is late again in whatever is decided again, on whatever machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.kafka.broker import LocalBroker
from tests.chaos.checks import check_all
from tests.chaos.progress import Progress
from tests.chaos.scenario import Scenario

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 52
KILLS = 5
#: About what an event of this market takes from its gathering to its simulation.
DEADLINE_MS = 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("processes", [1, 2])
def test_kills_of_a_search_with_a_deadline_lose_double_and_change_nothing(
    processes: int, tmp_path: Path, broker: LocalBroker
) -> None:
    with Scenario(tmp_path, broker, seed=SEED + processes, search_processes=processes, deadline_ms=DEADLINE_MS) as run:
        progress = Progress(run.world.config)
        with run.traffic():
            for _ in range(KILLS):
                progress.wait(("search",), 8.0)
                run.sleep(0.5, 1.5)
                run.kill(("search",))
                progress.note(("search",))
                run.restart(("search",))
            run.sleep(3, 4)
        run.settle()
        check_all(run)
        decided = run.world.flows.decisions(run.world.config).values()
        late, chosen = sum(bool(d.late) for d in decided), sum(d.chosen is not None for d in decided)
        print(f"{len(decided)} decisions, {late} with late candidates, {chosen} chose a bundle")
        # Otherwise nothing was tested.
        assert late >= 5 and chosen >= 5
