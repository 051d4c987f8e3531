"""The arrays behind the anchored pair tables, as the compiled kernels read and write them.

Three layers. **Arcs** are what pools offer: one for each pool and ordered pair of its tokens. **Links** are ordered token pairs with the best
arc's price; the links of a token lie side by side, so that looking through a token's neighbours is reading one piece of memory.
**Tables** hold, for each token and hub, the best one-hop and two-hop price to and from the hub, and between hubs the best ways there are.

Hubs are the anchors, and further tokens with so many neighbours that looking through them would cost too much; no route starts in those. Hubs are
the first tokens, anchors before others in configured order, so that the number of a hub is its rank.

Prices are natural logarithms of base units out per base unit in, after fee, at zero size; minus infinity means that there is no way. All
numbers that name tokens, links, arcs and pools are private to one store: nothing of them may show in a result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Marks in place of a number: no such thing; not known any more, to be looked up again before use.
NONE, STALE = -1, -2
#: First index of tables and walks with a direction: towards the anchor, from the anchor. Typed, since the compiler makes a function anew for
#: each plain constant that it is called with.
TO, FROM = np.int64(0), np.int64(1)
ZERO, ONE, TWO, THREE = np.int64(0), np.int64(1), np.int64(2), np.int64(3)
ABSENT = np.int64(NONE)
#: Columns of `token`: its first link, how many there are, how many have room.
START, DEGREE, ROOM = 0, 1, 2
#: Columns of `link`: the token it leads away from, the link of the other direction, the first arc of its chain.
TAIL, BACK, FIRST = 0, 1, 2
#: Columns of `arc`: its link, the next arc of the same link, its pool.
LINK, NEXT, POOL = 0, 1, 2
#: Columns of `offer`.
PRICE, DEPTH = 0, 1
#: Columns of `list_state`.
LENGTH, WORN = 0, 1
#: Ways that a list between two hubs has room for, and how many it gets when it is looked up.
ROOM_OF_LIST, LOOKED_UP = 64, 32
NO_WAY = -float("inf")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Lists(NamedTuple):
    """The best ways between two hubs: over one token that is none (K*K lists), then over two (K*K lists), by the row that `list_of` gives."""

    #: (2*K*K,) a list holds all ways with a price above its floor, and no other; (2*K*K, 2) how many, and whether one was taken out since it was
    #: looked up.
    floor: Floats
    state: Ints
    #: (2*K*K, ROOM_OF_LIST) prices, best first; (.., 2) the tokens on the way, the second NONE on ways over one. Equal prices: lower numbers first.
    price: Floats
    token: Ints


class Store(NamedTuple):
    """Arrays only, and few of them: compiled code takes it whole. T tokens, L links, E arcs, K hubs; T, L and E have room to spare."""

    #: (T, 3) tokens, (L, 3) links, (E, 3) arcs by the columns above.
    token: Ints
    link: Ints
    arc: Ints
    #: (L,) the token that a link leads to.
    head: Ints
    #: (2, L) the best price of a link, and of the link of the other direction.
    price: Floats
    #: (E, 2) price and depth of an arc.
    offer: Floats
    #: (T, K) the token's link with a hub, NONE where there is none.
    near_link: Ints
    #: (2, T, K) one hop: token to hub, hub to token.
    near: Floats
    #: (2, T, K, 2) two hops between a token and a hub over a token that is no hub: the best two over different tokens, and those tokens. Equal
    #: prices: lower number first. Nothing for hubs themselves, they have lists.
    via: Floats
    via_token: Ints
    lists: Lists


def empty(hubs: int) -> Store:
    """A store of so many hubs and nothing between them."""
    return _allocate(max(64, hubs), 256, 256, hubs)


def _allocate(tokens: int, links: int, arcs: int, hubs: int) -> Store:
    lists = 2 * hubs * hubs
    return Store(
        token=np.zeros((tokens, 3), np.int64),
        link=np.full((links, 3), NONE, np.int64),
        arc=np.full((arcs, 3), NONE, np.int64),
        head=np.full(links, NONE, np.int64),
        price=np.full((2, links), NO_WAY),
        offer=np.full((arcs, 2), NO_WAY),
        near_link=np.full((tokens, hubs), NONE, np.int64),
        near=np.full((2, tokens, hubs), NO_WAY),
        via=np.full((2, tokens, hubs, 2), NO_WAY),
        via_token=np.full((2, tokens, hubs, 2), NONE, np.int64),
        lists=Lists(
            floor=np.full(lists, NO_WAY),
            state=np.zeros((lists, 2), np.int64),
            price=np.full((lists, ROOM_OF_LIST), NO_WAY),
            token=np.full((lists, ROOM_OF_LIST, 2), NONE, np.int64),
        ),
    )


def with_room(store: Store, tokens: int, links: int, arcs: int) -> Store:
    """The same store with room for at least so many tokens, links and arcs; itself where that is so already."""
    now = len(store.token), len(store.link), len(store.arc)
    wanted = tuple(
        have if have >= want else max(want, 2 * have) for have, want in zip(now, (tokens, links, arcs), strict=True)
    )
    if wanted == now:
        return store
    grown = _allocate(wanted[0], wanted[1], wanted[2], store.near.shape[2])
    for old, new in zip(store[:-1], grown[:-1], strict=True):
        new[tuple(slice(size) for size in old.shape)] = old
    return grown._replace(lists=store.lists)


def bytes_of(store: Store) -> int:
    """Bytes of memory that the arrays take."""
    return sum(array.nbytes for array in (*store[:-1], *store.lists))
