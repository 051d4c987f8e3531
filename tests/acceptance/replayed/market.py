"""The search over a recorded state: its pools in tables, priced anchors, the routes through what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from operators.market.anchor_prices import AnchorPrices
from operators.pools import FAMILIES
from operators.pools.base import Pool
from operators.search.find import Search, find_routes
from operators.search.net import GasModel, Terms
from operators.search.overlap import best_set
from operators.search.prices import PAR
from operators.search.sizing import Trade
from operators.search.tables import USUAL_HOPS, Tables
from schemas.anchors import KNOWN
from schemas.config import SearchConfig
from schemas.known import WRAPPED_NATIVE

_GAS = GasModel(SearchConfig().gas_per_route, {})
#: More than any pool of the recordings takes: routes need no inventory, so nothing else bounds them.
_POSITION_WEI = 10**24


class RecordedMarket:
    """The pools of one state and the search over them; anchors are the chain's known ones, behind those that are asked for."""

    def __init__(self, chain_id: int, pools: Iterable[Pool], anchors: Sequence[bytes] = ()) -> None:
        """`chain_id` must be in `schemas.known.WRAPPED_NATIVE`."""
        native = WRAPPED_NATIVE[chain_id]
        self.anchors = tuple(dict.fromkeys((*anchors, native, *KNOWN.get(chain_id, ()))))
        self.tables = Tables(self.anchors, gas={name: family.LEAST_GAS for name, family in FAMILIES.items()})
        self._prices = AnchorPrices(native, self.anchors)
        self.put(pools)

    def put(self, pools: Iterable[Pool]) -> None:
        """Put new states in; a pool whose price is no number is left out, as in the flow's view."""
        for pool in pools:
            try:
                self.tables.put(pool)
            except ValueError:
                self.drop(pool.address)
                continue
            self._prices.put(pool)

    def drop(self, address: bytes) -> None:
        """Take a pool out, if it is there."""
        self._prices.drop(address)
        if address in self.tables:
            self.tables.drop(address)

    def routes(self, changed: Iterable[bytes], base_fee: int, limit: int) -> Search:
        """The best routes of 2 to 4 hops through some pools that earn anything after gas at `base_fee`."""
        return find_routes(self.tables, changed, self._terms(base_fee, ()), USUAL_HOPS, limit)

    def everything(self, max_hops: int, limit: int, at_par: Iterable[bytes]) -> tuple[Trade, ...]:
        """The best routes through any pool, gas left aside. `at_par`: anchors whose base units count as wei where they have no price."""
        terms = self._terms(0, at_par)
        search = find_routes(self.tables, [pool.address for pool in self.tables], terms, max_hops, limit)
        return tuple(found.trade for found in search.routes)

    def set_of_routes(
        self, through: Iterable[bytes], max_hops: int, limit: int, at_par: Iterable[bytes]
    ) -> tuple[Trade, ...]:
        """The routes through some pools that bring in the most together, to be carried out in this order; otherwise as `everything`."""
        listed = self.tables.routes_through(through, max_hops)
        chosen = best_set([route.legs for route in listed], self.tables.get, self._terms(0, at_par), limit)
        return tuple(taken.trade for taken in chosen.taken)

    def in_wei(self, token: bytes, amount: int) -> int | None:
        """Base units of an anchor in wei, None where it has no price."""
        price = self._prices.prices.get(token)
        return None if price is None else price.to_wei(amount)

    def _terms(self, base_fee: int, at_par: Iterable[bytes]) -> Terms:
        prices = dict.fromkeys(at_par, PAR) | dict(self._prices.prices)
        positions = {anchor: price.of_wei(_POSITION_WEI) for anchor, price in prices.items()}
        return Terms(_GAS, base_fee, prices, positions)
