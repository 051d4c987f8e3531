"""Keeping the tables true while prices change: compiled code over a `Store`.

A new price of an arc changes its link, if it was or becomes the best there; a link changes the tables of its two tokens and, where
one of them is a hub, of the other's neighbours. What lies behind a best entry that got worse is not known: such an entry is marked stale
and looked up when it is next asked for, so that a block in which it gets worse twenty times costs one look. What the tables say is therefore a
pure function of the prices, whatever the order in which these came.

Hubs have thousands of neighbours. So that a price between two of them does not concern all of these, two-hop tables leave hubs out as the token
between (`best_via` adds the few ways over them when it is asked); and so that nobody has to look through the neighbours of a hub, there is a list
of the best ways between each two.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

from numba import njit

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
    POOL,
    PRICE,
    ROOM,
    ROOM_OF_LIST,
    STALE,
    START,
    TAIL,
    THREE,
    TO,
    TWO,
    WORN,
    Floats,
    Ints,
    Lists,
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


def inlined(function: _Function) -> _Function:
    """Like `inner`, and copied into its callers: for little work that is done everywhere, since handing over a store costs more."""
    compiled: _Function = njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)(function)
    return compiled


# ---------------------------------------------------------------- links


@inner
def find_link(store: Store, token: int, other: int) -> int:
    """The link from `token` to `other`, NONE if there is none."""
    hubs = store.near.shape[2]
    if other < hubs:
        return store.near_link[token, other]
    if token < hubs:
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
def _make_room(store: Store, links: Ints, token: int) -> None:
    """Move the token's links to a place with twice the room, and whatever points to them with them."""
    old, new = store.token[token, START], links[0]
    room = max(2, 2 * store.token[token, ROOM])
    links[0] = new + room
    store.token[token, START], store.token[token, ROOM] = new, room
    for offset in range(store.token[token, DEGREE]):
        source, target = old + offset, new + offset
        store.head[target] = store.head[source]
        for column in range(3):
            store.link[target, column] = store.link[source, column]
        for way in range(2):
            store.price[way, target] = store.price[way, source]
        store.link[store.link[target, BACK], BACK] = target
        if store.head[target] < store.near.shape[2]:
            store.near_link[token, store.head[target]] = target
        arc = store.link[target, FIRST]
        while arc != NONE:
            store.arc[arc, LINK] = target
            arc = store.arc[arc, NEXT]


@inner
def _append_link(store: Store, links: Ints, token: int, other: int) -> int:
    if store.token[token, DEGREE] == store.token[token, ROOM]:
        _make_room(store, links, token)
    link = store.token[token, START] + store.token[token, DEGREE]
    store.token[token, DEGREE] += 1
    store.head[link] = other
    store.link[link, TAIL], store.link[link, FIRST] = token, NONE
    store.price[TO, link] = store.price[FROM, link] = -inf
    if other < store.near.shape[2]:
        store.near_link[token, other] = link
    return link


@inner
def _needed(store: Store, token: int) -> int:
    room = store.token[token, ROOM]
    return max(2, 2 * room) if store.token[token, DEGREE] == room else 0


@entry
def add_arcs(store: Store, links: Ints, begin: int, arcs: Ints, pools: Ints, tokens_in: Ints, tokens_out: Ints) -> int:
    """Put arcs without a price on their links, from position `begin` on; stops early where there is no room for more links.

    `links`: (1,) how many are handed out. Returns the position of the first arc that is not placed yet.
    """
    for position in range(begin, len(arcs)):
        token, other = tokens_in[position], tokens_out[position]
        link = find_link(store, token, other)
        if link == NONE:
            if links[0] + _needed(store, token) + _needed(store, other) > len(store.head):
                return position
            link = _append_link(store, links, token, other)
            back = _append_link(store, links, other, token)
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
    hubs = store.near.shape[2]
    token, other, earlier = store.link[link, TAIL], store.head[link], store.price[TO, link]
    store.price[TO, link] = price
    store.price[FROM, store.link[link, BACK]] = price
    if other < hubs:
        store.near[TO, token, other] = price
    if token < hubs:
        store.near[FROM, other, token] = price
    if token >= hubs and other < hubs:
        _offer_to_neighbours(store, TO, token, other, earlier, price)
    elif token < hubs and other >= hubs:
        _offer_to_neighbours(store, FROM, other, token, earlier, price)
    elif token >= hubs:
        _offer_between_hubs(store, token, other, earlier, price)
        for hub in range(hubs):
            _offer(store.via, store.via_token, TO, token, hub, other, price + store.near[TO, other, hub])
            _offer(store.via, store.via_token, FROM, other, hub, token, price + store.near[FROM, token, hub])


@inner
def _offer_to_neighbours(store: Store, way: int, token: int, hub: int, earlier: float, price: float) -> None:
    """`token`, no hub itself, has a new one-hop price to (from) the hub: so has each of its neighbours one over it."""
    hubs, start = store.near.shape[2], store.token[token, START]
    for other in range(hubs):
        beyond = store.near[1 - way, token, other]
        if other != hub and beyond != -inf:
            source, target = (other, hub) if way == TO else (hub, other)
            _change_list(
                store.lists,
                list_of(store.near.shape[2], TWO, source, target),
                token,
                ABSENT,
                beyond + earlier,
                beyond + price,
            )
    for link in range(start, start + store.token[token, DEGREE]):
        other, step = store.head[link], store.price[1 - way, link]
        if step == -inf or other < hubs:
            continue
        _offer(store.via, store.via_token, way, other, hub, token, step + price)
        for end in range(hubs):
            beyond = store.near[1 - way, other, end]
            if end == hub or beyond == -inf:
                continue
            if way == TO:
                row = list_of(store.near.shape[2], THREE, end, hub)
                _change_list(store.lists, row, other, token, (beyond + step) + earlier, (beyond + step) + price)
            else:
                row = list_of(store.near.shape[2], THREE, hub, end)
                _change_list(store.lists, row, token, other, (earlier + step) + beyond, (price + step) + beyond)


@inner
def _offer_between_hubs(store: Store, token: int, other: int, earlier: float, price: float) -> None:
    """The link from `token` to `other`, both no hubs, has a new price: so have the ways over it between hubs."""
    hubs = store.near.shape[2]
    for source in range(hubs):
        before = store.near[FROM, token, source]
        if before == -inf:
            continue
        for target in range(hubs):
            after = store.near[TO, other, target]
            if target != source and after != -inf:
                row = list_of(store.near.shape[2], THREE, source, target)
                _change_list(store.lists, row, token, other, (before + earlier) + after, (before + price) + after)


# ---------------------------------------------------------------- two hops


@inner
def _offer(via: Floats, via_token: Ints, way: int, token: int, hub: int, over: int, price: float) -> None:
    """Between `token` and the hub, the way over `over` has this price now."""
    best, second = via_token[way, token, hub, 0], via_token[way, token, hub, 1]
    if best == STALE:
        return
    if over != best and over != second:
        if price != -inf:
            _insert(via, via_token, way, token, hub, over, price)
        return
    best_price, second_price = via[way, token, hub, 0], via[way, token, hub, 1]
    if over == second:
        if _before(price, over, best_price, best):
            via[way, token, hub, 0], via[way, token, hub, 1] = price, best_price
            via_token[way, token, hub, 0], via_token[way, token, hub, 1] = over, best
        elif price >= second_price:
            via[way, token, hub, 1] = price
        else:
            via_token[way, token, hub, 0] = STALE
    elif second == NONE:  # the only way there is
        via[way, token, hub, 0] = price
        if price == -inf:
            via_token[way, token, hub, 0] = NONE
    elif _before(price, over, second_price, second):
        via[way, token, hub, 0] = price
    else:
        via_token[way, token, hub, 0] = STALE


@inner
def _before(price: float, token: int, other_price: float, other: int) -> bool:
    return price > other_price or (price == other_price and token < other)


@inner
def _insert(via: Floats, via_token: Ints, way: int, token: int, hub: int, over: int, price: float) -> None:
    """Keep a way that is not among the best two if it belongs there."""
    best, second = via_token[way, token, hub, 0], via_token[way, token, hub, 1]
    if best == NONE or _before(price, over, via[way, token, hub, 0], best):
        via[way, token, hub, 1], via_token[way, token, hub, 1] = via[way, token, hub, 0], best
        via[way, token, hub, 0], via_token[way, token, hub, 0] = price, over
    elif second == NONE or _before(price, over, via[way, token, hub, 1], second):
        via[way, token, hub, 1], via_token[way, token, hub, 1] = price, over


@inner
def _refresh(store: Store, way: int, token: int, hub: int) -> None:
    """Look up the best two ways between `token`, no hub, and the hub over a token that is none either."""
    hubs = store.near.shape[2]
    for place in range(2):
        store.via[way, token, hub, place], store.via_token[way, token, hub, place] = -inf, NONE
    start = store.token[token, START]
    for link in range(start, start + store.token[token, DEGREE]):
        over = store.head[link]
        if over >= hubs:
            price = store.price[way, link] + store.near[way, over, hub]
            if price != -inf:
                _insert(store.via, store.via_token, way, token, hub, over, price)


# ---------------------------------------------------------------- lists between hubs


@inner
def list_of(hubs: int, hops: int, source: int, target: int) -> int:
    """The row of the list of ways of two or three hops between two different of so many hubs."""
    return ((hops - 2) * hubs + source) * hubs + target


@inner
def _change_list(lists: Lists, row: int, first: int, second: int, earlier: float, price: float) -> None:
    """The way over these tokens, which had the one price, has the other now."""
    floor = lists.floor[row]
    if earlier > floor:
        length = lists.state[row, LENGTH] - 1
        place = 0
        while place < length and (lists.token[row, place, 0] != first or lists.token[row, place, 1] != second):
            place += 1
        for following in range(place, length):
            _copy_way(lists, row, following + 1, following)
        lists.state[row, LENGTH], lists.state[row, WORN] = length, 1
    if price > floor:
        if lists.state[row, LENGTH] == ROOM_OF_LIST:
            _shorten(lists, row, LOOKED_UP)
        if price > lists.floor[row]:
            _add_to_list(lists, row, first, second, price)


@inner
def _add_to_list(lists: Lists, row: int, first: int, second: int, price: float) -> None:
    place = lists.state[row, LENGTH]
    lists.state[row, LENGTH] += 1
    while place > 0 and (
        _before(price, first, lists.price[row, place - 1], lists.token[row, place - 1, 0])
        or (
            price == lists.price[row, place - 1]
            and first == lists.token[row, place - 1, 0]
            and second < lists.token[row, place - 1, 1]
        )
    ):
        _copy_way(lists, row, place - 1, place)
        place -= 1
    lists.price[row, place] = price
    lists.token[row, place, 0], lists.token[row, place, 1] = first, second


@inner
def _copy_way(lists: Lists, row: int, source: int, target: int) -> None:
    lists.price[row, target] = lists.price[row, source]
    for place in range(2):
        lists.token[row, target, place] = lists.token[row, source, place]


@inner
def _shorten(lists: Lists, row: int, length: int) -> None:
    """Keep at most so many ways; the floor is the best price that is given up, and no way at it is kept."""
    floor = lists.price[row, length]
    while length > 0 and lists.price[row, length - 1] == floor:
        length -= 1
    lists.floor[row], lists.state[row, LENGTH] = floor, length


@inner
def _collect(lists: Lists, row: int, first: int, second: int, price: float) -> None:
    """While a list is looked up: keep the way if it is above the floor so far."""
    if price > lists.floor[row]:
        _add_to_list(lists, row, first, second, price)
        if lists.state[row, LENGTH] > LOOKED_UP:
            _shorten(lists, row, LOOKED_UP)


@inner
def look_up_list(store: Store, hops: int, source: int, target: int) -> None:
    """Make a list anew from the neighbours of the hub that has fewer."""
    hubs, row = store.near.shape[2], list_of(store.near.shape[2], hops, source, target)
    store.lists.floor[row], store.lists.state[row, LENGTH], store.lists.state[row, WORN] = -inf, 0, 0
    way, here, there = TO, source, target
    if store.token[target, DEGREE] < store.token[source, DEGREE]:
        way, here, there = FROM, target, source
    start = store.token[here, START]
    for link in range(start, start + store.token[here, DEGREE]):
        token, step = store.head[link], store.price[way, link]
        if step == -inf or token < hubs:
            continue
        if hops == 2:
            price = step + store.near[way, token, there]
            if price != -inf:
                _collect(store.lists, row, token, ABSENT, price)
            continue
        if store.via_token[way, token, there, 0] == STALE:
            _refresh(store, way, token, there)
        # Prices are summed in the order of the hops, here they are not: hence the margin.
        if store.via_token[way, token, there, 0] == NONE or (
            step + store.via[way, token, there, 0] < store.lists.floor[row] - 1e-9
        ):
            continue
        first = store.token[token, START]
        for further in range(first, first + store.token[token, DEGREE]):
            other = store.head[further]
            middle, last = store.price[way, further], store.near[way, other, there]
            if other < hubs or middle == -inf or last == -inf:
                continue
            if way == TO:
                _collect(store.lists, row, token, other, (step + middle) + last)
            else:
                _collect(store.lists, row, other, token, (last + middle) + step)


@inner
def renew_list(store: Store, hops: int, source: int, target: int) -> None:
    """Look a list up again where that can make it longer."""
    row = list_of(store.near.shape[2], hops, source, target)
    if store.lists.state[row, WORN] and store.lists.floor[row] != -inf:
        look_up_list(store, hops, source, target)


@inner
def _best_of_list(store: Store, hops: int, source: int, target: int, left_out: int) -> float:
    """No way of the list's kind, not over `left_out`, has a better price."""
    row = list_of(store.near.shape[2], hops, source, target)
    if store.lists.state[row, LENGTH] < 2:
        renew_list(store, hops, source, target)
    for place in range(store.lists.state[row, LENGTH]):
        if store.lists.token[row, place, 0] != left_out:
            return store.lists.price[row, place]
    return store.lists.floor[row]


# ---------------------------------------------------------------- bounds


@inner
def best_via(store: Store, way: int, token: int, hub: int, left_out: int) -> float:
    """No two-hop price between `token` and the hub, over any token but `left_out` and hubs up to this one, is better."""
    hubs = store.near.shape[2]
    if token < hubs:
        source, target = (token, hub) if way == TO else (hub, token)
        best = _best_of_list(store, TWO, source, target, left_out)
    else:
        if store.via_token[way, token, hub, 0] == STALE:
            _refresh(store, way, token, hub)
        best = store.via[way, token, hub, 1 if store.via_token[way, token, hub, 0] == left_out else 0]
    for over in range(hub + 1, hubs):
        if over != token and over != left_out:
            best = max(best, store.near[way, token, over] + store.near[way, over, hub])
    return best


@inner
def _best_of_three(store: Store, way: int, token: int, hub: int, left_out: int) -> float:
    """No three-hop price between `token` and the hub is better than this; infinite where that would have to be searched for."""
    hubs = store.near.shape[2]
    if token >= hubs:
        return inf
    source, target = (token, hub) if way == TO else (hub, token)
    best = _best_of_list(store, THREE, source, target, ABSENT)
    for over in range(hub + 1, hubs):
        if over in (token, left_out):
            continue
        last = store.near[way, over, hub]
        if last != -inf:
            source, target = (token, over) if way == TO else (over, token)
            best = max(best, _best_of_list(store, TWO, source, target, left_out) + last)
        if store.near[way, token, over] != -inf:
            best = max(best, store.near[way, token, over] + best_via(store, way, over, hub, token))
    return best


@inlined
def bound(store: Store, way: int, token: int, hub: int, hops: int, left_out: int) -> float:
    """No way of so many hops between `token` and the hub, not by `left_out`, has a better price; 0 for no hops."""
    if hops == 0:
        return 0.0
    if hops == 1:
        return store.near[way, token, hub]
    if hops == 2:
        return best_via(store, way, token, hub, left_out)
    return _best_of_three(store, way, token, hub, left_out) if hops == 3 else inf


@entry
def refresh_all(store: Store, tokens: int) -> None:
    """Look up everything that is stale among the first `tokens` tokens, and all lists, so that what was once in them no longer shows."""
    hubs = store.near.shape[2]
    for way in range(2):
        for token in range(tokens):
            for hub in range(hubs):
                if store.via_token[way, token, hub, 0] == STALE:
                    _refresh(store, way, token, hub)
    for hops in range(2, 4):
        for source in range(hubs):
            for target in range(hubs):
                if source != target:
                    look_up_list(store, hops, source, target)
