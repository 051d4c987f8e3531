"""What no set of trades over constant-product pools can exceed: the convex problem of routing through CFMMs, by its dual.

Angeris, Evans, Chitra, Boyd, "Optimal Routing for Constant Function Market Makers" (2022); the dual decomposition is that of Diamandis et al.,
"An Efficient Algorithm for Optimal Routing Through Constant Function Market Makers" (2023). Given prices of all tokens (the anchor's is 1), each pool
earns at most what its own arbitrage problem earns, which has a closed form; the sum over all pools, at any prices, bounds what all trades together can bring in
of the anchor without owing another token. The least such sum is the answer. Gas is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from scipy.optimize import minimize

from operators.pools.uniswap_v2 import V2Pool

#: Pools, each with a token that may be sold to it.
Directions = Set[tuple[bytes, bytes]]


class Dual:
    """The dual function of one market, over logarithms of prices against the pools' own."""

    def __init__(self, pools: Sequence[V2Pool], anchor: bytes, directions: Directions | None) -> None:
        self.tokens = sorted({token for pool in pools for token in pool.tokens})
        number = {token: at for at, token in enumerate(self.tokens)}
        self.anchor = number[anchor]
        self.first = np.array([number[pool.token0] for pool in pools])
        self.second = np.array([number[pool.token1] for pool in pools])
        self.reserves = np.array([[float(pool.reserve0), float(pool.reserve1)] for pool in pools])
        self.kept = np.array([1.0 - pool.fee_pips / 1e6 for pool in pools])
        #: Whether token0 (first column), token1 (second) may be sold to each pool.
        self.open = np.array(
            [[directions is None or (pool.address, token) in directions for token in pool.tokens] for pool in pools]
        )

    def start(self) -> np.ndarray:
        """Prices as the deepest ways from the anchor tell them, so that all numbers are of one size."""
        prices = np.full(len(self.tokens), np.nan)
        prices[self.anchor] = 0.0
        depth = {self.anchor: np.inf}
        changed = True
        while changed:
            changed = False
            for a, b, (r0, r1) in zip(self.first, self.second, self.reserves, strict=True):
                for one, other, have, want in ((a, b, r0, r1), (b, a, r1, r0)):
                    if one not in depth:
                        continue
                    way = min(depth[one], have * np.exp(prices[one]))
                    if way > depth.get(other, 0.0) * (1 + 1e-9):
                        depth[other], prices[other] = way, prices[one] + np.log(have / want)
                        changed = True
        return prices

    def value(self, log_prices: np.ndarray) -> tuple[float, np.ndarray]:
        """What all pools together earn at most at these prices, and its gradient."""
        prices = np.exp(log_prices)
        worth = prices[np.stack([self.first, self.second], axis=1)] * self.reserves
        total, gradient = 0.0, np.zeros(len(prices))
        for sold, bought, tokens in ((0, 1, (self.first, self.second)), (1, 0, (self.second, self.first))):
            have, want = worth[:, sold], worth[:, bought]
            # Sell token `sold` to the pool until its marginal price after fee is that of the market.
            level = np.sqrt(want * have / self.kept)
            trades = (level > have / self.kept) & self.open[:, sold]
            level, have, want, kept = level[trades], have[trades], want[trades], self.kept[trades]
            into = level - have / kept
            out = want - have * want / (kept * level)
            total += float(np.sum(out - into))
            np.add.at(gradient, tokens[0][trades], -into)
            np.add.at(gradient, tokens[1][trades], out)
        return total, gradient


def convex_bound(pools: Sequence[V2Pool], anchor: bytes, directions: Directions | None = None) -> float:
    """An upper bound of what trades can bring in of the anchor, in base units; only in these directions, if given. Valid however far the solver
    came: any prices give a bound."""
    dual = Dual(pools, anchor, directions)
    start = dual.start()
    reached = ~np.isnan(start)
    keep = reached[dual.first] & reached[dual.second]
    dual.first, dual.second, dual.reserves, dual.kept, dual.open = (
        part[keep] for part in (dual.first, dual.second, dual.reserves, dual.kept, dual.open)
    )
    free = reached.copy()
    free[dual.anchor] = False
    full = np.where(reached, start, 0.0)
    scale = max(dual.value(full)[0], 1.0)

    def objective(shift: np.ndarray) -> tuple[float, np.ndarray]:
        log_prices = full.copy()
        log_prices[free] += shift
        value, gradient = dual.value(log_prices)
        return value / scale, gradient[free] / scale

    best = minimize(objective, np.zeros(int(free.sum())), jac=True, method="L-BFGS-B",
                    options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-13, "gtol": 1e-10})  # fmt: skip
    return float(best.fun) * scale
