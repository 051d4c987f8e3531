"""Keeping the tables true while prices change: compiled code over a `Store`.

A new price of an arc changes its link, if it was or becomes the best there; a link changes the tables of its two tokens and, where
one of them is an anchor, of the other's neighbours. What lies behind a best entry that got worse is not known: such an entry is marked stale
and looked up when it is next asked for, so that a block in which it gets worse twenty times costs one look. The tables are therefore a
pure function of the prices, whatever the order in which these came.

Anchors are hubs: they have thousands of neighbours. So that a price between two anchors does not concern all of these, two-hop
tables leave anchors out as the token between; `best_via` adds the few ways over them when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

from numba import njit

from operators.search.store import (
    BACK,
    DEGREE,
    DEPTH,
    FIRST,
    FROM,
    LINK,
    NEXT,
    NONE,
    POOL,
    PRICE,
    ROOM,
    STALE,
    START,
    TAIL,
    TO,
    Floats,
    Ints,
    Store,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])


#: Floats follow IEEE 754 to the letter: infinities and equality are used. Nothing is allocated in compiled code, so it needs no counting of
#: references, which for this many arrays costs more than the work.
_OPTIONS = {"cache": True, "error_model": "numpy", "_nrt": False}


def entry(function: _Function) -> _Function:
    """Compiled on first use, kept on disk, called from Python."""
    compiled: _Function = njit(**_OPTIONS)(function)
    return compiled


def inner(function: _Function) -> _Function:
    """Compiled for other compiled code alone: what Python would need to call it is left out, which shortens the compilation."""
    compiled: _Function = njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled


# ---------------------------------------------------------------- links


@inner
def _find_link(store: Store, token: int, other: int) -> int:
    """The link from `token` to `other`, NONE if there is none."""
    anchors = len(store.hub)
    if other < anchors:
        return store.near_link[token, other]
    if token < anchors:
        link = store.near_link[other, token]
        return NONE if link == NONE else store.link[link, BACK]
    near_end, far_end = token, other
    if store.token[other, DEGREE] < store.token[token, DEGREE]:
        near_end, far_end = other, token
    start = store.token[near_end, START]
    for link in range(start, start + store.token[near_end, DEGREE]):
        if store.head[link] == far_end:
            return link if near_end == token else store.link[link, BACK]
    return NONE


@inner
def _make_room(store: Store, token: int) -> None:
    """Move the token's links to a place with twice the room, and whatever points to them with them."""
    old, new = store.token[token, START], store.links[0]
    room = max(2, 2 * store.token[token, ROOM])
    store.links[0] = new + room
    store.token[token, START], store.token[token, ROOM] = new, room
    for offset in range(store.token[token, DEGREE]):
        source, target = old + offset, new + offset
        store.head[target] = store.head[source]
        for column in range(3):
            store.link[target, column] = store.link[source, column]
        for way in range(2):
            store.price[way, target] = store.price[way, source]
        store.link[store.link[target, BACK], BACK] = target
        if store.head[target] < len(store.hub):
            store.near_link[token, store.head[target]] = target
        arc = store.link[target, FIRST]
        while arc != NONE:
            store.arc[arc, LINK] = target
            arc = store.arc[arc, NEXT]


@inner
def _append_link(store: Store, token: int, other: int) -> int:
    if store.token[token, DEGREE] == store.token[token, ROOM]:
        _make_room(store, token)
    link = store.token[token, START] + store.token[token, DEGREE]
    store.token[token, DEGREE] += 1
    store.head[link] = other
    store.link[link, TAIL], store.link[link, FIRST] = token, NONE
    store.price[TO, link] = store.price[FROM, link] = -inf
    if other < len(store.hub):
        store.near_link[token, other] = link
    return link


@inner
def _needed(store: Store, token: int) -> int:
    room = store.token[token, ROOM]
    return max(2, 2 * room) if store.token[token, DEGREE] == room else 0


@entry
def add_arcs(store: Store, begin: int, arcs: Ints, pools: Ints, tokens_in: Ints, tokens_out: Ints) -> int:
    """Put arcs without a price on their links, from position `begin` on; stops early where there is no room for more links.

    Returns the position of the first arc that is not placed yet.
    """
    for position in range(begin, len(arcs)):
        token, other = tokens_in[position], tokens_out[position]
        link = _find_link(store, token, other)
        if link == NONE:
            if store.links[0] + _needed(store, token) + _needed(store, other) > len(store.head):
                return position
            link = _append_link(store, token, other)
            back = _append_link(store, other, token)
            store.link[link, BACK], store.link[back, BACK] = back, link
        arc = arcs[position]
        store.arc[arc, LINK], store.arc[arc, NEXT], store.arc[arc, POOL] = (
            link,
            store.link[link, FIRST],
            pools[position],
        )
        store.offer[arc, PRICE], store.offer[arc, DEPTH] = -inf, inf
        store.link[link, FIRST] = arc
    return len(arcs)


# ---------------------------------------------------------------- prices


@entry
def set_prices(store: Store, arcs: Ints, prices: Floats, depths: Floats) -> None:
    """Give arcs new prices and depths, in turn, and bring the tables up to them."""
    for position in range(len(arcs)):
        arc, new = arcs[position], prices[position]
        old = store.offer[arc, PRICE]
        store.offer[arc, PRICE], store.offer[arc, DEPTH] = new, depths[position]
        link = store.arc[arc, LINK]
        best = store.price[TO, link]
        if new < best:
            if old < best:
                continue
            new = -inf
            parallel = store.link[link, FIRST]
            while parallel != NONE:
                new = max(new, store.offer[parallel, PRICE])
                parallel = store.arc[parallel, NEXT]
        if new != best:
            _set_link(store, link, new)


@inner
def _set_link(store: Store, link: int, price: float) -> None:
    anchors = len(store.hub)
    token, other = store.link[link, TAIL], store.head[link]
    store.price[TO, link] = price
    store.price[FROM, store.link[link, BACK]] = price
    if other < anchors:
        store.near[TO, token, other] = price
    if token < anchors:
        store.near[FROM, other, token] = price
    if token >= anchors and other < anchors:
        _offer_to_neighbours(store, TO, token, other, price)
    elif token < anchors and other >= anchors:
        _offer_to_neighbours(store, FROM, other, token, price)
    elif token >= anchors:
        _offer_between_hubs(store, token, other, price)
    for way in range(2):
        outer, over = (token, other) if way == TO else (other, token)
        if over >= anchors:
            for anchor in range(anchors):
                if anchor != outer:
                    _offer(store, way, outer, anchor, over, price + store.near[way, over, anchor])


@inner
def _offer_to_neighbours(store: Store, way: int, token: int, anchor: int, price: float) -> None:
    """`token`, no anchor itself, has a new one-hop price to (from) the anchor: so has each of its neighbours one over it."""
    anchors, start = len(store.hub), store.token[token, START]
    for link in range(start, start + store.token[token, DEGREE]):
        other, step = store.head[link], store.price[1 - way, link]
        if step == -inf or other == anchor:
            continue
        _offer(store, way, other, anchor, token, step + price)
        if other < anchors:
            continue
        for hub in range(anchors):
            beyond = store.near[1 - way, other, hub]
            if hub != anchor and beyond != -inf:
                _offer_hub_on(store, way, hub, anchor, other, token, beyond, step, price)


@inner
def _offer_between_hubs(store: Store, token: int, other: int, price: float) -> None:
    for source in range(len(store.hub)):
        before = store.near[FROM, token, source]
        if before == -inf:
            continue
        for target in range(len(store.hub)):
            after = store.near[TO, other, target]
            if target != source and after != -inf:
                _offer_hub(store, source, target, token, other, (before + price) + after)


# ---------------------------------------------------------------- tables


@inner
def _offer(store: Store, way: int, token: int, anchor: int, over: int, price: float) -> None:
    """Between `token` and the anchor, the way over `over` has this price now."""
    best, second = store.via_token[way, token, anchor, 0], store.via_token[way, token, anchor, 1]
    if best == STALE:
        return
    if over != best and over != second:
        if price != -inf:
            _insert(store, way, token, anchor, over, price)
        return
    best_price, second_price = store.via[way, token, anchor, 0], store.via[way, token, anchor, 1]
    if over == second:
        if _before(price, over, best_price, best):
            store.via[way, token, anchor, 0], store.via[way, token, anchor, 1] = price, best_price
            store.via_token[way, token, anchor, 0], store.via_token[way, token, anchor, 1] = over, best
        elif price >= second_price:
            store.via[way, token, anchor, 1] = price
        else:
            store.via_token[way, token, anchor, 0] = STALE
    elif second == NONE:  # the only way there is
        store.via[way, token, anchor, 0] = price
        if price == -inf:
            store.via_token[way, token, anchor, 0] = NONE
    elif _before(price, over, second_price, second):
        store.via[way, token, anchor, 0] = price
    else:
        store.via_token[way, token, anchor, 0] = STALE


@inner
def _before(price: float, token: int, other_price: float, other: int) -> bool:
    return price > other_price or (price == other_price and token < other)


@inner
def _insert(store: Store, way: int, token: int, anchor: int, over: int, price: float) -> None:
    """Keep a way that is not among the best two if it belongs there."""
    best, second = store.via_token[way, token, anchor, 0], store.via_token[way, token, anchor, 1]
    if best == NONE or _before(price, over, store.via[way, token, anchor, 0], best):
        store.via[way, token, anchor, 1], store.via_token[way, token, anchor, 1] = (
            store.via[way, token, anchor, 0],
            best,
        )
        store.via[way, token, anchor, 0], store.via_token[way, token, anchor, 0] = price, over
    elif second == NONE or _before(price, over, store.via[way, token, anchor, 1], second):
        store.via[way, token, anchor, 1], store.via_token[way, token, anchor, 1] = price, over


@inner
def refresh(store: Store, way: int, token: int, anchor: int) -> None:
    """Look up the best two ways between `token` and the anchor over a token that is no anchor."""
    anchors = len(store.hub)
    for place in range(2):
        store.via[way, token, anchor, place], store.via_token[way, token, anchor, place] = -inf, NONE
    # Between two anchors, whichever has fewer neighbours: both prices are in the neighbour's own rows.
    across = token < anchors and store.token[anchor, DEGREE] < store.token[token, DEGREE]
    centre = anchor if across else token
    start = store.token[centre, START]
    for link in range(start, start + store.token[centre, DEGREE]):
        over = store.head[link]
        if over >= anchors:
            step = store.near[1 - way, over, token] if across else store.price[way, link]
            price = step + store.near[way, over, anchor]
            if price != -inf:
                _insert(store, way, token, anchor, over, price)


@inner
def _offer_hub(store: Store, source: int, target: int, first: int, second: int, price: float) -> None:
    """From anchor `source` to anchor `target`, the way over `first` and `second` has this price now."""
    best_first, best_second = store.hub_path[source, target, 0], store.hub_path[source, target, 1]
    if best_first == STALE:
        return
    best = store.hub[source, target]
    if best_first == first and best_second == second:
        if price >= best:
            store.hub[source, target] = price
        else:
            store.hub_path[source, target, 0] = STALE
    elif price > best or (
        price == best and price != -inf and (first < best_first or (first == best_first and second < best_second))
    ):
        store.hub[source, target] = price
        store.hub_path[source, target, 0], store.hub_path[source, target, 1] = first, second


@inner
def _offer_hub_on(
    store: Store, way: int, here: int, there: int, near: int, far: int, first: float, second: float, third: float
) -> None:
    """Offer the way between the anchors `here` and `there` over the tokens `near` here and `far` off, summed in the order of its hops."""
    if way == TO:
        _offer_hub(store, here, there, near, far, (first + second) + third)
    else:
        _offer_hub(store, there, here, far, near, (third + second) + first)


@inner
def _refresh_hub(store: Store, source: int, target: int) -> None:
    """Look up the best way of three hops between two anchors over two tokens that are none."""
    anchors = len(store.hub)
    store.hub[source, target] = -inf
    store.hub_path[source, target, 0] = store.hub_path[source, target, 1] = NONE
    way, here, there = TO, source, target
    if store.token[target, DEGREE] < store.token[source, DEGREE]:
        way, here, there = FROM, target, source
    start = store.token[here, START]
    for link in range(start, start + store.token[here, DEGREE]):
        token, step = store.head[link], store.price[way, link]
        if step == -inf or token < anchors:
            continue
        if store.via_token[way, token, there, 0] == STALE:
            refresh(store, way, token, there)
        # The two are summed in another order than in `_offer_hub`, hence the margin.
        if store.via_token[way, token, there, 0] == NONE or (
            step + store.via[way, token, there, 0] < store.hub[source, target] - 1e-9
        ):
            continue
        first = store.token[token, START]
        for further in range(first, first + store.token[token, DEGREE]):
            other = store.head[further]
            middle, last = store.price[way, further], store.near[way, other, there]
            if other >= anchors and middle != -inf and last != -inf:
                _offer_hub_on(store, way, here, there, token, other, step, middle, last)


# ---------------------------------------------------------------- bounds


@inner
def best_via(store: Store, way: int, token: int, anchor: int, left_out: int) -> float:
    """The best two-hop price between `token` and the anchor, over any token but `left_out` and anchors up to this one."""
    if store.via_token[way, token, anchor, 0] == STALE:
        refresh(store, way, token, anchor)
    best = store.via[way, token, anchor, 1 if store.via_token[way, token, anchor, 0] == left_out else 0]
    for over in range(anchor + 1, len(store.hub)):
        if over != token and over != left_out:
            best = max(best, store.near[way, token, over] + store.near[way, over, anchor])
    return best


@inner
def _best_of_three(store: Store, way: int, token: int, anchor: int, left_out: int) -> float:
    """No three-hop price between `token` and the anchor is better than this; infinite where that would have to be searched for."""
    anchors = len(store.hub)
    if token >= anchors:
        return inf
    source, target = (token, anchor) if way == TO else (anchor, token)
    if store.hub_path[source, target, 0] == STALE:
        _refresh_hub(store, source, target)
    best = store.hub[source, target]
    for over in range(anchor + 1, anchors):
        if over in (token, left_out):
            continue
        if store.via_token[way, token, over, 0] == STALE:
            refresh(store, way, token, over)
        best = max(best, store.via[way, token, over, 0] + store.near[way, over, anchor])
        if store.near[way, token, over] != -inf:
            best = max(best, store.near[way, token, over] + best_via(store, way, over, anchor, token))
    return best


@inner
def bound(store: Store, way: int, token: int, anchor: int, hops: int, left_out: int) -> float:
    """No way of so many hops between `token` and the anchor, not by `left_out`, has a better price; 0 for no hops."""
    if hops == 0:
        return 0.0
    if hops == 1:
        return store.near[way, token, anchor]
    if hops == 2:
        return best_via(store, way, token, anchor, left_out)
    return _best_of_three(store, way, token, anchor, left_out) if hops == 3 else inf


@entry
def refresh_all(store: Store, tokens: int) -> None:
    """Look up everything that is stale among the first `tokens` tokens."""
    anchors = len(store.hub)
    for way in range(2):
        for token in range(tokens):
            for anchor in range(anchors):
                if store.via_token[way, token, anchor, 0] == STALE:
                    refresh(store, way, token, anchor)
    for source in range(anchors):
        for target in range(anchors):
            if store.hub_path[source, target, 0] == STALE:
                _refresh_hub(store, source, target)
