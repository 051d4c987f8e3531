"""Brute force equality where it counts: every pool of large random markets, of the real pair list, of each recording after every block."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pytest

from operators.pools import FAMILIES
from operators.pools.base import Pool
from operators.search.floors import Floor
from operators.search.tables import Tables
from tests.unit.search.every_cycle import Compiled, Cycle, steps_of
from tests.unit.search.mixed_markets import MixedMarket
from tests.unit.search.priced_markets import Market, token
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
    assert len({pool.address for pool in pools}) == len(pools)
    brute = Compiled(steps_of(pools), anchors)
    cycles, _ = brute.all(max_hops)
    there, missed, extra = differences(
        Tables(anchors, pools), [pool.address for pool in pools], brute.by_pool(max_hops), max_hops
    )
    assert (missed, extra) == (0, 0)
    assert there > 100
    return cycles


@pytest.mark.parametrize(
    ("seed", "anchors", "max_hops", "noise"), [(1, 5, 4, 0.001), (2, 1, 4, 0.001), (3, 5, 3, 0.003), (4, 1, 5, 0.0005)]
)
def test_every_pool_of_a_random_market_of_a_thousand(seed: int, anchors: int, max_hops: int, noise: float) -> None:
    """Of real pools of every family."""
    market = MixedMarket(seed, 1000, 500, anchors, noise)
    assert {pool.FAMILY for pool in market.pools} == set(FAMILIES)
    assert check(market.pools, market.anchors, max_hops) > 10_000


def test_every_pool_of_a_market_of_a_thousand_that_is_nothing_but_prices() -> None:
    """Five hops, and pools of up to five tokens."""
    market = Market(4, 1000, 500, 5, 0.0005)
    assert check(market.pools, market.anchors, 5) > 1_000_000


@pytest.mark.parametrize("hubs", [0, 4])
def test_a_random_market_of_a_thousand_while_it_moves(hubs: int) -> None:
    """Trades in pools of every family, large ones and small ones, so that the lists of ways between hubs run over, wear out and are looked up
    again; before they are put in, laid over."""
    market = MixedMarket(7, 1000, 500, 2)
    rnd, pools = market.rnd, {pool.address: pool for pool in market.pools}
    tables = Tables(market.anchors, market.pools, hubs=[token(2 + number) for number in range(hubs)])
    for step in range(12):
        by = (0.0002, 0.002, 0.01)[step % 3]
        changed = [market.moved(pool, by) for pool in rnd.sample(list(pools.values()), 60)]
        changed[:3] = map(market.suspended, changed[:3])
        if step % 4 == 3:
            changed = [pool for pool in market.pools if pool != pools[pool.address]][:200]
        pools |= {pool.address: pool for pool in changed}
        names = [pool.address for pool in changed]
        expected = Compiled(steps_of(pools.values()), market.anchors).by_pool(4)
        together = {cycle for name in names for cycle in expected.get(name, {})}
        if step % 2:
            with tables.overlay(changed):
                assert differences(tables, names, expected, 4)[1:] == (0, 0)
                assert _cycles(tables, names) == together
        tables.put_many(changed)
        assert differences(tables, names, expected, 4)[1:] == (0, 0)
        assert _cycles(tables, names) == together
    assert differences(tables, pools, expected, 4)[1:] == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "anchors"), [(6, 1), pytest.param(5, 5, marks=pytest.mark.large)])
def test_every_pool_of_a_random_market_of_ten_thousand(seed: int, anchors: int) -> None:
    market = MixedMarket(seed, 10_000, 7_000, anchors)
    assert check(market.pools, market.anchors, 4) > 1_000_000


@pytest.mark.slow
@pytest.mark.large
def test_every_pool_of_a_market_of_ten_thousand_that_is_nothing_but_prices() -> None:
    market = Market(5, 10_000, 7_000, 5)
    assert check(market.pools, market.anchors, 4) > 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("anchors", [1, pytest.param(5, marks=pytest.mark.large)])
def test_every_one_of_the_recorded_pairs(anchors: int) -> None:
    pools = recorded_pairs()
    assert len(pools) == 10_773
    assert check(pools, ANCHORS[:anchors], 4) > 200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "wei", [pytest.param(10.0**13, marks=pytest.mark.large), 10.0**15, pytest.param(10.0**17, marks=pytest.mark.large)]
)
def test_floors_on_the_recorded_pairs(wei: float) -> None:
    """With a floor there are exactly the routes whose bound is above their cost."""
    tables = Tables(ANCHORS[:1], recorded_pairs(), {"uniswap_v2": 60_000}, ANCHORS[1:])
    floor, kept = Floor(wei, wei / 10**6), 0
    for pool in list(tables)[::20]:
        free = list(tables.routes_through([pool.address], 4))
        costs = [floor.fixed + floor.gas_price * 60_000 * len(route.legs) for route in free]
        expected = [
            route._replace(cost=cost) for route, cost in zip(free, costs, strict=True) if route.gross_bound > cost
        ]
        assert list(tables.routes_through([pool.address], 4, {ANCHORS[0]: floor})) == expected
        kept += len(expected)
    assert kept


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [RECORDINGS[0], *(pytest.param(block, marks=pytest.mark.large) for block in RECORDINGS[1:])]
)
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
