"""Every profitable route from the anchor through what changed: 2 and 3 hops, no pool twice.

Completeness: a route that earns anything has a marginal price above 1 over its whole length, and only routes that contain a
changed pool can have become profitable, so each changed pool is put in each place of a route in turn.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from itertools import permutations

import msgspec

from operators.pools.base import ConstantProduct
from operators.search.graph import GraphView
from operators.search.sizing_closed import Sized, closed_bound, closed_size
from schemas.opportunities import Hop
from schemas.types import Wide

#: Logarithms are rounded; a route whose price is this close to 1 is left to the exact integers.
_ROUNDING = 1e-9

#: One step of a route before it is sized: pool, token in, token out.
_Leg = tuple[bytes, bytes, bytes]
_Legs = tuple[_Leg, ...]


class Route(msgspec.Struct, frozen=True):
    """A sized route that starts and ends in the anchor; `gross` is what comes back above what went in, in base units."""

    hops: tuple[Hop, ...]
    gross: int

    @property
    def amount_in(self) -> int:
        """The size of the first hop, in base units of the anchor."""
        return self.hops[0].amount_in

    @property
    def order(self) -> tuple[int, int, tuple[bytes, ...]]:
        """Sorts routes best first: gross descending, then fewer hops, then pool addresses. No two routes are equal."""
        return -self.gross, len(self.hops), tuple(hop.pool for hop in self.hops)


def find_routes(
    graph: GraphView,
    changed: Iterable[bytes],
    anchor: bytes,
    max_hops: int,
    min_gross: int,
    max_position: int,
    limit: int,
) -> list[Route]:
    """The best `limit` routes through at least one of the pools `changed` with `gross > min_gross`, in `Route.order`.

    `anchor` is the token that routes start and end in; `max_position` bounds what goes in; both amounts in its base units.
    Addresses that the graph does not know are passed over. The order in which pools came into the graph, and that of
    `changed`, make no difference. Raises `ValueError` unless `max_hops` is 2 or 3 and `limit` at least 1.
    """
    if max_hops not in (2, 3):
        raise ValueError(f"max_hops must be 2 or 3, not {max_hops}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    floor = max(0, min_gross)
    bounded: list[tuple[int, _Legs, list[ConstantProduct]]] = []
    for legs in _profitable_at_zero_size(graph, changed, anchor, max_hops):
        curves = [_curve(graph, leg) for leg in legs]
        bound = closed_bound(curves, max_position)
        if bound > floor:
            bounded.append((bound, legs, curves))
    # Sizing costs far more than bounding, so the routes are sized from the best bound down until none left can get in.
    bounded.sort(key=lambda candidate: (-candidate[0], candidate[1]))
    routes: list[Route] = []
    for bound, legs, curves in bounded:
        if len(routes) >= limit and bound < routes[limit - 1].gross:
            break
        sized = closed_size(curves, max_position)
        if sized is not None and sized.gross > floor:
            insort(routes, _route(graph, legs, sized), key=lambda route: route.order)
            del routes[limit:]
    return routes


def _curve(graph: GraphView, leg: _Leg) -> ConstantProduct:
    address, token_in, token_out = leg
    pool = graph.get(address)
    assert pool is not None  # the leg comes from the graph's own edges
    return pool.constant_product(token_in, token_out)


def _route(graph: GraphView, legs: _Legs, sized: Sized) -> Route:
    """The route as records carry it, every amount asked of the pool itself once more."""
    hops = []
    amount = sized.amount_in
    for address, token_in, token_out in legs:
        pool = graph.get(address)
        assert pool is not None
        quote = pool.quote(token_in, amount, token_out)
        hops.append(
            Hop(
                pool=address,
                family=pool.FAMILY,
                zero_for_one=pool.tokens.index(token_in) < pool.tokens.index(token_out),
                token_in=token_in,
                token_out=token_out,
                amount_in=Wide(amount),
                amount_out=Wide(quote.amount_out),
            )
        )
        amount = quote.amount_out
    return Route(tuple(hops), amount - sized.amount_in)


def _profitable_at_zero_size(
    graph: GraphView, changed: Iterable[bytes], anchor: bytes, max_hops: int
) -> Iterable[_Legs]:
    """All routes through a changed pool whose marginal price is not clearly at or below 1, each once."""
    found: dict[_Legs, None] = {}
    for address in dict.fromkeys(changed):
        pool = graph.get(address)
        if pool is None or not pool.tradable:
            continue
        for token_in, token_out in permutations(pool.tokens, 2):
            price = graph.edges(token_in, token_out)[address]
            found.update(dict.fromkeys(_around(graph, (address, token_in, token_out), price, anchor, max_hops)))
    return found


def _around(graph: GraphView, leg: _Leg, price: float, anchor: bytes, max_hops: int) -> Iterator[_Legs]:
    """The routes that hold this leg, in every place that its tokens allow."""
    _, token_in, token_out = leg
    if token_in == anchor:
        for last in _legs(graph, token_out, anchor, leg, price):
            yield leg, last
    elif token_out == anchor:
        for first in _legs(graph, anchor, token_in, leg, price):
            yield first, leg
    if max_hops < 3:
        return
    if token_in == anchor:
        for middle in graph.neighbours(token_out):
            if middle != anchor:
                for second, third in _two_legs(graph, token_out, middle, anchor, leg, price):
                    yield leg, second, third
    elif token_out == anchor:
        for middle in graph.neighbours(token_in):
            if middle != anchor:
                for first, second in _two_legs(graph, anchor, middle, token_in, leg, price):
                    yield first, second, leg
    else:
        for first, first_price in _priced(graph, anchor, token_in, leg[0]):
            for last in _legs(graph, token_out, anchor, leg, price + first_price):
                if last[0] != first[0]:
                    yield first, leg, last


def _priced(graph: GraphView, token_in: bytes, token_out: bytes, excluded: bytes) -> Iterator[tuple[_Leg, float]]:
    for address, price in graph.edges(token_in, token_out).items():
        if address != excluded:
            yield (address, token_in, token_out), price


def _legs(graph: GraphView, token_in: bytes, token_out: bytes, other: _Leg, price: float) -> Iterator[_Leg]:
    """The legs between two tokens, other pools than that of `other`, that bring the whole price above 1."""
    for leg, leg_price in _priced(graph, token_in, token_out, other[0]):
        if price + leg_price > -_ROUNDING:
            yield leg


def _two_legs(
    graph: GraphView, token_in: bytes, middle: bytes, token_out: bytes, other: _Leg, price: float
) -> Iterator[tuple[_Leg, _Leg]]:
    """The pairs of legs by way of `middle`, no pool twice, that bring the whole price above 1."""
    if not graph.edges(middle, token_out):
        return
    for first, first_price in _priced(graph, token_in, middle, other[0]):
        for second in _legs(graph, middle, token_out, other, price + first_price):
            if second[0] != first[0]:
                yield first, second
