"""What wei are worth in each anchor token, kept up with the pools that hold anchors against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from operators.pools.base import Pool
from operators.search.prices import WeiPrice, wei_prices


class AnchorPrices:
    """Prices by anchor, from the states after the head. Worked out anew only when a pool between two anchors has changed."""

    def __init__(self, native: bytes, anchors: Sequence[bytes]) -> None:
        """`native` is the wrapped native token, one of `anchors`."""
        self._native, self._anchors = native, tuple(anchors)
        self._held: dict[tuple[bytes, bytes], dict[bytes, Pool]] = {}
        self._pairs_of: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}
        self._prices: dict[bytes, WeiPrice] | None = None

    def put(self, pool: Pool) -> None:
        """A pool's new state; pools that hold less than two anchors are none of this."""
        pairs = tuple(combinations(sorted(token for token in pool.tokens if token in self._anchors), 2))
        if not pairs:
            return
        self.drop(pool.address)
        if pool.tradable:
            for pair in pairs:
                self._held.setdefault(pair, {})[pool.address] = pool
            self._pairs_of[pool.address] = pairs
        self._prices = None

    def drop(self, address: bytes) -> None:
        """A pool that is not there any more."""
        for pair in self._pairs_of.pop(address, ()):
            del self._held[pair][address]
            self._prices = None

    @property
    def prices(self) -> Mapping[bytes, WeiPrice]:
        """By anchor, the wrapped native token at par; an anchor without a way to it is not there."""
        if self._prices is None:
            self._prices = wei_prices(self._between, self._native, self._anchors, self._anchors)
        return self._prices

    def _between(self, one: bytes, other: bytes) -> Iterable[Pool]:
        first, second = sorted((one, other))
        held = self._held.get((first, second), {})
        return [held[address] for address in sorted(held)]
