"""The best set of routes where routes share pools: take the best, apply it, look again at what it touched; then size together what overlaps.

Routes are carried out one after the other, each on what the earlier ones left, and each earns more than its own gas. Taking the best
first leaves too much of a shared pool to the first of two routes (two that differ by a parallel pool, say); so afterwards each route in turn is
taken out, sized anew on what the others leave, and put back at the end, as long as the whole earns more by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from operators.pools.base import Pool, QuoteRefused
from operators.search.net import Net, Terms, net_of
from operators.search.sizing import Curves, Directed, Trade, best_size, gross_bound, polished, trade

#: A route before it is sized: (pool, token in, token out) of each hop.
Legs = tuple[tuple[bytes, bytes, bytes], ...]
#: The state of a pool, None where it is not known.
PoolOf = Callable[[bytes], Pool | None]
#: Further routes that a set of new states may have made profitable.
Discover = Callable[[Sequence[Pool]], Iterable[Legs]]

#: Rounds of sizing together at most, and the part of the whole (one in so many) that a round must add for another.
ROUNDS = 8
_WORTH_A_ROUND = 10_000


class Taken(NamedTuple):
    """A route of the set, on the states that the ones before it left."""

    legs: Legs
    trade: Trade
    net: Net


class BestSet(NamedTuple):
    """Routes in the order in which they are to be carried out, the pools they leave, and the anchors (ascending) that had routes and no price."""

    taken: tuple[Taken, ...]
    states: Mapping[bytes, Pool]
    unpriced: tuple[bytes, ...]

    @property
    def net_wei(self) -> int:
        """What the whole set earns."""
        return sum(taken.net.net_wei for taken in self.taken)


def best_set(
    routes: Iterable[Legs],
    pool_of: PoolOf,
    terms: Terms,
    limit: int,
    discover: Discover | None = None,
    rounds: int = ROUNDS,
) -> BestSet:
    """At most `limit` routes that together earn the most that is found; each earns more than `terms.floor_wei` after its gas.

    `pool_of` gives the states before any of them. `discover`, if given, is told the new states after each route that is taken, and names further
    routes to look at. Routes with a pool that is unknown, untradable or in the route twice are passed over. The order of `routes` makes no
    difference. Raises `ValueError` for a `limit` below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    market = _Market(pool_of)
    search = _Greedy(market, terms)
    search.look_at(routes)
    taken: list[Taken] = []
    while len(taken) < limit and (best := search.pop()) is not None:
        taken.append(best)
        states = market.apply(best.trade)
        if discover is not None:
            search.add(discover(states))
        search.touched(states)
    together = _together(taken, pool_of, terms, rounds)
    after = _Market(pool_of)
    for each in together:
        after.apply(each.trade)
    return BestSet(tuple(together), after.states, tuple(sorted(search.unpriced)))


class _Market:
    """States with those of applied routes over them."""

    def __init__(self, pool_of: PoolOf) -> None:
        self._below = pool_of
        self.states: dict[bytes, Pool] = {}
        self.curves = Curves()

    def route(self, legs: Legs) -> list[Directed] | None:
        """The route on the present states; None where it cannot be traded."""
        route = []
        for address, token_in, token_out in legs:
            pool = self.states.get(address) or self._below(address)
            if pool is None or not pool.tradable:
                return None
            route.append(Directed(pool, token_in, token_out))
        return route

    def apply(self, done: Trade) -> list[Pool]:
        """Lay the states that a route leaves over the others; returns them."""
        states = [hop.state for hop in done.hops]
        self.states.update((state.address, state) for state in states)
        return states

    def size(self, legs: Legs, terms: Terms, *, polish: bool = False) -> Taken | None:
        """The route at its best size; None where it earns no more than the floor after gas."""
        route = self.route(legs)
        if route is None:
            return None
        anchor = legs[0][1]
        position = terms.max_position[anchor]
        try:
            least = terms.least_gross(anchor, terms.gas.per_route)
            sized = best_size(route, position, self.curves, least)
            if sized is not None and polish:
                sized = polished(route, sized, position, self.curves)
        except QuoteRefused:
            return None
        return self.trade(legs, sized.amount_in, terms) if sized is not None else None

    def trade(self, legs: Legs, amount_in: int, terms: Terms) -> Taken | None:
        """The route at a given size; None where it earns no more than the floor after gas, or a pool refuses."""
        route = self.route(legs)
        if route is None:
            return None
        try:
            done = trade(route, amount_in)
        except QuoteRefused:
            return None
        net = net_of(done, terms)
        return Taken(legs, done, net) if net.net > 0 and net.net_wei > max(0, terms.floor_wei) else None


class _Greedy:
    """Routes by what they may earn, in wei, best first: by a bound while that is enough, then exactly."""

    def __init__(self, market: _Market, terms: Terms) -> None:
        self._market, self._terms = market, terms
        #: How often a route was looked at: entries of earlier looks are out of date.
        self._looks: dict[Legs, int] = {}
        self._through: dict[bytes, list[Legs]] = {}
        self._heap: list[tuple[int, int, Legs, int]] = []
        self._exact: dict[Legs, Taken] = {}
        self.unpriced: set[bytes] = set()

    def look_at(self, routes: Iterable[Legs]) -> None:
        """Put many routes in at once."""
        entries = []
        for legs in routes:
            if self._known(legs) and (entry := self._entry(legs)) is not None:
                entries.append(entry)
        self._heap += entries
        heapify(self._heap)

    def add(self, routes: Iterable[Legs]) -> None:
        """Put further routes in; those that are known are passed over."""
        for legs in routes:
            if legs not in self._looks and self._known(legs):
                self._push(legs)

    def touched(self, states: Iterable[Pool]) -> None:
        """Look again at every route through these pools."""
        for legs in dict.fromkeys(legs for state in states for legs in self._through.get(state.address, ())):
            self._push(legs)

    def pop(self) -> Taken | None:
        """The route that earns the most now; None where none is left."""
        while self._heap:
            _, _, legs, look = heappop(self._heap)
            if look != self._looks[legs]:
                continue
            exact = self._exact.pop(legs, None)
            if exact is not None:
                return exact
            exact = self._market.size(legs, self._terms)
            if exact is not None:
                self._exact[legs] = exact
                heappush(self._heap, (-exact.net.net_wei, len(legs), legs, look))
        return None

    def _known(self, legs: Legs) -> bool:
        """Register a route; whether it can be looked at."""
        if legs in self._looks:
            return False
        addresses = {leg[0] for leg in legs}
        anchor = legs[0][1]
        if len(addresses) < len(legs) or anchor not in self._terms.max_position:
            return False
        if anchor not in self._terms.prices:
            self.unpriced.add(anchor)
            return False
        self._looks[legs] = 0
        for address in sorted(addresses):
            self._through.setdefault(address, []).append(legs)
        return True

    def _push(self, legs: Legs) -> None:
        entry = self._entry(legs)
        if entry is not None:
            heappush(self._heap, entry)

    def _entry(self, legs: Legs) -> tuple[int, int, Legs, int] | None:
        self._looks[legs] += 1
        self._exact.pop(legs, None)
        bound = self._bound(legs)
        return None if bound is None else (-bound, len(legs), legs, self._looks[legs])

    def _bound(self, legs: Legs) -> int | None:
        """An upper bound of what the route earns, in wei and before gas; its exact net where there is no bound; None for nothing."""
        route = self._market.route(legs)
        if route is None:
            return None
        anchor = legs[0][1]
        try:
            gross = gross_bound(route, self._terms.max_position[anchor], self._market.curves)
        except QuoteRefused:
            return None
        if gross is None:
            exact = self._market.size(legs, self._terms)
            if exact is None:
                return None
            self._exact[legs] = exact
            return exact.net.net_wei
        if gross <= self._terms.least_gross(anchor, self._terms.gas.per_route):
            return None
        return self._terms.prices[anchor].to_wei(gross)


def _together(taken: list[Taken], pool_of: PoolOf, terms: Terms, rounds: int) -> list[Taken]:
    """Size together the routes that share pools; the others stay as they are. In the order in which they are to be carried out."""
    result = []
    for group in _groups(taken):
        result += _ascend(group, pool_of, terms, rounds) if len(group) > 1 else [_alone(group[0], pool_of, terms)]
    return result


def _alone(taken: Taken, pool_of: PoolOf, terms: Terms) -> Taken:
    better = _Market(pool_of).size(taken.legs, terms, polish=True)
    return better if better is not None and better.net.net_wei > taken.net.net_wei else taken


def _groups(taken: Sequence[Taken]) -> list[list[Taken]]:
    """Routes in groups that share no pool with each other, in the order of their first routes."""
    groups: list[tuple[set[bytes], list[Taken]]] = []
    for each in taken:
        pools = {leg[0] for leg in each.legs}
        joined, apart = [each], []
        for group_pools, group in groups:
            if group_pools & pools:
                pools |= group_pools
                joined = [*group, *joined]
            else:
                apart.append((group_pools, group))
        groups = [*apart, (pools, joined)]
    order = {id(each): number for number, each in enumerate(taken)}
    for _, group in groups:
        group.sort(key=lambda each: order[id(each)])
    return [group for _, group in sorted(groups, key=lambda entry: order[id(entry[1][0])])]


def _ascend(group: list[Taken], pool_of: PoolOf, terms: Terms, rounds: int) -> list[Taken]:
    """Each route in turn sized anew behind the others, as long as the whole earns more by it."""
    best, total = group, sum(each.net.net_wei for each in group)
    for number in range(rounds):
        before, place, last = total, 0, number + 1 == rounds
        for _ in range(len(best)):
            if place >= len(best):
                break
            others = [*best[:place], *best[place + 1 :]]
            tried = _sequence(others, best[place].legs, pool_of, terms, polish=last)
            if tried is not None and (found := sum(one.net.net_wei for one in tried)) > total:
                # It stands at the end now, so that the next one has its place.
                best, total = tried, found
            else:
                place += 1
        if (total - before) * _WORTH_A_ROUND <= total:
            break
    return best


def _sequence(
    others: Sequence[Taken], legs: Legs, pool_of: PoolOf, terms: Terms, *, polish: bool
) -> list[Taken] | None:
    """The others at their sizes, then a route at its best behind them, left out where it earns nothing; None where another would not."""
    market, result = _Market(pool_of), []
    for other in others:
        again = market.trade(other.legs, other.trade.amount_in, terms)
        if again is None:
            return None
        market.apply(again.trade)
        result.append(again)
    behind = market.size(legs, terms, polish=polish)
    return result if behind is None else [*result, behind]
