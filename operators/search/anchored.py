"""Listing the routes through changed pools by branch and bound over the anchored tables: compiled code over a `Store`.

A changed arc is put in each place of a route. Before it there is a way from the anchor, behind it one to the anchor; both are walked hop by hop,
and a step is taken only if the best way on that the tables know leads above the threshold. Tables never promise less than there is, so
every route above the threshold is listed; they promise hardly more, so the work follows the routes.

**The threshold.** A route earns something only if its log price `s` is above 0. To earn more than a cost `F`, no hop may be too shallow: a hop of
depth `D` (see `floors`) at which the price before it is `P` takes at most `(exp(s/2) - 1)**2 * D * exp(-P)` of gross, written with
`s = P + w + S` as `(exp((w + S)/2) - exp(-P/2))**2 * D`. It grows with `P` and with `S`, so bounds on both bound it; for the changed arc
it becomes a threshold on the way behind it, or on the way before it. A listed route is held to all its hops at once (`Moebius` form).
"""

from __future__ import annotations

from math import exp, inf, log, sqrt
from typing import NamedTuple

import numpy as np

from operators.search.kernels import bound, entry, find_link, inner, list_of, renew_list
from operators.search.store import (
    ABSENT,
    BACK,
    DEGREE,
    DEPTH,
    FIRST,
    FROM,
    LENGTH,
    LINK,
    LOOKED_UP,
    NEXT,
    NONE,
    ONE,
    POOL,
    PRICE,
    ROOM_OF_LIST,
    START,
    TAIL,
    TO,
    TWO,
    ZERO,
    Floats,
    Ints,
    Store,
)

#: Logarithms are rounded; a route whose log price is this close to 0 is left to the exact integers.
ROUNDING = 1e-9
#: Sums of the same prices in another order differ by less than this; bounds give that much way.
_ORDER = 1e-11
_MARGIN = ROUNDING + _ORDER
MOST_HOPS = 5

#: Rows of `Walks.step`: tokens; next and last link to look at, and how; the links taken; tokens it must not touch; the hop it stands at.
_TOKEN, _AT, _END, _HOW, _TAKEN, _BANNED, _LEVEL = range(7)
#: Where `Walks` has the route; and what is left of it.
_ROUTE, _REST = 2, 3
#: The column of `Walks.price` with the price of the whole way.
_WHOLE = MOST_HOPS + 1
#: How to look: at the link with the anchor, at all of the token's links, at the lists of ways between two hubs.
_CLOSE, _SCAN, _LISTS = 0, 1, 2

#: Columns of `Found.number`.
LOG_PRICE, GROSS, COST = 0, 1, 2
#: Columns of the pools given to `list_routes`: first arc, number of arcs, turn, least gas of a hop.
FIRST_ARC, ARCS, TURN, GAS = 0, 1, 2, 3


class Walks(NamedTuple):
    """Two walks that can be taken up again, one in each way: from the changed arc to the anchor, and back from it to where the route comes from.

    (3, 7, MOST_HOPS + 1) steps of each way by the rows above; last, of the route they make, the first arc and the chosen arc of each hop.
    (4, MOST_HOPS + 2) prices up to each token of each way; of the route, up to each hop, and the best from each hop on.
    """

    step: Ints
    price: Floats


class Found(NamedTuple):
    """Where listed routes are written: (N, MOST_HOPS) arcs and pools in hop order, NONE behind the last; (N, 3) log price, gross bound, cost."""

    arc: Ints
    pool: Ints
    number: Floats


def new_walks() -> Walks:
    """The memory of the walks."""
    return Walks(np.zeros((3, 7, MOST_HOPS + 1), np.int64), np.zeros((4, MOST_HOPS + 2)))


def room_for(routes: int) -> Found:
    """Memory for so many routes."""
    hops = (routes, MOST_HOPS)
    return Found(np.full(hops, NONE, np.int64), np.full(hops, NONE, np.int64), np.zeros((routes, 3)))


# ---------------------------------------------------------------- walking


@inner
def _enter(
    store: Store, walks: Walks, way: int, level: int, token: int, hub: int, left: int, price: float, least: float
) -> None:
    """Stand at `token`, `left` hops from the anchor `hub`."""
    step, hubs = walks.step[way], store.near.shape[2]
    step[_LEVEL, 0] = level
    step[_TOKEN, level] = token
    walks.price[way, level] = price
    step[_HOW, level], step[_AT, level], step[_END, level] = _CLOSE, 0, 1
    if left == 1:
        return
    if token < hubs and left <= 3 and _are_deep(store, way, token, hub, left, least - price - _ORDER):
        # Over another hub; and, three hops away, over a token and another hub; over tokens alone.
        step[_HOW, level], step[_END, level] = _LISTS, hubs + ROOM_OF_LIST + (hubs * ROOM_OF_LIST if left == 3 else 0)
    else:
        step[_HOW, level], step[_AT, level] = _SCAN, store.token[token, START]
        step[_END, level] = store.token[token, START] + store.token[token, DEGREE]


@inner
def _are_deep(store: Store, way: int, token: int, hub: int, hops: int, least: float) -> bool:
    """Whether the lists hold all ways above `least` between two hubs; looks them up again where that can help."""
    source, target = (token, hub) if way == TO else (hub, token)
    if not _is_deep(store, hops, source, target, least):
        return False
    if hops == 3:
        for over in range(hub + 1, store.near.shape[2]):
            last = store.near[way, over, hub]
            if over != token and last != -inf:
                source, target = (token, over) if way == TO else (over, token)
                if not _is_deep(store, TWO, source, target, least - last):
                    return False
    return True


@inner
def _is_deep(store: Store, hops: int, source: int, target: int, least: float) -> bool:
    row = list_of(store.near.shape[2], hops, source, target)
    if store.lists.floor[row] > least and store.lists.state[row, LENGTH] < LOOKED_UP // 2:
        renew_list(store, hops, source, target)
    return store.lists.floor[row] <= least


@inner
def _next_way(store: Store, walks: Walks, way: int, hub: int, hops: int, bans: int, least: float) -> bool:
    """Go on to the next way of exactly `hops` hops above `least`; False when there is none left."""
    step = walks.step[way]
    while step[_LEVEL, 0] >= 0:
        level = step[_LEVEL, 0]
        token, before, at = step[_TOKEN, level], walks.price[way, level], step[_AT, level]
        if at >= step[_END, level]:
            step[_LEVEL, 0] -= 1
            continue
        step[_AT, level] += 1
        left = hops - level
        if step[_HOW, level] == _CLOSE:
            link = store.near_link[token, hub]
            if link != NONE and before + store.price[way, link] > least:
                step[_TAKEN, level] = link
                walks.price[way, _WHOLE] = before + store.price[way, link]
                return True
            continue
        link = at
        if step[_HOW, level] == _LISTS:
            if at >= store.near.shape[2]:
                if _take_listed(store, walks, way, hub, left, bans, least):
                    return True
                continue
            link = store.near_link[token, at]
            if link == NONE:
                continue
        other, price = store.head[link], store.price[way, link]
        if price == -inf or other <= hub:  # hubs are the first tokens, and those up to the anchor are left out
            continue
        so_far = before + price
        if so_far + bound(store, way, other, hub, left - 1, token) <= least or _is_taken(step, level, bans, other):
            continue
        step[_TAKEN, level] = link
        _enter(store, walks, way, level + 1, other, hub, left - 1, so_far, least)
    return False


@inner
def _take_listed(store: Store, walks: Walks, way: int, hub: int, left: int, bans: int, least: float) -> bool:
    """Take a way to the anchor from a list, the one that the walk has come to; False where it does not fit."""
    step, hubs = walks.step[way], store.near.shape[2]
    level = step[_LEVEL, 0]
    token, so_far = step[_TOKEN, level], walks.price[way, level]
    at = step[_AT, level] - 1 - hubs
    place, over, last = at % ROOM_OF_LIST, ABSENT, 0.0
    length = left
    if left == 3 and at >= ROOM_OF_LIST:
        # Over a token and then another hub.
        over, length = at // ROOM_OF_LIST - 1, TWO
        last = store.near[way, over, hub]
    end = hub if over == NONE else over
    row = ZERO
    fits = over == NONE or (over > hub and over != token and last != -inf)
    if fits:
        row = (
            list_of(store.near.shape[2], length, token, end)
            if way == TO
            else list_of(store.near.shape[2], length, end, token)
        )
        fits = place < store.lists.state[row, LENGTH] and so_far + store.lists.price[row, place] + last > least
    if not fits:
        step[_AT, level] += ROOM_OF_LIST - 1 - place  # nothing behind it fits either
        return False
    first, second = store.lists.token[row, place, 0], store.lists.token[row, place, 1]
    if length == 3 and way == FROM:
        first, second = second, first
    if over != NONE:
        second = over
    if _is_taken(step, level, bans, first) or (left == 3 and _is_taken(step, level, bans, second)):
        return False
    step[_TAKEN, level], step[_TOKEN, level + 1] = store.link[store.near_link[first, token], BACK], first
    if left == 3:
        step[_TAKEN, level + 1], step[_TOKEN, level + 2] = find_link(store, first, second), second
        first = second
    step[_TAKEN, level + left - 1] = store.near_link[first, hub]
    walks.price[way, _WHOLE] = so_far + store.lists.price[row, place] + last
    return True


@inner
def _is_taken(step: Ints, level: int, bans: int, token: int) -> bool:
    for earlier in range(level):
        if step[_TOKEN, earlier] == token:
            return True
    for ban in range(bans):  # noqa: SIM110  (the compiler knows no generators)
        if step[_BANNED, ban] == token:
            return True
    return False


# ---------------------------------------------------------------- thresholds


@inner
def _least_behind(price: float, before: float, shallow: float) -> float:
    """What the way behind an arc of this price must be above, when the way before it has the price `before`."""
    return 2.0 * log(shallow + exp(-before / 2.0)) - price - _MARGIN


@inner
def _least_before(price: float, behind: float, shallow: float) -> float:
    """What the way before an arc of this price must be above, when no way behind it has a better price than `behind`."""
    if behind == inf:
        return -inf
    if shallow == 0.0:
        return -price - behind - _MARGIN
    room = exp((price + behind + ROUNDING) / 2.0) - shallow
    return -2.0 * log(room) - _ORDER if room > 0.0 else inf


# ---------------------------------------------------------------- listing


@entry
def list_routes(
    store: Store, changed: Ints, pools: Ints, costs: Floats, most_hops: int, walks: Walks, found: Found
) -> int:
    """Write every route of 2 to `most_hops` hops through one of the pools `changed` that may earn more than it costs.

    `pools` has a row for each pool: its first arc, the number of its arcs, its gas, and its turn: the position in `changed`, of all others a
    number above these. `costs`: (2, A) in base units of each anchor, what a route costs whatever its pools, and a unit of gas. Returns how many routes there are, also when `found` has no room for all of them: those are counted, not written.
    """
    count = ZERO
    for position in range(len(changed)):
        pool = changed[position]
        for arc in range(pools[pool, FIRST_ARC], pools[pool, FIRST_ARC] + pools[pool, ARCS]):
            price = store.offer[arc, PRICE]
            if price == -inf:
                continue
            token, other = store.link[store.arc[arc, LINK], TAIL], store.head[store.arc[arc, LINK]]
            # A route is listed from the first anchor in it.
            for anchor in range(min(token, other, costs.shape[1] - 1) + 1):
                cost = costs[0, anchor] + costs[1, anchor] * pools[pool, GAS]
                shallow = sqrt(cost / store.offer[arc, DEPTH]) if cost > 0.0 else 0.0
                # Routes with exactly so many hops before the arc: none where it leads away from the anchor.
                fewest, end = (0, 1) if token == anchor else (1, most_hops if other == anchor else most_hops - 1)
                for before in range(fewest, end):
                    most_behind = 0 if other == anchor else most_hops - 1 - before
                    best_before = bound(store, FROM, token, anchor, before, other)
                    if best_before == -inf:
                        continue
                    best_behind = 0.0 if most_behind == 0 else -inf
                    for behind in range(1, most_behind + 1):
                        best_behind = max(best_behind, bound(store, TO, other, anchor, behind, token))
                    if best_before + price + best_behind <= -_MARGIN:
                        continue
                    least = _least_before(price, best_behind, shallow)
                    if best_before <= least:
                        continue
                    if before == 0:
                        count = _list_behind(
                            store, arc, anchor, ZERO, 0.0, most_behind, shallow, pools, costs, walks, found, count
                        )  # fmt: skip
                        continue
                    walks.step[FROM, _BANNED, 0] = other
                    _enter(store, walks, FROM, ZERO, token, anchor, before, 0.0, least)
                    while _next_way(store, walks, FROM, anchor, before, ONE, least):
                        count = _list_behind(
                            store, arc, anchor, before, walks.price[FROM, _WHOLE], most_behind, shallow, pools, costs,
                            walks, found, count,
                        )  # fmt: skip
    return count


@inner
def _list_behind(
    store: Store,
    arc: int,
    anchor: int,
    hops: int,
    before: float,
    most_behind: int,
    shallow: float,
    pools: Ints,
    costs: Floats,
    walks: Walks,
    found: Found,
    count: int,
) -> int:
    """The routes whose `hops` hops before the arc are known and have the price `before`."""
    link, price = store.arc[arc, LINK], store.offer[arc, PRICE]
    token, other = store.link[link, TAIL], store.head[link]
    least = -before - price - _MARGIN
    deep = shallow == 0.0
    for level in range(hops):
        walks.step[TO, _BANNED, level] = walks.step[FROM, _TOKEN, level]
    for behind in range(1 if most_behind else 0, most_behind + 1):
        best = bound(store, TO, other, anchor, behind, token)
        if best > least and not deep:
            least, deep = _least_behind(price, before, shallow), True
        if best <= least:
            continue
        if behind > 0:
            _enter(store, walks, TO, ZERO, other, anchor, behind, 0.0, least)
        more = True
        while more:
            if behind == 0:
                more = False
            elif not _next_way(store, walks, TO, anchor, behind, hops, least):
                break
            count = _list_pools(store, arc, anchor, hops, behind, pools, costs, walks, found, count)
    return count


# ---------------------------------------------------------------- pools of a route


@inner
def _list_pools(
    store: Store,
    arc: int,
    anchor: int,
    before: int,
    behind: int,
    pools: Ints,
    costs: Floats,
    walks: Walks,
    found: Found,
    count: int,
) -> int:
    """Choose the pools on the links walked in every way that stays above 0."""
    hops, own_pool = before + 1 + behind, store.arc[arc, POOL]
    first, chosen = walks.step[_ROUTE, 0], walks.step[_ROUTE, 1]
    sums, rest = walks.price[_ROUTE], walks.price[_REST]
    rest[hops], sums[0] = 0.0, 0.0
    for hop in range(hops - 1, -1, -1):
        first[hop], best = arc, store.offer[arc, PRICE]
        if hop != before:
            link = (
                walks.step[TO, _TAKEN, hop - before - 1]
                if hop > before
                else store.link[walks.step[FROM, _TAKEN, before - 1 - hop], BACK]
            )
            first[hop], best = store.link[link, FIRST], store.price[TO, link]
        rest[hop] = rest[hop + 1] + best
    hop = 0
    chosen[0] = first[0]
    while hop >= 0:
        candidate = chosen[hop]
        if candidate == NONE:
            hop -= 1
            if hop >= 0:
                chosen[hop] = NONE if hop == before else store.arc[chosen[hop], NEXT]
            continue
        sums[hop + 1] = sums[hop] + store.offer[candidate, PRICE]
        fits = sums[hop + 1] + rest[hop + 1] > -_MARGIN
        if fits and hop != before:
            pool = store.arc[candidate, POOL]
            # Routes through several changed pools are listed with the first of these.
            fits = pool != own_pool and pools[pool, TURN] >= pools[own_pool, TURN]
            for earlier in range(hop):
                if store.arc[chosen[earlier], POOL] == pool:
                    fits = False
        if fits and hop + 1 < hops:
            hop += 1
            chosen[hop] = first[hop]
            continue
        if fits and sums[hops] > -ROUNDING:
            count = _judge(store, chosen, sums, hops, anchor, pools, costs, found, count)
        chosen[hop] = NONE if hop == before else store.arc[candidate, NEXT]
    return count


@inner
def _judge(
    store: Store,
    chosen: Ints,
    sums: Floats,
    hops: int,
    anchor: int,
    pools: Ints,
    costs: Floats,
    found: Found,
    count: int,
) -> int:
    """Write the route unless its gross cannot be above its cost."""
    slope, gas = 0.0, 0.0
    for hop in range(hops):
        slope += exp(sums[hop]) / store.offer[chosen[hop], DEPTH]
        gas += pools[store.arc[chosen[hop], POOL], GAS]
    cost = costs[0, anchor] + costs[1, anchor] * gas
    gain = exp((sums[hops] + ROUNDING) / 2.0) - 1.0
    gross = gain * gain / slope if slope > 0.0 else inf
    if cost > 0.0 and gross <= cost:
        return count
    if count < len(found.arc):
        for hop in range(MOST_HOPS):
            found.arc[count, hop] = chosen[hop] if hop < hops else NONE
            found.pool[count, hop] = store.arc[chosen[hop], POOL] if hop < hops else NONE
        found.number[count, LOG_PRICE], found.number[count, GROSS] = sums[hops], gross
        found.number[count, COST] = cost
    return count + 1
