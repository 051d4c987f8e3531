"""Single pools, measured: a log's bytes applied to its pool's state, and one exact-input swap quoted with the state after it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from operators.pools.base import Pool, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.uniswap_v2 import V2Pool
from schemas.logs import Log

V2, V3 = "v2", "v3"
#: Pools of each kind that are quoted, and quotes of each direction of a pool.
QUOTED, AMOUNTS = 200, 5
_PARTS = 20
_Q96_BITS = 96


class Ask(NamedTuple):
    """One swap: so much of this token into this pool."""

    address: bytes
    token: bytes
    amount: int


def kind_of(pool: Pool) -> str:
    """Which of the two kinds a pool is."""
    return V2 if isinstance(pool, V2Pool) else V3


def apply_seconds(pools: dict[bytes, Pool], blocks: Iterable[Sequence[Log]]) -> dict[str, float | None]:
    """Seconds per log by kind, the median over the blocks; `pools` is at the last block afterwards."""
    found: dict[str, list[float]] = {V2: [], V3: []}
    for logs in blocks:
        for kind, seconds in found.items():
            part = [log for log in logs if kind_of(pools[log.address]) == kind]
            start = time.perf_counter()
            for log in part:
                pools[log.address] = pools[log.address].apply(log)
            if part:
                seconds.append((time.perf_counter() - start) / len(part))
    return {kind: median(seconds) if seconds else None for kind, seconds in found.items()}


def asks(pools: Mapping[bytes, Pool], kind: str, most: int, amounts: int) -> list[list[Ask]]:
    """Swaps of up to a thousandth of what a side holds around the price, both directions, no two alike: what remembers answers gains
    nothing. In parts, to take a median over; swaps that a pool would refuse are left out."""
    rng, found = random.Random(4), []
    for pool in [pool for pool in pools.values() if kind_of(pool) == kind and pool.tradable][:most]:
        for token, side in zip(pool.tokens, _sides(pool), strict=True):
            for _ in range(amounts):
                ask = Ask(pool.address, token, 1 + rng.randrange(1 + side // 1000))
                if _answered(pool, ask):
                    found.append(ask)
    rng.shuffle(found)
    return [part for start in range(_PARTS) if (part := found[start::_PARTS])]


def _sides(pool: Pool) -> tuple[int, int]:
    if isinstance(pool, V2Pool):
        return pool.reserve0, pool.reserve1
    assert isinstance(pool, ConcentratedPool)
    return (pool.liquidity << _Q96_BITS) // pool.sqrt_price, pool.liquidity * pool.sqrt_price >> _Q96_BITS


def _answered(pool: Pool, ask: Ask) -> bool:
    try:
        return pool.quote(ask.token, ask.amount).amount_in == ask.amount
    except QuoteRefused:
        return False


def quote_seconds(pools: Mapping[bytes, Pool], parts: Sequence[Sequence[Ask]]) -> float | None:
    """Seconds per quote, the median over the parts."""
    seconds = []
    for part in parts:
        asked = [(pools[ask.address], ask.token, ask.amount) for ask in part]
        start = time.perf_counter()
        for pool, token, amount in asked:
            pool.quote(token, amount)
        seconds.append((time.perf_counter() - start) / len(part))
    return median(seconds) if seconds else None
