"""The engine against mined receipts: real blocks, run in order from their recorded prestate."""

from __future__ import annotations

from collections import Counter

import pytest

from operators.simulation.pyrevm_engine import PyrevmEngine
from tests.unit.simulation.replay_bundles import DATA, linea_bundles, mainnet_bundles, read_bundle, replay

pytestmark = pytest.mark.skipif(not mainnet_bundles(), reason=f"no recorded blocks in {DATA}")

#: One per rule set, small.
FEW = ("eth_12244000", "eth_15050000", "eth_17034869", "eth_18988207", "eth_19934116", "eth_21230867")


def count(paths) -> Counter[str]:
    engine, counts = PyrevmEngine(), Counter()
    for path in paths:
        for outcome in replay(engine, *read_bundle(path)):
            kind = "refused" if outcome.refused else "wrong" if outcome.wrong else "exact"
            if kind != "exact":
                print(path.name, outcome)
            # After a refusal the recorded state goes on, ours cannot: what differs then proves nothing.
            counts["behind_refusal" if kind == "wrong" and outcome.after_refusal else kind] += 1
    print(dict(counts))
    return counts


def test_blocks_of_each_rule_set_equal_their_receipts():
    counts = count(path for path in mainnet_bundles() if path.name.startswith(FEW))
    assert counts["wrong"] == counts["behind_refusal"] == 0
    assert counts["refused"] <= 1


@pytest.mark.slow
def test_all_mainnet_blocks():
    counts = count(mainnet_bundles())
    assert counts["wrong"] == counts["behind_refusal"] == 0
    assert counts["exact"] >= 0.998 * counts.total()


@pytest.mark.slow
def test_all_linea_blocks():
    counts = count(linea_bundles())
    assert counts["wrong"] == 0
    assert counts["exact"] >= 0.96 * counts.total()
