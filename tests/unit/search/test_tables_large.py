"""Brute force equality where it counts: every pool of large random markets, of the real pair list, of each recording after every block."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pytest

from operators.pools.base import Pool
from operators.search.tables import Tables
from tests.unit.search.every_cycle import Compiled, Cycle, steps_of
from tests.unit.search.priced_markets import Market
from tests.unit.search.recordings import ANCHORS, RECORDINGS, recorded_pairs, recording


def differences(
    tables: Tables, pools: Iterable[bytes], expected: dict[bytes, dict[Cycle, float]], max_hops: int
) -> tuple[int, int, int]:
    """How many routes there are through each of the pools alone, how many of them are missed, and how many are listed that are none."""
    there = missed = extra = 0
    for one in pools:
        listed = tables.routes_through([one], max_hops)
        found = {tuple(tuple(leg) for leg in route.legs): route.log_price for route in listed}
        wanted = expected.get(one, {})
        assert len(found) == len(listed)
        if found != wanted:
            missed += len(wanted.keys() - found.keys())
            extra += len(found.items() - wanted.items())
        there += len(wanted)
    return there, missed, extra


def check(pools: Sequence[Pool], anchors: Sequence[bytes], max_hops: int) -> int:
    """Every pool of a market; how many cycles the market has."""
    brute = Compiled(steps_of(pools), anchors)
    cycles, _ = brute.all(max_hops)
    there, missed, extra = differences(
        Tables(anchors, pools), [pool.address for pool in pools], brute.by_pool(max_hops), max_hops
    )
    assert (missed, extra) == (0, 0)
    assert there > 100
    return cycles


@pytest.mark.parametrize(
    ("seed", "anchors", "max_hops", "noise"), [(1, 5, 4, 0.001), (2, 1, 4, 0.001), (3, 5, 3, 0.003), (4, 5, 5, 0.0005)]
)
def test_every_pool_of_a_random_market_of_a_thousand(seed: int, anchors: int, max_hops: int, noise: float) -> None:
    market = Market(seed, 1000, 500, anchors, noise)
    assert check(market.pools, market.anchors, max_hops) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "anchors"), [(5, 5), (6, 1)])
def test_every_pool_of_a_random_market_of_ten_thousand(seed: int, anchors: int) -> None:
    market = Market(seed, 10_000, 7_000, anchors)
    assert check(market.pools, market.anchors, 4) > 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("anchors", [1, 5])
def test_every_one_of_the_recorded_pairs(anchors: int) -> None:
    pools = recorded_pairs()
    assert len(pools) == 10_773
    assert check(pools, ANCHORS[:anchors], 4) > 200_000


@pytest.mark.slow
@pytest.mark.parametrize("block", RECORDINGS)
def test_every_block_of_a_recording(block: int) -> None:
    """Every pool of the first state; after each block the pools it changed, one by one and together, kept up and laid over."""
    market = recording(block)
    pools = {pool.address: pool for pool in market.pools}
    tables = Tables(ANCHORS, pools.values())
    brute = Compiled(steps_of(pools.values()), ANCHORS)
    assert differences(tables, pools, brute.by_pool(4), 4)[1:] == (0, 0)
    changes = 0
    for changed in market.blocks:
        names = [pool.address for pool in changed]
        pools |= dict(zip(names, changed, strict=True))
        expected = Compiled(steps_of(pools.values()), ANCHORS).by_pool(4)
        with tables.overlay(changed):
            assert differences(tables, names, expected, 4)[1:] == (0, 0)
        tables.put_many(changed)
        assert differences(tables, names, expected, 4)[1:] == (0, 0)
        together = {cycle for name in names for cycle in expected.get(name, {})}
        assert _cycles(tables, names) == together
        changes += len(names)
    assert differences(tables, pools, expected, 4)[1:] == (0, 0)
    assert changes > 50


def _cycles(tables: Tables, changed: Collection[bytes]) -> set[Cycle]:
    return {tuple(tuple(leg) for leg in route.legs) for route in tables.routes_through(changed, 4)}
