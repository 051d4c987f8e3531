"""Anchored pair tables: the market as the search sees it, kept true pool by pool, and every profitable route through what changed.

**Routes.** A route starts and ends in an anchor; the tokens between are different from each other and from it; no pool is used twice, whatever
the number of its tokens. A cycle that holds several anchors is the same trade from each of them, so it is listed once, from the anchor
that was configured first: a route's tokens between are never anchors configured before its own. A route and its reverse are two routes.

**Completeness.** `routes_through` lists every such route of up to `max_hops` hops through one of the changed pools whose log price is above 0 (less
a rounding) and whose gross, by the bound of `floors`, can be above its cost. What is missing from the list cannot earn its cost. One
thing aside: the fee of a next-generation Curve pool falls on the way to even balances, so where amplification times fee is very large, a
trade of about all of its scarce coin pays more a unit than the first unit does. What only that makes a profit is not listed, nor sized.

**Order.** The tables are a pure function of the pools' states; the list is sorted by what routes promise, then by addresses. The order in which pools
came, or are named, shows nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise, permutations
from math import inf
from typing import NamedTuple, TypeVar, overload

import numpy as np

from operators.pools.base import Pool
from operators.search import anchored, kernels
from operators.search.floors import NO_FLOOR, Floor
from operators.search.offers import Liquidity, Offers, offers_of
from operators.search.store import DEPTH, NO_WAY, NONE, PRICE, Floats, Ints, bytes_of, empty, with_room

#: Hops of a route that cost little; 5 are possible and cost several times as much.
USUAL_HOPS = 4
MOST_HOPS = anchored.MOST_HOPS

_UNCHANGED = np.iinfo(np.int64).max
_Value = TypeVar("_Value")


class Leg(NamedTuple):
    """One hop of a route before it is sized."""

    pool: bytes
    token_in: bytes
    token_out: bytes


Legs = tuple[Leg, ...]


class Listed(NamedTuple):
    """A route that may earn more than it costs. `log_price`: of the whole route, after fees, at zero size. `gross_bound` (infinite where no
    bound is known) and `cost` are in base units of the anchor, the first leg's token in."""

    legs: Legs
    log_price: float
    gross_bound: float
    cost: float


class _Place(NamedTuple):
    """Where a pool lies in the store, also after it was dropped: its number, and its arcs, one for each ordered pair of its tokens."""

    address: bytes
    tokens: tuple[bytes, ...]
    family: str
    number: int
    arcs: range


class Tables:
    """All known pools, with tables for each anchor. Pools that may not be traded are kept and found by `get`, but are in no route."""

    def __init__(
        self,
        anchors: Sequence[bytes],
        pools: Iterable[Pool] = (),
        gas: Mapping[str, int] | None = None,
        hubs: Iterable[bytes] = (),
    ) -> None:
        """`anchors`: the one whose routes are listed first comes first. `gas`: least gas of a hop by family, for the cost of routes. `hubs`: further
        tokens that very many are traded against; naming them changes no result and makes the search faster. Each costs as much memory as an
        anchor. Raises `ValueError` for no anchor, or one that is named twice.
        """
        if not anchors or len(set(anchors)) < len(anchors):
            raise ValueError(f"anchors must be at least one, each once: {[token.hex() for token in anchors]}")
        self.anchors = tuple(anchors)
        self._gas = dict(gas or {})
        self._tokens = {token: number for number, token in enumerate(dict.fromkeys((*anchors, *hubs)))}
        self._store = empty(len(self._tokens))
        self._pools: dict[bytes, Pool] = {}
        self._places: dict[bytes, _Place] = {}
        self._liquidity: dict[bytes, Liquidity] = {}
        self._by_number: list[_Place] = []
        self._arcs = 0
        self._links: Ints = np.zeros(1, np.int64)
        self._rows: Ints = np.full((64, 4), _UNCHANGED, np.int64)
        self._overlays = 0
        self._walks = anchored.new_walks()
        self._found = anchored.room_for(1024)
        self.put_many(pools)

    # ------------------------------------------------------------ what is there

    def __len__(self) -> int:
        return len(self._pools)

    def __contains__(self, address: bytes) -> bool:
        return address in self._pools

    def __iter__(self) -> Iterator[Pool]:
        """The pools in the order of their addresses."""
        return (self._pools[address] for address in sorted(self._pools))

    def get(self, address: bytes) -> Pool | None:
        """The pool's state, tradable or not; the hypothetical one while an overlay is on. None where it is not known."""
        return self._pools.get(address)

    @property
    def memory(self) -> int:
        """Bytes that the tables take, without the pools themselves."""
        return bytes_of(self._store) + self._rows.nbytes

    # ------------------------------------------------------------ what changes

    def put(self, pool: Pool) -> None:
        """Put a pool's new state in place of its earlier one, if there is one. See `put_many`."""
        self.put_many((pool,))

    def put_many(self, pools: Iterable[Pool]) -> None:
        """Put new states; of several of one pool the last counts. Costs by what changed.

        Raises `ValueError` for a price that is no number, before anything is changed, and `RuntimeError` while an overlay is on.
        """
        self._check_no_overlay()
        changed = {pool.address: pool for pool in pools}
        self._put(changed, self._offers(changed))

    def put_priced(self, priced: Mapping[bytes, tuple[Pool, Offers]]) -> None:
        """`put_many` with what `offers_of` gives for each pool, by address: that part may be done elsewhere."""
        self._check_no_overlay()
        self._put({key: pool for key, (pool, _) in priced.items()}, [offers for _, offers in priced.values()])

    def drop(self, address: bytes) -> None:
        """Take a pool out. Raises `KeyError` if it is not there, `RuntimeError` while an overlay is on."""
        self._check_no_overlay()
        del self._pools[address]
        self._liquidity.pop(address, None)
        self._silence(self._places.get(address))

    def set_gas(self, family: str, gas: int) -> None:
        """The least gas of a hop of a family from now on, as simulations have measured it."""
        self._gas[family] = gas
        for place in self._by_number:
            if place.family == family:
                self._rows[place.number, anchored.GAS] = gas

    @contextmanager
    def overlay(self, pools: Iterable[Pool]) -> Iterator[Tables]:
        """These tables with some pools in other states, or new, as long as the context lasts; afterwards they are exactly as before.

        Overlays may lie upon each other; the tables cannot be changed otherwise meanwhile.
        """
        changed = {pool.address: pool for pool in pools}
        states = {address: self._pools.get(address) for address in changed}
        places = {address: self._places.get(address) for address in changed}
        liquidity = {address: self._liquidity.get(address) for address in changed}
        arcs = np.array([arc for place in places.values() if place for arc in place.arcs], np.int64)
        prices, depths = self._store.offer[arcs, PRICE], self._store.offer[arcs, DEPTH]
        self._overlays += 1
        try:
            self._put(changed, self._offers(changed))
            yield self
        finally:
            self._overlays -= 1
            for address in changed:
                if self._places.get(address) is not places[address]:
                    self._silence(self._places.get(address))
            kernels.set_prices(self._store, arcs, prices, depths)
            self._places.update((address, place) for address, place in places.items() if place is not None)
            _restore(self._pools, states)
            _restore(self._liquidity, liquidity)

    # ------------------------------------------------------------ what is asked

    def routes_through(
        self, changed: Iterable[bytes], max_hops: int, floors: Mapping[bytes, Floor] | None = None
    ) -> RouteList:
        """Every route of 2 to `max_hops` hops through at least one of the pools `changed` that may earn more than its cost.

        `floors` gives the cost by anchor; left out, or for anchors that are not in it, a route need only earn anything. Addresses that
        are not known are passed over. Best first: by gross bound, log price, then number of hops and addresses.
        Raises `ValueError` unless `max_hops` is 2 to 5.
        """
        if not 2 <= max_hops <= MOST_HOPS:
            raise ValueError(f"max_hops must be 2 to {MOST_HOPS}, not {max_hops}")
        known, place_of = self._pools, self._places.get
        places = [place_of(address) for address in dict.fromkeys(changed) if address in known]
        numbers = np.array([place.number for place in places if place is not None], np.int64)
        limits = [(floors or {}).get(anchor, NO_FLOOR) for anchor in self.anchors]
        costs = np.array(limits, np.float64).T.copy()
        turns = self._rows[:, anchored.TURN]
        turns[numbers] = np.arange(len(numbers), dtype=np.int64)
        try:
            count = self._list(numbers, costs, max_hops)
            if count > len(self._found.arc):
                self._found = anchored.room_for(2 * count)
                self._list(numbers, costs, max_hops)
        finally:
            turns[numbers] = _UNCHANGED
        return RouteList(self._by_number, self._found, count)

    def _list(self, numbers: Ints, costs: Floats, max_hops: int) -> int:
        return anchored.list_routes(self._store, numbers, self._rows, costs, max_hops, self._walks, self._found)

    # ------------------------------------------------------------ inside

    def _check_no_overlay(self) -> None:
        if self._overlays:
            raise RuntimeError("the tables are under an overlay; take it off before you change them")

    def _offers(self, changed: Mapping[bytes, Pool]) -> list[Offers]:
        known = self._liquidity
        return [offers_of(pool, known.get(address)) for address, pool in changed.items()]

    def _put(self, changed: Mapping[bytes, Pool], offers: Sequence[Offers]) -> None:
        arcs: list[int] = []
        prices: list[float] = []
        depths: list[float] = []
        fresh: list[_Place] = []
        place_of = self._places.get
        for (address, pool), (new_prices, new_depths, liquidity) in zip(changed.items(), offers, strict=True):
            place = place_of(address)
            if place is None or place.tokens != pool.tokens:
                self._silence(place)
                place = self._new_place(pool) if pool.tradable else None
                if place is not None:
                    fresh.append(place)
            if place is not None:
                arcs += place.arcs
                prices += new_prices
                depths += new_depths
            if liquidity is not None:
                self._liquidity[address] = liquidity
        self._pools.update(changed)
        if fresh:
            self._link(fresh)
        if arcs:
            kernels.set_prices(self._store, np.array(arcs), np.array(prices), np.array(depths))

    def _new_place(self, pool: Pool) -> _Place:
        tokens = pool.tokens
        for token in tokens:
            self._tokens.setdefault(token, len(self._tokens))
        number, count = len(self._by_number), len(tokens) * (len(tokens) - 1)
        if number == len(self._rows):
            self._rows = np.concatenate((self._rows, np.full_like(self._rows, _UNCHANGED)))
        self._rows[number] = self._arcs, count, _UNCHANGED, self._gas.get(pool.FAMILY, 0)
        place = _Place(pool.address, tokens, pool.FAMILY, number, range(self._arcs, self._arcs + count))
        self._arcs += count
        self._places[pool.address] = place
        self._by_number.append(place)
        return place

    def _link(self, places: Iterable[_Place]) -> None:
        """Put the arcs of new places on their links, making room as it is needed."""
        numbers = self._tokens
        rows = [
            (arc, place.number, numbers[token_in], numbers[token_out])
            for place in places
            for arc, (token_in, token_out) in zip(place.arcs, permutations(place.tokens, 2), strict=True)
        ]
        columns = np.array(rows, np.int64).T.copy()
        # A token's links move to a place twice the size when there is no more room for them: three times is about what that takes.
        done, links = 0, int(self._links[0]) + 3 * len(rows)
        while done < len(rows):
            self._store = with_room(self._store, len(numbers), links, self._arcs)
            done = kernels.add_arcs(self._store, self._links, done, *columns)
            links = 2 * len(self._store.link)

    def _silence(self, place: _Place | None) -> None:
        """Leave no way through a pool."""
        if place is not None:
            arcs = np.array(place.arcs, np.int64)
            kernels.set_prices(self._store, arcs, np.full(len(arcs), NO_WAY), np.full(len(arcs), inf))


def _restore(held: dict[bytes, _Value], before: Mapping[bytes, _Value | None]) -> None:
    for address, value in before.items():
        if value is None:
            held.pop(address, None)
        else:
            held[address] = value


class RouteList(Sequence[Listed]):
    """Listed routes, best first; a route's legs are put together when it is looked at."""

    def __init__(self, places: Sequence[_Place], found: anchored.Found, count: int) -> None:
        """The first `count` routes of `found`, which may be written over afterwards. `places`: by the numbers of pools."""
        self._places = places
        if not count:
            self._arcs = self._pools = found.arc[:0]
            self._numbers = found.number[:0]
            return
        numbers = found.number[:count]
        order = np.lexsort((-numbers[:, anchored.LOG_PRICE], -numbers[:, anchored.GROSS]))
        self._arcs, self._pools, self._numbers = found.arc[order], found.pool[order], found.number[order]
        self._break_ties()

    def _break_ties(self) -> None:
        promises = self._numbers[:, : anchored.COST]
        same = (promises[1:] == promises[:-1]).all(axis=1)
        if not same.any():
            return
        starts = np.flatnonzero(np.concatenate(([True], ~same)))
        for start, end in pairwise((*starts.tolist(), len(self))):
            if end - start > 1:
                tied = sorted(range(start, end), key=lambda row: (len(self._legs_of(row)), self._legs_of(row)))
                for rows in (self._arcs, self._pools, self._numbers):
                    rows[start:end] = rows[tied]

    def _legs_of(self, row: int) -> Legs:
        legs = []
        for arc, number in zip(self._arcs[row].tolist(), self._pools[row].tolist(), strict=True):
            if arc == NONE:
                break
            address, tokens, _, _, arcs = self._places[number]
            # The arcs of a pool are in the order of `permutations`: each token with all others.
            sold, bought = divmod(arc - arcs.start, len(tokens) - 1)
            legs.append(Leg(address, tokens[sold], tokens[bought + (bought >= sold)]))
        return tuple(legs)

    def __len__(self) -> int:
        return len(self._arcs)

    @overload
    def __getitem__(self, index: int) -> Listed: ...

    @overload
    def __getitem__(self, index: slice) -> list[Listed]: ...

    def __getitem__(self, index: int | slice) -> Listed | list[Listed]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        return Listed(self._legs_of(index), *self._numbers[index].tolist())


def warm_up() -> None:
    """Compile all that the search runs, or load it from the cache: seconds the first time, so say so before."""
    tables = Tables((b"\0" * 20,))
    kernels.add_arcs(tables._store, tables._links, 0, *np.zeros((4, 0), np.int64))
    kernels.set_prices(tables._store, np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    tables.routes_through((), USUAL_HOPS)
