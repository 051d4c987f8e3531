"""The best set of routes where routes share pools: take the best, apply it, look again at what it touched; then size together what overlaps.

Routes are carried out one after the other, each on what the earlier ones left, and each earns more than its own gas. Taking the best
first leaves too much of a shared pool to the first of two routes (two that differ by a parallel pool, say); so afterwards each route in turn is
taken out, sized anew on what the others leave, and put back at the end, or left out, as long as the whole earns more by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from operators.pools.base import Pool, QuoteRefused
from operators.search.net import Net, Terms, net_of
from operators.search.sizing import Curves, Directed, Trade, best_size, gross_bound, polished, trade

T = TypeVar("T")

#: On how many sets of states a route is remembered.
_REMEMBERED = 8
#: A route before it is sized: (pool, token in, token out) of each hop.
Legs = tuple[tuple[bytes, bytes, bytes], ...]
#: The state of a pool, None where it is not known.
PoolOf = Callable[[bytes], Pool | None]
#: Further routes that a set of new states may have made profitable.
Discover = Callable[[Sequence[Pool]], Iterable[Legs]]

#: Rounds of sizing together at most, and the part of the whole (one in so many) that a round must add for another.
ROUNDS = 2
_WORTH_A_ROUND = 10_000
#: Groups of more routes than this are not tried without each of them: the work grows with the cube of their number.
MOST_DROPPED = 12


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
    refill: bool = False,
    sized: Mapping[Legs, Trade] | None = None,
) -> BestSet:
    """At most `limit` routes that together earn the most that is found; each earns more than `terms.floor_wei` after its gas.

    `pool_of` gives the states before any of them. `rounds`: of sizing together, 0 for taking the best and no more; `refill`: whether routes are also
    left out and replaced, which costs most and wins the last parts. `sized`: what is known of some of the routes already, each traded at its best size on the
    states before any. `discover`, if given, is told the new states after each route that is taken, and names further
    routes to look at. Routes with a pool that is unknown, untradable or in the route twice are passed over. The order of `routes` makes no
    difference. Raises `ValueError` for a `limit` below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    event = _Event(pool_of, terms)
    event.know(sized or {})
    search = _Greedy(_Market(event))
    taken = _taken(search, routes, limit, discover)
    together = _together(taken, search.known if refill else (), event, rounds)
    return BestSet(tuple(together), _Market(event, together).states, tuple(sorted(search.unpriced)))


class _Event:
    """What all looks at the routes of one event share: a route on the same states is sized once, however often the sets around it change."""

    def __init__(self, pool_of: PoolOf, terms: Terms) -> None:
        self.pool_of, self.terms = pool_of, terms
        self._curves = Curves()
        self._bounds: dict[Legs, _Known[int | None]] = {}
        self._sizes: dict[Legs, _Known[Taken | None]] = {}

    def know(self, sized: Mapping[Legs, Trade]) -> None:
        """What routes are at their best size on the states before any."""
        for legs, done in sized.items():
            route = [hop.hop for hop in done.hops]
            self._sizes.setdefault(legs, _Known()).of(route, partial(self._taken, legs, done))

    def sized(self, legs: Legs, route: Sequence[Directed]) -> Taken | None:
        """A route at its best size, if that was found out before."""
        known = self._sizes.get(legs)
        return known.seen(route) if known is not None else None

    def bound(self, legs: Legs, route: Sequence[Directed]) -> int | None:
        """An upper bound of the gross of a route, in base units of its anchor; None where there is none without quotes."""
        position = self.terms.max_position[legs[0][1]]
        known = self._bounds.setdefault(legs, _Known())
        return known.of(route, lambda: gross_bound(route, position, self._curves))

    def size(self, legs: Legs, route: Sequence[Directed]) -> Taken | None:
        """A route at its best size; None where it earns no more than the floor after gas."""
        return self._sizes.setdefault(legs, _Known()).of(route, lambda: self._size(legs, route))

    def polished(self, taken: Taken, route: Sequence[Directed]) -> Taken:
        """A route sized on these states, with what floors took of it won back in part."""
        better = polished(route, taken.trade.sized, self.terms.max_position[taken.trade.anchor], self._curves)
        return self.trade(taken.legs, route, better.amount_in) or taken

    def _size(self, legs: Legs, route: Sequence[Directed]) -> Taken | None:
        anchor = legs[0][1]
        least = self.terms.least_gross(anchor, self.terms.gas.per_route)
        try:
            sized = best_size(route, self.terms.max_position[anchor], self._curves, least)
        except QuoteRefused:
            return None
        return self.trade(legs, route, sized.amount_in) if sized is not None else None

    def trade(self, legs: Legs, route: Sequence[Directed], amount_in: int) -> Taken | None:
        """A route at a given size; None where it earns no more than the floor after gas, or a pool refuses."""
        try:
            done = trade(route, amount_in)
        except QuoteRefused:
            return None
        return self._taken(legs, done)

    def _taken(self, legs: Legs, done: Trade) -> Taken | None:
        net = net_of(done, self.terms)
        return Taken(legs, done, net) if net.net > 0 and net.net_wei > max(0, self.terms.floor_wei) else None


class _Known(Generic[T]):
    """What was found out about a route on some sets of states, the last few."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Sequence[Directed], T]] = deque(maxlen=_REMEMBERED)

    def of(self, route: Sequence[Directed], find: Callable[[], T]) -> T:
        """What is known of the route on its states, found out now if need be."""
        for known, answer in self._entries:
            if _same(known, route):
                return answer
        answer = find()
        self._entries.append((route, answer))
        return answer

    def seen(self, route: Sequence[Directed]) -> T | None:
        """What is known of the route on its states, None where that is nothing."""
        return next((answer for known, answer in self._entries if _same(known, route)), None)


def _same(one: Sequence[Directed], other: Sequence[Directed]) -> bool:
    """Whether two looks at a route found it on the same states."""
    return all(mine.pool is its.pool for mine, its in zip(one, other, strict=True))


class _Market:
    """States with those of applied routes over them."""

    def __init__(self, event: _Event, applied: Iterable[Taken] = ()) -> None:
        self.event = event
        self.states: dict[bytes, Pool] = {}
        for taken in applied:
            self.apply(taken.trade)

    def route(self, legs: Legs) -> list[Directed] | None:
        """The route on the present states; None where it cannot be traded."""
        route = []
        for address, token_in, token_out in legs:
            pool = self.states.get(address) or self.event.pool_of(address)
            if pool is None or not pool.tradable:
                return None
            route.append(Directed(pool, token_in, token_out))
        return route

    def apply(self, done: Trade) -> list[Pool]:
        """Lay the states that a route leaves over the others; returns them."""
        states = [hop.state for hop in done.hops]
        self.states.update((state.address, state) for state in states)
        return states

    def size(self, legs: Legs) -> Taken | None:
        """The route at its best size on the present states; None where it earns no more than the floor after gas."""
        route = self.route(legs)
        return self.event.size(legs, route) if route is not None else None

    def polished(self, taken: Taken) -> Taken:
        """A route that was sized on the present states, or one that is no worse on them."""
        route = self.route(taken.legs)
        return self.event.polished(taken, route) if route is not None else taken

    def again(self, taken: Taken) -> Taken | None:
        """A route at the size it has, on the present states; None where it would earn no more than the floor."""
        route = self.route(taken.legs)
        return self.event.trade(taken.legs, route, taken.trade.amount_in) if route is not None else None


class _Greedy:
    """Routes by what they may earn, in wei, best first: by a bound while that is enough, then exactly."""

    def __init__(self, market: _Market) -> None:
        self.market, self._terms = market, market.event.terms
        #: How often a route was looked at: entries of earlier looks are out of date.
        self._looks: dict[Legs, int] = {}
        self._through: dict[bytes, list[Legs]] = {}
        self._heap: list[tuple[int, int, Legs, int]] = []
        self._exact: dict[Legs, Taken] = {}
        self.unpriced: set[bytes] = set()

    def look_at(self, routes: Iterable[Legs]) -> None:
        """Put many routes in at once."""
        self._heap += [entry for legs in routes if self._register(legs) and (entry := self._entry(legs)) is not None]
        heapify(self._heap)

    def add(self, routes: Iterable[Legs]) -> None:
        """Put further routes in; those that are known are passed over."""
        for legs in routes:
            if legs not in self._looks and self._register(legs):
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
            exact = self.market.size(legs)
            if exact is not None:
                self._exact[legs] = exact
                heappush(self._heap, (-exact.net.net_wei, len(legs), legs, look))
        return None

    @property
    def known(self) -> Sequence[Legs]:
        """All routes put in."""
        return sorted(self._looks)

    def _register(self, legs: Legs) -> bool:
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
        """An upper bound of what the route earns, in wei and before gas; its exact net where that is known or there is no bound; None for nothing."""
        route = self.market.route(legs)
        if route is None:
            return None
        exact = self.market.event.sized(legs, route)
        if exact is not None:
            self._exact[legs] = exact
            return exact.net.net_wei
        anchor = legs[0][1]
        try:
            gross = self.market.event.bound(legs, route)
        except QuoteRefused:
            return None
        if gross is None:
            exact = self.market.size(legs)
            if exact is None:
                return None
            self._exact[legs] = exact
            return exact.net.net_wei
        if gross <= self._terms.least_gross(anchor, self._terms.gas.per_route):
            return None
        return self._terms.prices[anchor].to_wei(gross)


def _taken(search: _Greedy, routes: Iterable[Legs], limit: int, discover: Discover | None = None) -> list[Taken]:
    """The best route, then the best on what it leaves, and so on."""
    search.look_at(routes)
    taken: list[Taken] = []
    while len(taken) < limit and (best := search.pop()) is not None:
        taken.append(best)
        states = search.market.apply(best.trade)
        if discover is not None:
            search.add(discover(states))
        search.touched(states)
    return taken


def _together(taken: list[Taken], known: Sequence[Legs], event: _Event, rounds: int) -> list[Taken]:
    """Size together the routes that share pools; the others stay as they are. In the order in which they are to be carried out."""
    result: list[Taken] = []
    for group in _groups(taken):
        together = group
        if len(group) > 1 and rounds:
            pools = {leg[0] for each in group for leg in each.legs}
            inside = [legs for legs in known if all(leg[0] in pools for leg in legs)]
            together = _ascend(group, inside, event, rounds)
        # The last one moves nothing that another stands on.
        *before, last = together
        result += [*before, _Market(event, before).polished(last)]
    return result


def _groups(taken: Sequence[Taken]) -> list[list[Taken]]:
    """Routes in groups that share no pool with each other, in the order of their first routes."""
    groups: list[tuple[set[bytes], list[int]]] = []
    for number, each in enumerate(taken):
        pools, joined, apart = {leg[0] for leg in each.legs}, [number], []
        for group in groups:
            if group[0] & pools:
                pools |= group[0]
                joined += group[1]
            else:
                apart.append(group)
        groups = [*apart, (pools, joined)]
    return [[taken[number] for number in numbers] for numbers in sorted(sorted(group) for _, group in groups)]


def _ascend(group: list[Taken], known: Sequence[Legs], event: _Event, rounds: int) -> list[Taken]:
    """Each route in turn sized anew behind the others; then, as long as the whole earns more by it, each in turn left out and the best of all
    routes known taken behind what is kept."""
    best = _resized(group, event, rounds)
    if len(best) > MOST_DROPPED or not known:
        return best
    for _ in range(rounds):
        before, place = _earned(best), 0
        while place < len(best) and len(best) > 1:
            # Two routes may use a pool in opposite directions, where no one size alone can better anything: then both go.
            opposed = [each for each in best if each is best[place] or _opposed(each.legs, best[place].legs)]
            for dropped in ([best[place]], opposed)[: 2 if len(opposed) > 1 else 1]:
                tried = _without(best, dropped, known, event)
                if tried is not None and _earned(tried) > _earned(best):
                    best = tried
                    break
            else:
                place += 1
        best = _resized(best, event, rounds)
        if (_earned(best) - before) * _WORTH_A_ROUND <= before:
            break
    return best


def _opposed(one: Legs, other: Legs) -> bool:
    """Whether two routes use a pool in opposite directions."""
    back = {(address, token_out, token_in) for address, token_in, token_out in other}
    return any(leg in back for leg in one)


def _without(
    group: Sequence[Taken], dropped: Sequence[Taken], known: Sequence[Legs], event: _Event
) -> list[Taken] | None:
    """A group with some left out, sized anew, and filled up again with the best of all routes; None where a route kept would earn nothing."""
    kept = _behind([each for each in group if not any(each is one for one in dropped)], 0, None, event)
    if kept is None:
        return None
    kept = _resized(kept, event, 2)
    refilled = _taken(_Greedy(_Market(event, kept)), known, len(group) - len(kept))
    return _resized([*kept, *refilled], event, 2)


def _resized(group: list[Taken], event: _Event, rounds: int) -> list[Taken]:
    """Each route in turn taken out, sized anew on what the others leave, and put back at the end, as long as the whole earns more."""
    best = group
    for _ in range(rounds):
        before, place = _earned(best), 0
        for _ in range(len(best)):
            if place >= len(best):
                break
            tried = _behind([*best[:place], *best[place + 1 :]], place, best[place].legs, event)
            if tried is not None and _earned(tried) > _earned(best):
                # It stands at the end now, so that the next one has its place.
                best = tried
            else:
                place += 1
        if (_earned(best) - before) * _WORTH_A_ROUND <= before:
            break
    return best


def _earned(group: Sequence[Taken]) -> int:
    return sum(taken.net.net_wei for taken in group)


def _behind(others: Sequence[Taken], same: int, legs: Legs | None, event: _Event) -> list[Taken] | None:
    """The others at their sizes, the first `same` of them on the states they are on already, then a route (if any) at its best behind them,
    left out where it earns nothing. None where one of the others would earn nothing."""
    market, result = _Market(event, others[:same]), list(others[:same])
    for other in others[same:]:
        again = market.again(other)
        if again is None:
            return None
        market.apply(again.trade)
        result.append(again)
    behind = market.size(legs) if legs is not None else None
    return result if behind is None else [*result, behind]
