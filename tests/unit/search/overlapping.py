"""Made-up markets in which every circulation is made of short routes from the anchor, and all of them overlap."""

from __future__ import annotations

import random
from math import exp

from operators.pools.uniswap_v2 import V2Pool
from tests.unit.search.markets import address, token

E18 = 10**18
#: A ten-thousandth of what these markets hold for the taking: below it nothing is worth another route.
DUST = 10**13


def overlapping(rnd: random.Random, tokens: int) -> list[V2Pool]:
    """Several pools between the anchor and each token, one between each token and the next, all a little off: every circulation is made of
    routes of at most `tokens` + 1 hops, and all of them overlap."""
    price = [1.0, *(10 ** rnd.uniform(-3, 1) for _ in range(tokens))]
    pairs = [(0, number) for number in range(1, tokens + 1) for _ in range(rnd.randint(1, 3))]
    pairs += [(number, number + 1) for number in range(1, tokens)]
    made = []
    for number, (one, other) in enumerate(pairs):
        depth = 10 ** rnd.uniform(1.5, 3.5) * E18
        off = exp(rnd.gauss(0, 0.015))
        reserves = int(depth / price[one] * off), int(depth / price[other] / off)
        made.append(V2Pool(address(number), token(one), token(other), 3000, *reserves))
    return made
