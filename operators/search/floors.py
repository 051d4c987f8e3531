"""What a route must earn to be worth a look, and how deep a pool is: the two sides of the screening bound.

**Depth.** `D` is a depth of a direction with marginal price `p` if no input `x` buys more than `p*x / (1 + x/D)`; it is in base units of the
token in, infinite where nothing is proved. Hops bounded so compose to the same shape (a Moebius map), so a route with prices `p_1 .. p_n` earns at
most `(sqrt(a) - 1)**2 / c` with `a = p_1*...*p_n` and `c = sum over k of p_1*...*p_(k-1) / D_k`.

- Constant product: the curve itself, `D = R_in / kept`.
- Concentrated liquidity: at every price the pool trades against at most the greatest liquidity it has on that side, so it pays no more than a
  constant product of that liquidity from the present price on.
- Weighted: `1 - (1 + u)**-r <= r*u / (1 + k*u)` with `r = w_in/w_out`, `u = kept*x/B_in`, `k = min(r, (r + 1)/2)`. For `r <= 1` this is Bernoulli's
  inequality; for `r > 1` it is equal at 0 and `(1 + u)**(r-1) * (1 - (r-1)*u) <= 1` makes its slope right.
"""

from __future__ import annotations

from math import exp, inf, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.base import Pool
from operators.pools.concentrated import ConcentratedPool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.ticks import Ticks

#: Liquidity is added up in floats; this much more is more than their rounding.
_ROUNDED_UP = 1 + 1e-9


class Floor(NamedTuple):
    """What a route from one anchor costs, in base units of that anchor: always, and for a unit of gas of its hops.

    `fixed` holds what does not depend on the pools: the call's own gas, the least net profit that is wanted.
    """

    fixed: float = 0.0
    gas_price: float = 0.0


NO_FLOOR = Floor()


class Liquidity(NamedTuple):
    """The liquidity below the first tick of a pool and from each tick on, and the greatest of these up to, and from, each."""

    ticks: Ticks
    held: NDArray[np.float64]
    up_to: NDArray[np.float64]
    onwards: NDArray[np.float64]


def liquidity_of(ticks: Ticks) -> Liquidity:
    """To be kept as long as the pool has these very ticks: a swap changes none."""
    halves = np.frombuffer(ticks.pack()[1], ">u8").reshape(-1, 4)
    net = halves[:, 0].astype(np.int64) * 2.0**64 + halves[:, 1].astype(np.float64)
    held = np.concatenate(([0.0], np.cumsum(net))) 
    return Liquidity(ticks, held, np.maximum.accumulate(held), np.maximum.accumulate(held[::-1])[::-1])


def depth(pool: Pool, token_in: bytes, token_out: bytes, log_price: float, liquidity: Liquidity | None) -> float:
    """The depth of one direction of a tradable pool, in base units of the token in; infinite where none is known.

    `log_price` is the direction's own; `liquidity` that of a concentrated pool's ticks.
    """
    if isinstance(pool, V2Pool):
        kept, scale, reserve_in, _, _ = pool.constant_product(token_in, token_out)
        return reserve_in * scale / kept
    if isinstance(pool, ConcentratedPool) and liquidity is not None:
        return _concentrated(pool, token_in, log_price, liquidity)
    if isinstance(pool, WeightedPool):
        return _weighted(pool, token_in, token_out)
    return inf


def _concentrated(pool: ConcentratedPool, token_in: bytes, log_price: float, liquidity: Liquidity) -> float:
    kept = 1 - pool.swap_fee(token_in == pool.token0) / PIPS
    within = pool.ticks.below(pool.tick) + 1
    known = liquidity.held[within]
    if abs(known - pool.liquidity) > 1e-6 * pool.liquidity:
        return inf  # not all of its ticks are known
    most = liquidity.up_to[within] if token_in == pool.token0 else liquidity.onwards[within]
    # Virtual reserves are the liquidity over, or times, the root of the price: in either direction over the root of the direction's own.
    return float(max(most, pool.liquidity) * exp((log(kept) - log_price) / 2)) / kept * _ROUNDED_UP


def _weighted(pool: WeightedPool, token_in: bytes, token_out: bytes) -> float:
    sold, bought = pool.tokens.index(token_in), pool.tokens.index(token_out)
    ratio = pool.weights[sold] / pool.weights[bought]
    bend = min(ratio, (ratio + 1) / 2)
    return pool.balances[sold] * ONE / (ONE - pool.swap_fee) / bend * _ROUNDED_UP
