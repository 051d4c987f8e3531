"""`kill -9` of a search flow with a deadline: what was late is late again in whatever is decided again, on whatever machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.kafka.broker import LocalBroker
from tests.chaos.checks import check_all
from tests.chaos.progress import Progress
from tests.chaos.scenario import Scenario

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka, pytest.mark.large]

SEED = 52
KILLS = 4
#: Some events of this market take longer from their gathering to their simulation, most do not.
DEADLINE_MS = 1


@pytest.mark.timeout(900)
def test_kills_of_a_search_with_a_deadline_lose_double_and_change_nothing(tmp_path: Path, broker: LocalBroker) -> None:
    with Scenario(tmp_path, broker, seed=SEED, search_processes=2, deadline_ms=DEADLINE_MS) as run:
        progress = Progress(run.world.config)
        with run.traffic():
            for _ in range(KILLS):
                assert progress.wait(("search",), 30.0)
                run.sleep(1.5, 3.0)
                run.kill(("search",))
                progress.note(("search",))
                run.restart(("search",))
            run.sleep(6, 7)
        run.settle()
        check_all(run)
        decided = run.world.flows.decisions(run.world.config).values()
        late, chosen = [d for d in decided if d.late], [d for d in decided if d.chosen is not None]
        both = sum(d.chosen is not None for d in late)
        print(
            f"{len(decided)} decisions, {len(late)} with late candidates ({both} chose all the same), {len(chosen)} chose"
        )
        # Otherwise nothing was tested.
        assert len(late) >= 5 and len(chosen) >= 5
