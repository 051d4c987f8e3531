"""Factories' own lists of their pools, for nodes that do not tell the logs of the past. One function a family, one line below.

A listing is a reading: it continues after the first `known` entries and returns what came after them, in the list's order.
"""

from __future__ import annotations

from collections.abc import Callable

from operators.pools.base import Found
from operators.pools.uniswap_v2 import V2Pool
from schemas.config import FactoryConfig
from schemas.reads import Reading, View

#: allPairsLength() and allPairs(uint256) of UniswapV2Factory.
ALL_PAIRS_LENGTH, ALL_PAIRS = bytes.fromhex("574f2ba3"), bytes.fromhex("1e3dd18b")

_AT_ONCE = 10_000


def listed_pairs(factory: FactoryConfig, known: int) -> Reading[tuple[Found, ...]]:
    """Every pair of a Uniswap V2 factory after the first `known`; none where it does not answer as a factory (partial state)."""
    (length,) = yield (View(factory.address, ALL_PAIRS_LENGTH),)
    count = int.from_bytes(length, "big") if length is not None and len(length) == 32 else 0
    pairs: dict[bytes, None] = {}
    for start in range(known, count, _AT_ONCE):
        indices = range(start, min(count, start + _AT_ONCE))
        answers = yield tuple(View(factory.address, ALL_PAIRS + index.to_bytes(32, "big")) for index in indices)
        pairs.update(dict.fromkeys(a[12:] for a in answers if a is not None and len(a) == 32 and any(a)))
    return tuple(Found(V2Pool.FAMILY, pair, factory.address) for pair in pairs)


#: By family.
LISTINGS: dict[str, Callable[[FactoryConfig, int], Reading[tuple[Found, ...]]]] = {V2Pool.FAMILY: listed_pairs}
