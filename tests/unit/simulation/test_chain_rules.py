"""Fork schedules, against the forks that recorded blocks were proved to run under."""

from __future__ import annotations

import json
import lzma

import pytest

from operators.simulation.chain_rules import LINEA, MAINNET, Rules, UnknownRules, rules_at
from operators.simulation.forks import FORKS
from tests.unit.simulation.replay_bundles import DATA, FORK_NAMES, linea_bundles, mainnet_bundles


@pytest.mark.skipif(not mainnet_bundles(), reason=f"no recorded blocks in {DATA}")
def test_recorded_blocks_have_the_rules_they_were_proved_with():
    seen = set()
    for path in [*mainnet_bundles(), *linea_bundles()]:
        with lzma.open(path) as file:
            bundle = json.load(file)
        expected = FORK_NAMES.get(bundle["fork"], bundle["fork"])
        for block in bundle["blocks"]:
            numbers = [int(block[name], 16) for name in ("number", "timestamp", "difficulty")]
            rules = rules_at(bundle["chain_id"], *numbers)
            assert rules.fork == expected
            assert rules.blob_fraction == FORKS[expected].blob_fraction
        seen.add((bundle["chain_id"], expected))
    assert {(MAINNET, "Istanbul"), (MAINNET, "Cancun"), (LINEA, "London"), (LINEA, "Prague")} <= seen


@pytest.mark.parametrize(
    ("number", "timestamp", "rules"),
    [
        (15_537_393, 1_663_224_162, Rules("London", 0)),
        (15_537_394, 1_663_224_179, Rules("Merge", 0)),
        (22_431_083, 1_746_612_299, Rules("Cancun", 3_338_477)),
        (22_431_084, 1_746_612_311, Rules("Prague", 5_007_716)),
        (23_935_694, 1_764_798_551, Rules("Osaka", 5_007_716)),
        (24_000_000, 1_765_290_071, Rules("Osaka", 8_346_193)),
        (25_000_000, 1_800_000_000, Rules("Osaka", 11_684_671)),
    ],
)
def test_the_first_block_of_a_fork_is_under_it(number, timestamp, rules):
    assert rules_at(MAINNET, number, timestamp) == rules


@pytest.mark.parametrize(
    ("chain_id", "number", "said"),
    [(1, 9_068_999, "older than Istanbul"), (10, 1, "OP Mainnet"), (8_453, 1, "Base"), (424_242, 1, "configuration")],
)
def test_what_is_not_known_is_refused_by_name(chain_id, number, said):
    with pytest.raises(UnknownRules, match=said):
        rules_at(chain_id, number, 0)
