"""Many blocks in which users move the very pools that our bundles go through, some of them ahead of the bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.kafka.broker import LocalBroker
from tests.chaos.checks import check_all
from tests.chaos.contention import tally
from tests.chaos.scenario import Scenario

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka, pytest.mark.large]

SEED = 91
#: `SLUICE_CONTENTION_BLOCKS` in the environment takes its place.
BLOCKS = 500


@pytest.mark.timeout(3600)
def test_every_bundle_that_met_its_state_earned_what_was_predicted(tmp_path: Path, broker: LocalBroker) -> None:
    """To the wei; every other bundle is explained by a conflict that is recorded."""
    blocks = int(os.environ.get("SLUICE_CONTENTION_BLOCKS", BLOCKS))
    with Scenario(tmp_path, broker, seed=SEED, with_v3=True, contention=1.0) as scenario:
        scenario.run_blocks(blocks)
        scenario.settle()
        found = tally(scenario.world)
        print(f"{blocks} blocks: {found}")
        wrong = [*found.faults, *found.unexplained]
        assert not wrong, "\n".join(wrong[:20])
        assert found.exact >= blocks // 2 and not found.certified
        # Otherwise nothing was contended: somebody had been there before them.
        assert found.moved + found.dropped["reverted"] >= blocks // 10
        check_all(scenario)
