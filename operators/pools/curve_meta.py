"""What a Curve metapool's view answers for the coins of its base pool: `get_dy_underlying`.

A metapool trades one coin against the pool token of a plain pool, whose virtual price it caches for ten minutes. Its state therefore changes
with the base pool and with the clock, which no log of its own tells: metapools are refused for trading (`CurveRefusal.METAPOOL`).
Given both states, the answers are exact.
"""

from __future__ import annotations

from operators.pools.curve import CurvePool
from operators.pools.stableswap import FEE_DENOMINATOR, PRECISION

#: Seconds for which a metapool trusts the virtual price it has read.
BASE_CACHE_EXPIRES = 600


def base_rate(base: CurvePool, cached: int, cached_at: int, timestamp: int) -> int:
    """The rate of the base pool's token in a block of `timestamp`, 18 decimals. Raises `Reverts`."""
    return base.virtual_price() if timestamp > cached_at + BASE_CACHE_EXPIRES else cached


def get_dy_underlying(meta: CurvePool, base: CurvePool, i: int, j: int, dx: int) -> int:
    """Coin 0 is the metapool's own, the others are the base pool's. The metapool's second rate must be `base_rate`. Raises `Reverts`."""
    if i > 0 and j > 0:
        return base.get_dy(i - 1, j - 1, dx)
    held = meta.scaled_balances()
    if i == 0:
        paid = meta.scaled_out(0, 1, held[0] + dx * meta.rates[0] // PRECISION)
        return base.withdraw_one(paid * PRECISION // meta.rates[1], j - 1)[0]
    amounts = [dx if k == i - 1 else 0 for k in range(len(base.tokens))]
    value = base.calc_token_amount(amounts, deposit=True) * meta.rates[1] // PRECISION
    # The view charges half of the base pool's fee for the one-sided deposit: an estimate of the contract's own.
    value -= value * base.fee // (2 * FEE_DENOMINATOR)
    return meta.scaled_out(1, 0, held[1] + value) * PRECISION // meta.rates[0]
