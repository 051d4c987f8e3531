"""Factories' own lists of their pools, for nodes that do not tell the logs of the past. One line a family.

A listing is a reading: it continues after the first `known` entries and returns what came after them, in the list's order.
"""

from __future__ import annotations

from collections.abc import Callable

from operators.pools.base import Found
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.pools.uniswap_v2 import V2Pool
from schemas.config import FactoryConfig
from schemas.reads import Reading, View

#: allPairsLength() and allPairs(uint256) of UniswapV2Factory.
ALL_PAIRS_LENGTH, ALL_PAIRS = bytes.fromhex("574f2ba3"), bytes.fromhex("1e3dd18b")
#: pool_count() and pool_list(uint256) of Curve's factories.
POOL_COUNT, POOL_LIST = bytes.fromhex("956aae3a"), bytes.fromhex("3a1d5d8e")

_AT_ONCE = 10_000

Listing = Callable[[FactoryConfig, int], Reading[tuple[Found, ...]]]


def _listing(family: str, length: bytes, entry: bytes) -> Listing:
    """A list by two views: its length, and the pool at an index."""

    def listed(factory: FactoryConfig, known: int) -> Reading[tuple[Found, ...]]:
        """Every pool after the first `known`; none where the factory does not answer as one (partial state)."""
        (answer,) = yield (View(factory.address, length),)
        count = int.from_bytes(answer, "big") if answer is not None and len(answer) == 32 else 0
        pools: dict[bytes, None] = {}
        for start in range(known, count, _AT_ONCE):
            indices = range(start, min(count, start + _AT_ONCE))
            answers = yield tuple(View(factory.address, entry + index.to_bytes(32, "big")) for index in indices)
            pools.update(dict.fromkeys(a[12:] for a in answers if a is not None and len(a) == 32 and any(a)))
        return tuple(Found(family, pool, factory.address) for pool in pools)

    return listed


#: By family.
LISTINGS: dict[str, Listing] = {
    V2Pool.FAMILY: _listing(V2Pool.FAMILY, ALL_PAIRS_LENGTH, ALL_PAIRS),
    CurvePool.FAMILY: _listing(CurvePool.FAMILY, POOL_COUNT, POOL_LIST),
    CurveNgPool.FAMILY: _listing(CurveNgPool.FAMILY, POOL_COUNT, POOL_LIST),
}
