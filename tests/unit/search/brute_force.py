"""The obviously right search: every ordered choice of 2 and 3 pools, every token path, every input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from operators.pools.uniswap_v2 import V2Pool

Path = tuple[tuple[V2Pool, bytes], ...]


def all_cycles(pools: Iterable[V2Pool], anchor: bytes, max_hops: int) -> Iterator[Path]:
    """Every closed path from the anchor that uses no pool twice and passes the anchor only at its ends."""
    usable = [pool for pool in pools if pool.tradable]
    for hops in range(2, max_hops + 1):
        for chosen in permutations(usable, hops):
            path = _walk(chosen, anchor)
            if path is not None:
                yield path


def _walk(chosen: Sequence[V2Pool], anchor: bytes) -> Path | None:
    token, path = anchor, []
    for position, pool in enumerate(chosen):
        if token not in pool.tokens or (position and token == anchor):
            return None
        path.append((pool, token))
        token = pool.token1 if token == pool.token0 else pool.token0
    return tuple(path) if token == anchor else None


def pay(path: Path, amount: int) -> int:
    """What comes back for `amount`, by nothing but the definition of getAmountOut; 0 where a pool cannot take its input."""
    for pool, token in path:
        reserve_in, reserve_out = (
            (pool.reserve0, pool.reserve1) if token == pool.token0 else (pool.reserve1, pool.reserve0)
        )
        kept = (1_000_000 - pool.fee_pips) * amount
        if reserve_in + amount >= 2**112:
            return 0
        amount = kept * reserve_out // (reserve_in * 1_000_000 + kept)
    return amount


def best_gross(path: Path, inputs: Iterable[int]) -> int:
    """The greatest profit over the inputs given; 0 if none earns anything."""
    return max((pay(path, amount) - amount for amount in inputs), default=0)
