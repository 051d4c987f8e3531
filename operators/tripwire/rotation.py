"""Which pools a block's sample has: round and round in the order of their addresses, so that none is left out however many come and go."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection

DAY_SECONDS = 86_400


def sample_size(pools: int, block_seconds: int, least: int) -> int:
    """How many of `pools` to look at per block so that all are within a day; at least `least`, never more than there are."""
    blocks_a_day = max(1, DAY_SECONDS // block_seconds)
    return min(pools, max(least, -(-pools // blocks_a_day)))


class Rotation:
    """Walks over a changing set of addresses. `cursor` is the last one visited."""

    def __init__(self, cursor: bytes = b"") -> None:
        self.cursor = cursor
        self._order: list[bytes] = []

    def next(self, addresses: Collection[bytes], size: int) -> list[bytes]:
        """The next `size` addresses after the cursor, none twice."""
        if len(self._order) != len(addresses) or any(address not in addresses for address in self._order):
            self._order = sorted(addresses)
        count = min(size, len(self._order))
        if not count:
            return []
        start = bisect_right(self._order, self.cursor)
        found = [self._order[(start + i) % len(self._order)] for i in range(count)]
        self.cursor = found[-1]
        return found
