"""The best routes through what changed, each sized by itself and held to its cost: what an event hands on to simulation.

The tables list every route that may earn more than it costs; sizing them all would be wasted on most, so they are sized from the best bound down
until none that is left can get in. What has no bound (Curve's curves) is always sized.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from operators.pools.base import Pool, QuoteRefused
from operators.search.floors import Floor
from operators.search.net import Net, Terms, net_of
from operators.search.sizing import Curves, Directed, Trade, best_size, gross_bound, polished, trade
from operators.search.tables import Legs, Listed, Tables


class Found(NamedTuple):
    """A sized route and what it earns on the states it was found on."""

    legs: Legs
    trade: Trade
    net: Net

    @property
    def order(self) -> tuple[int, int, Legs]:
        """Sorts routes best first: net descending, then fewer hops, then addresses. No two routes are equal."""
        return -self.net.net_wei, len(self.legs), self.legs


class Search(NamedTuple):
    """What a search came to: at most `limit` routes in `Found.order`; how many the tables listed and how many were sized; the anchors
    (ascending) that had routes and no price."""

    routes: tuple[Found, ...]
    listed: int
    sized: int
    unpriced: tuple[bytes, ...]


def floors_of(terms: Terms) -> dict[bytes, Floor]:
    """What a route costs, by anchor, as the tables take it. An anchor without a price is left out: its routes are listed for free."""
    return {
        anchor: Floor(
            float(price.of_wei(terms.gas.per_route * terms.fee_wei + max(0, terms.floor_wei))),
            terms.fee_wei * price.amount / price.wei,
        )
        for anchor, price in terms.prices.items()
    }


def find_routes(tables: Tables, changed: Iterable[bytes], terms: Terms, max_hops: int, limit: int) -> Search:
    """The best `limit` routes of 2 to `max_hops` hops through at least one of the pools `changed` that earn more than `terms.floor_wei` after gas.

    The order in which pools came into the tables, and that of `changed`, make no difference. Raises `ValueError` unless `max_hops` is 2 to 5 and
    `limit` at least 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    listed = tables.routes_through(changed, max_hops, floors_of(terms))
    unpriced = sorted({route.legs[0].token_in for route in listed} - terms.prices.keys())
    sizer = _Sizer(tables.get, terms)
    best: list[Found] = []
    for bound, route in _by_bound(listed, terms):
        if len(best) >= limit and bound < best[limit - 1].net.net_wei:
            break
        found = sizer.size(route.legs)
        if found is not None:
            insort(best, found, key=lambda one: one.order)
            del best[limit:]
    final = sorted((sizer.polished(found) for found in best), key=lambda one: one.order)
    return Search(tuple(final), len(listed), sizer.sized, tuple(unpriced))


def _by_bound(listed: Sequence[Listed], terms: Terms) -> list[tuple[float, Listed]]:
    """The priced routes with the most that each may earn, in wei after its cost; best first."""
    bounded = []
    for route in listed:
        price = terms.prices.get(route.legs[0].token_in)
        if price is not None:
            bounded.append(((route.gross_bound - route.cost) * price.wei / price.amount, route))
    # A float of wei: a little is added so that rounding never ends the search early.
    bounded = [(bound + abs(bound) * 1e-9 + 1, route) for bound, route in bounded]
    bounded.sort(key=lambda entry: (-entry[0], len(entry[1].legs), entry[1].legs))
    return bounded


class _Sizer:
    """Sizes routes on one set of states, sharing what routes through the same pools share."""

    def __init__(self, pool_of: Callable[[bytes], Pool | None], terms: Terms) -> None:
        self._pool_of, self._terms = pool_of, terms
        self._curves = Curves()
        self.sized = 0

    def size(self, legs: Legs) -> Found | None:
        """The route at its best size; None where it earns no more than the floor after its gas."""
        route = self._route(legs)
        anchor = legs[0].token_in
        position = self._terms.max_position.get(anchor, 0)
        if route is None or position < 1:
            return None
        self.sized += 1
        try:
            # A route's cost is known before its size, but for the ticks it crosses, which only cost more.
            least = self._terms.least_gross(anchor, self._terms.gas.per_route)
            bound = gross_bound(route, position, self._curves)
            if bound is not None and bound <= least:
                return None
            sized = best_size(route, position, self._curves, least)
            return self._found(legs, route, sized.amount_in) if sized is not None else None
        except QuoteRefused:
            return None

    def polished(self, found: Found) -> Found:
        """The same route with what rounding took of its size won back where that is a visible part."""
        route = self._route(found.legs)
        assert route is not None  # it was sized on these states
        position = self._terms.max_position[found.legs[0].token_in]
        try:
            amount_in = polished(route, found.trade.sized, position, self._curves).amount_in
            if amount_in == found.trade.amount_in:
                return found
            better = self._found(found.legs, route, amount_in)
        except QuoteRefused:
            return found
        return better if better is not None and better.net.net_wei > found.net.net_wei else found

    def _found(self, legs: Legs, route: Sequence[Directed], amount_in: int) -> Found | None:
        done = trade(route, amount_in)
        net = net_of(done, self._terms)
        return Found(legs, done, net) if net.net > 0 and net.net_wei > max(0, self._terms.floor_wei) else None

    def _route(self, legs: Legs) -> list[Directed] | None:
        route = []
        for address, token_in, token_out in legs:
            pool = self._pool_of(address)
            if pool is None or not pool.tradable:
                return None
            route.append(Directed(pool, token_in, token_out))
        return route
