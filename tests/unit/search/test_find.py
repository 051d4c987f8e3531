"""The best routes after gas: what is found is what is there, by every cycle of a market sized and held to its cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import exp
from typing import NamedTuple

import pytest

from operators.pools import FAMILIES
from operators.pools.base import Pool, QuoteRefused
from operators.search.find import Found, find_routes
from operators.search.net import GasModel, Terms, net_of
from operators.search.prices import PAR, WeiPrice
from operators.search.sizing import Curves, Directed, best_size, polished, trade
from operators.search.tables import Leg, Legs, Tables
from tests.unit.search.every_cycle import every_cycle
from tests.unit.search.mixed_markets import MixedMarket
from tests.unit.search.priced_markets import token

_ALL = 1_000_000
_GWEI = 10**9


class Worth(NamedTuple):
    """A route at its best size, and the same with what floors took of it won back."""

    sized: Found
    final: Found


def terms_of(
    market: MixedMarket, fee_wei: int, floor_wei: int = 0, position_wei: int = 10**21, unpriced: Collection[bytes] = ()
) -> Terms:
    """Every family has its own correction, some of them less gas than its pools say."""
    corrections = {family: (-30_000, 45_000, 0, 12_000)[number % 4] for number, family in enumerate(FAMILIES)}
    prices = {}
    for anchor, worth in market.worths()[: len(market.anchors)]:
        if anchor not in unpriced:
            prices[anchor] = PAR if anchor == market.anchors[0] else WeiPrice(int(10**18 / exp(worth)), 10**18)
    positions = {anchor: price.of_wei(position_wei) for anchor, price in prices.items()}
    return Terms(GasModel(61_000, corrections), fee_wei, prices, positions, floor_wei)


def tables_of(market: MixedMarket, pools: Iterable[Pool], terms: Terms) -> Tables:
    """With the least gas of a hop as flows give it: the family's own and its correction."""
    corrections = terms.gas.corrections
    gas = {name: max(0, family.LEAST_GAS + corrections.get(name, 0)) for name, family in FAMILIES.items()}
    return Tables(market.anchors, pools, gas)


def worth(legs: Legs, pools: Mapping[bytes, Pool], terms: Terms, curves: Curves) -> Worth | None:
    """None where it earns no more than the floor."""
    anchor = legs[0].token_in
    if anchor not in terms.prices:
        return None
    route = [Directed(pools[leg.pool], leg.token_in, leg.token_out) for leg in legs]
    position = terms.max_position[anchor]
    sized = best_size(route, position, curves)
    if sized is None:
        return None
    first = _found(legs, route, sized.amount_in, terms)
    if first is None or not (first.net.net > 0 and first.net.net_wei > terms.floor_wei):
        return None
    again = _found(legs, route, polished(route, sized, position, curves).amount_in, terms)
    return Worth(first, again if again and again.net.net_wei > first.net.net_wei else first)


def _found(legs: Legs, route: Sequence[Directed], amount_in: int, terms: Terms) -> Found | None:
    try:
        done = trade(route, amount_in)
    except QuoteRefused:
        return None
    return Found(legs, done, net_of(done, terms))


def everything(
    pools: Iterable[Pool], anchors: Sequence[bytes], hops: int, terms: Terms
) -> tuple[int, dict[Legs, Worth]]:
    """How many cycles a market has, and those that earn more than the floor."""
    by_address, curves, cycles, found = {pool.address: pool for pool in pools}, Curves(), 0, {}
    for cycle, _ in every_cycle(by_address.values(), anchors, hops):
        cycles += 1
        legs = tuple(Leg(*step) for step in cycle)
        earned = worth(legs, by_address, terms, curves)
        if earned is not None:
            found[legs] = earned
    return cycles, found


def best(routes: Iterable[Worth], limit: int = _ALL) -> tuple[Found, ...]:
    """The best of them, as they are chosen and then handed on."""
    chosen = sorted(routes, key=lambda one: one.sized.order)[:limit]
    return tuple(sorted((one.final for one in chosen), key=lambda one: one.order))


def through(routes: Mapping[Legs, Worth], pools: Iterable[bytes]) -> list[Worth]:
    wanted = set(pools)
    return [one for legs, one in routes.items() if any(leg.pool in wanted for leg in legs)]


def names(pools: Iterable[Pool]) -> list[bytes]:
    return [pool.address for pool in pools]


@pytest.mark.parametrize(
    ("seed", "pools", "anchors", "hops", "fee_gwei", "floor_wei"),
    [
        (1, 60, 5, 3, 5, 0),
        (2, 60, 3, 4, 1, 10**15),
        (3, 100, 4, 3, 40, 10**13),
        (6, 60, 1, 4, 0, 10**16),
        (9, 40, 2, 5, 20, 0),
        pytest.param(7, 100, 5, 3, 5, 0, marks=[pytest.mark.slow, pytest.mark.large]),
        pytest.param(4, 100, 2, 4, 20, 10**14, marks=[pytest.mark.slow, pytest.mark.large]),
        pytest.param(5, 80, 4, 4, 0, 0, marks=[pytest.mark.slow, pytest.mark.large]),
    ],
)  # fmt: skip
def test_every_route_above_the_floor(
    seed: int, pools: int, anchors: int, hops: int, fee_gwei: int, floor_wei: int
) -> None:
    """Through all pools, through some, through each of a few; and the best few of them."""
    market = MixedMarket(seed, pools, pools // 3, anchors, noise=0.003)
    terms = terms_of(market, fee_gwei * _GWEI, floor_wei)
    tables = tables_of(market, market.pools, terms)
    cycles, there = everything(market.pools, market.anchors, hops, terms)
    assert cycles > 1000
    assert len(there) > 20
    search = find_routes(tables, names(market.pools), terms, hops, _ALL)
    assert search.routes == best(there.values())
    assert search.unpriced == ()
    some = names(market.rnd.sample(market.pools, 8))
    for changed in (some, *([one] for one in some[:4])):
        assert find_routes(tables, changed, terms, hops, _ALL).routes == best(through(there, changed))
    for limit in (1, 10):
        assert find_routes(tables, names(market.pools), terms, hops, limit).routes == best(there.values(), limit)


@pytest.mark.parametrize("seed", [11, 13, pytest.param(12, marks=[pytest.mark.slow, pytest.mark.large])])
def test_every_route_above_the_floor_while_the_market_moves(seed: int) -> None:
    """Trades laid over and then put in; some pools suspended and back."""
    market = MixedMarket(seed, 60, 24, 3, noise=0.002)
    terms = terms_of(market, 10 * _GWEI, 10**13)
    pools = {pool.address: pool for pool in market.pools}
    tables, found = tables_of(market, market.pools, terms), 0
    for by in (0.0003, 0.003, 0.02):
        changed = [market.moved(pool, by) for pool in market.rnd.sample(list(pools.values()), 8)]
        back = [pool for pool in market.pools if pools[pool.address].refusal]
        changed = [market.suspended(changed[0]), *changed[1:], *back]
        pools |= {pool.address: pool for pool in changed}
        _, there = everything(pools.values(), market.anchors, 4, terms)
        expected = best(through(there, names(changed)))
        with tables.overlay(changed):
            assert find_routes(tables, names(changed), terms, 4, _ALL).routes == expected
        tables.put_many(changed)
        assert find_routes(tables, names(changed), terms, 4, _ALL).routes == expected
        assert find_routes(tables, pools, terms, 4, _ALL).routes == best(there.values())
        found += len(expected)
    assert found > 10


def test_small_positions_and_anchors_without_a_price() -> None:
    """A hundredth of an ether to trade with; routes of anchors that nobody can tell the worth of are left out, and said so."""
    market = MixedMarket(21, 60, 20, 5, noise=0.003)
    terms = terms_of(market, _GWEI // 10, position_wei=10**16, unpriced=[token(1)])
    _, there = everything(market.pools, market.anchors, 4, terms)
    search = find_routes(tables_of(market, market.pools, terms), names(market.pools), terms, 4, _ALL)
    assert search.routes == best(there.values())
    assert search.routes
    assert search.unpriced == (token(1),)
    capped = [found for found in search.routes if found.trade.amount_in == terms.max_position[found.trade.anchor]]
    assert capped


def test_a_limit_of_nothing() -> None:
    market = MixedMarket(1, 20, 10, 1)
    with pytest.raises(ValueError, match="limit"):
        find_routes(Tables(market.anchors), [], terms_of(market, 0), 4, 0)
