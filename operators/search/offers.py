"""What the search keeps of each direction of a pool: its log price, and how deep it is.

**Depth.** `D` is a depth of a direction with marginal price `p` if no input `x` buys more than `p*x / (1 + x/D)`; it is in base units of the
token in, infinite where nothing is proved. Hops bounded so compose to the same shape (a Moebius map), so a route with prices `p_1 .. p_n` earns at
most `(sqrt(a) - 1)**2 / c` with `a = p_1*...*p_n` and `c = sum over k of p_1*...*p_(k-1) / D_k`.

- Constant product: the curve itself, `D = R_in / kept`.
- Concentrated liquidity: at every price the pool trades against at most the greatest liquidity it has on that side, so it pays no more than a
  constant product of that liquidity from the present price on.
- Weighted: `1 - (1 + u)**-r <= r*u / (1 + k*u)` with `r = w_in/w_out`, `u = kept*x/B_in`, `k = min(r, (r + 1)/2)`. For `r <= 1` this is Bernoulli's
  inequality; for `r > 1` both sides and their slopes are equal at 0, and `(1 + u)**(r-1) * (1 - (r-1)*u) <= 1` keeps the left one below.
"""

from __future__ import annotations

from itertools import permutations
from math import exp, inf, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.base import Pool, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.ticks import Ticks

#: Liquidity is added up, and roots are taken, in floats; this part of the largest number in it is more than their rounding.
_ROUNDING = 1e-9
_NO_WAY = -inf


class BadPrice(ValueError):
    """A tradable pool whose price is no number; the message names the pool."""


class Liquidity(NamedTuple):
    """The liquidity below the first tick of a pool and from each tick on, and the greatest of these up to, and from, each."""

    ticks: Ticks
    held: NDArray[np.float64]
    up_to: NDArray[np.float64]
    onwards: NDArray[np.float64]


class Offers(NamedTuple):
    """Log prices and depths of all ordered pairs of a pool's tokens, in the order of `permutations`; the liquidity that depths come from."""

    prices: tuple[float, ...]
    depths: tuple[float, ...]
    liquidity: Liquidity | None = None


def offers_of(pool: Pool, known: Liquidity | None = None) -> Offers:
    """What a pool offers; nothing if it may not be traded. `known`: the liquidity of an earlier state, used again where no tick changed.

    Raises `BadPrice` naming the pool where its family's answers are no prices.
    """
    if not pool.tradable:
        directions = len(pool.tokens) * (len(pool.tokens) - 1)
        return Offers((_NO_WAY,) * directions, (inf,) * directions)
    if isinstance(pool, V2Pool):
        return _constant_product(pool)
    if isinstance(pool, ConcentratedPool):
        liquidity = known if known is not None and known.ticks is pool.ticks else _liquidity(pool.ticks)
        return _checked(pool, _concentrated(pool, liquidity))
    if isinstance(pool, WeightedPool):
        return _checked(pool, _weighted(pool))
    prices = _log_prices(pool)
    return _checked(pool, Offers(prices, (inf,) * len(prices)))


def _checked(pool: Pool, offers: Offers) -> Offers:
    for price, depth in zip(offers.prices, offers.depths, strict=True):
        if not (price < inf and depth > 0):
            raise BadPrice(
                f"{pool.FAMILY} pool 0x{pool.address.hex()} gives log prices {offers.prices} and depths {offers.depths}; those of a tradable pool are "
                "numbers or minus infinity, and above zero: refuse the pool, or correct its family"
            )
    return offers


def _log_prices(pool: Pool) -> tuple[float, ...]:
    return tuple(_log_price(pool, *direction) for direction in permutations(pool.tokens, 2))


def _log_price(pool: Pool, token_in: bytes, token_out: bytes) -> float:
    try:
        return pool.log_price(token_in, token_out)
    except QuoteRefused:
        # A composable stable pool lists its own token among its tokens, and trades it by joins and exits only.
        return _NO_WAY


def _constant_product(pool: V2Pool) -> Offers:
    """Both directions from one look at the pool: the same numbers as `log_price` gives, and most pools are of this family."""
    kept, scale, reserve0, reserve1, _ = pool.constant_product(pool.token0)
    if not kept:
        return Offers((_NO_WAY, _NO_WAY), (inf, inf))
    after_fee0, before_fee0 = log(kept * reserve0), log(scale * reserve0)
    after_fee1, before_fee1 = log(kept * reserve1), log(scale * reserve1)
    unkept = scale / kept
    return Offers((after_fee1 - before_fee0, after_fee0 - before_fee1), (reserve0 * unkept, reserve1 * unkept))


def _liquidity(ticks: Ticks) -> Liquidity:
    """Adds up what the ticks hold: net liquidity is a signed number of 16 bytes, 32 bytes a tick."""
    halves = np.frombuffer(ticks.pack()[1], ">i8").reshape(-1, 4)
    high, low = halves[:, 0], halves[:, 1]
    # A low half with its first bit set is read as a negative number, which is one unit of the high half too little.
    net = (high + (low < 0)) * 2.0**64 + low
    held = np.concatenate(([0.0], np.cumsum(net)))
    return Liquidity(ticks, held, np.maximum.accumulate(held), np.maximum.accumulate(held[::-1])[::-1])


def _concentrated(pool: ConcentratedPool, liquidity: Liquidity) -> Offers:
    prices = _log_prices(pool)
    within = pool.ticks.below(pool.tick) + 1
    rounding = _ROUNDING * float(liquidity.up_to[-1])
    if abs(liquidity.held[within] - pool.liquidity) > rounding:
        return Offers(prices, (inf, inf), liquidity)  # not all of its ticks are known
    depths = []
    for price, zero_for_one in zip(prices, (True, False), strict=True):
        kept = 1 - pool.swap_fee(zero_for_one) / PIPS
        most = max(pool.liquidity, float((liquidity.up_to if zero_for_one else liquidity.onwards)[within])) + rounding
        # Virtual reserves are the liquidity over, or times, the root of the price: either way over the root of the direction's own.
        tradable = price != _NO_WAY and kept > 0
        depths.append(most * exp((log(kept) - price) / 2) / kept * (1 + _ROUNDING) if tradable else inf)
    return Offers(prices, tuple(depths), liquidity)


def _weighted(pool: WeightedPool) -> Offers:
    depths = []
    for sold, bought in permutations(range(len(pool.tokens)), 2):
        ratio = pool.weights[sold] / pool.weights[bought]
        after_fee = pool.balances[sold] * ONE / (ONE - pool.swap_fee)
        depths.append(after_fee / min(ratio, (ratio + 1) / 2) * (1 + _ROUNDING))
    return Offers(_log_prices(pool), tuple(depths))
