"""The arrays behind the anchored pair tables, as the compiled kernels read and write them.

Three layers. **Arcs** are what pools offer: one for each pool and ordered pair of its tokens. **Links** are ordered token pairs with the best
arc's price; the links of a token lie side by side, so that looking through a token's neighbours is reading one piece of memory.
**Tables** hold, for each token and anchor, the best one-hop and two-hop price to and from the anchor.

Prices are natural logarithms of base units out per base unit in, after fee, at zero size; minus infinity means that there is no way. All
numbers that name tokens, links, arcs and pools are private to one store: nothing of them may show in a result. The anchors are the
first tokens, in configured order, so that the number of an anchor is its rank.
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
ZERO, ONE = np.int64(0), np.int64(1)
#: Columns of `token`: its first link, how many there are, how many have room.
START, DEGREE, ROOM = 0, 1, 2
#: Columns of `link`: the token it leads away from, the link of the other direction, the first arc of its chain.
TAIL, BACK, FIRST = 0, 1, 2
#: Columns of `arc`: its link, the next arc of the same link, its pool.
LINK, NEXT, POOL = 0, 1, 2
#: Columns of `offer`.
PRICE, DEPTH = 0, 1
NO_WAY = -float("inf")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Store(NamedTuple):
    """Arrays only, and few of them: compiled code takes it whole. T tokens, L links, E arcs, K anchors; T, L and E have room to spare."""

    #: (1,) links handed out so far.
    links: Ints
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
    #: (T, K) the token's link with an anchor, NONE where there is none.
    near_link: Ints
    #: (2, T, K) one hop: token to anchor, anchor to token.
    near: Floats
    #: (2, T, K, 2) two hops over a token that is no anchor: the best two over different tokens, and those tokens. Equal prices: lower number first.
    via: Floats
    via_token: Ints
    #: (K, K) three hops from one anchor to another over two tokens that are no anchors, and (K, K, 2) those tokens.
    hub: Floats
    hub_path: Ints


def empty(anchors: int) -> Store:
    """A store of `anchors` anchors and nothing between them."""
    return _allocate(max(64, anchors), 256, 256, anchors)


def _allocate(tokens: int, links: int, arcs: int, anchors: int) -> Store:
    return Store(
        links=np.zeros(1, np.int64),
        token=np.zeros((tokens, 3), np.int64),
        link=np.full((links, 3), NONE, np.int64),
        arc=np.full((arcs, 3), NONE, np.int64),
        head=np.full(links, NONE, np.int64),
        price=np.full((2, links), NO_WAY),
        offer=np.full((arcs, 2), NO_WAY),
        near_link=np.full((tokens, anchors), NONE, np.int64),
        near=np.full((2, tokens, anchors), NO_WAY),
        via=np.full((2, tokens, anchors, 2), NO_WAY),
        via_token=np.full((2, tokens, anchors, 2), NONE, np.int64),
        hub=np.full((anchors, anchors), NO_WAY),
        hub_path=np.full((anchors, anchors, 2), NONE, np.int64),
    )


def with_room(store: Store, tokens: int, links: int, arcs: int) -> Store:
    """The same store with room for at least so many tokens, links and arcs; itself where that is so already."""
    now = len(store.token), len(store.link), len(store.arc)
    wanted = [
        have if have >= want else max(want, 2 * have) for have, want in zip(now, (tokens, links, arcs), strict=True)
    ]
    if tuple(wanted) == now:
        return store
    grown = _allocate(*wanted, len(store.hub))
    for old, new in zip(store, grown, strict=True):
        new[tuple(slice(size) for size in old.shape)] = old
    return grown


def bytes_of(store: Store) -> int:
    """Bytes of memory that the arrays take."""
    return sum(array.nbytes for array in store)
