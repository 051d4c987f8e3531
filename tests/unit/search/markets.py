"""Made-up markets: random pools over few tokens, so that routes abound."""

from __future__ import annotations

import random

from operators.pools.uniswap_v2 import V2Pool


def token(number: int) -> bytes:
    return b"\xaa" + number.to_bytes(19, "big")


def address(number: int) -> bytes:
    return b"\xbb" + number.to_bytes(19, "big")


WETH = token(0)


def random_pools(rnd: random.Random, pools: int, tokens: int, low: int, high: int) -> list[V2Pool]:
    """Pools between random tokens with reserves between `low` and `high`; a few refused, a few drained."""
    made = []
    for number in range(pools):
        token0, token1 = sorted(rnd.sample(range(tokens), 2))
        reserves = [rnd.randint(low, high), rnd.randint(low, high)]
        if rnd.random() < 0.05:
            reserves[rnd.randrange(2)] = 0
        refusal = "transfer_tax" if rnd.random() < 0.05 else ""
        fee = rnd.choice((3000, 2500, 500))
        made.append(V2Pool(address(number), token(token0), token(token1), fee, reserves[0], reserves[1], refusal))
    return made
