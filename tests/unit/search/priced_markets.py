"""Made-up markets of any size: tokens with a value, pools of two and more tokens with prices near these values.

The shape is that of a real market: a few hubs that most tokens are traded against, some tokens that are traded against each other, and
pools beside each other on the same pair.
"""

from __future__ import annotations

import random
from math import log
from typing import ClassVar

import msgspec


def token(number: int) -> bytes:
    return b"\xaa" + number.to_bytes(19, "big")


def address(number: int) -> bytes:
    return b"\xbb" + number.to_bytes(19, "big")


class PricedPool(msgspec.Struct, frozen=True):
    """A pool that is nothing but its log prices: `worth` of each token in logarithms, `fee` taken off every trade."""

    FAMILY: ClassVar[str] = "priced"

    address: bytes
    tokens: tuple[bytes, ...]
    worth: tuple[float, ...]
    fee: float
    tradable: bool = True

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        assert token_out is not None
        return self.worth[self.tokens.index(token_in)] - self.worth[self.tokens.index(token_out)] + self.fee

    def moved(self, rnd: random.Random, by: float) -> PricedPool:
        """After somebody traded: one token is worth more, or less, to this pool."""
        worth = list(self.worth)
        worth[rnd.randrange(len(worth))] += rnd.uniform(-by, by)
        return msgspec.structs.replace(self, worth=tuple(worth))


class Market:
    """`anchors` are the first tokens. `noise`: by how much pools differ about a token's worth, in logarithms. `many`: the part of pools with three
    to five tokens. `hubs`: the part of pools with one of a few tokens in them, the first of these most often; the other tokens of a pool are any,
    those with low numbers more often."""

    def __init__(
        self,
        seed: int,
        pools: int,
        tokens: int,
        anchors: int = 5,
        noise: float = 0.001,
        many: float = 0.05,
        hubs: float = 0.8,
    ) -> None:
        self.rnd = random.Random(seed)
        self.anchors = tuple(token(number) for number in range(anchors))
        self._worth = [self.rnd.uniform(-20, 20) for _ in range(tokens)]
        self._noise, self._many, self._hubs = noise, many, hubs
        self.pools = [self.pool(number) for number in range(pools)]

    def pool(self, number: int) -> PricedPool:
        """A new pool at that address."""
        rnd = self.rnd
        count = 2 if rnd.random() > self._many else rnd.randint(3, 5)
        chosen: dict[int, None] = {}
        if rnd.random() < self._hubs:
            chosen[min(int(rnd.expovariate(0.7)), len(self._worth) - 1)] = None
        while len(chosen) < count:
            chosen[int(len(self._worth) * rnd.random() ** 2)] = None
        worth = tuple(self._worth[n] + rnd.gauss(0, self._noise) for n in chosen)
        fee = log(1 - rnd.choice((0.0005, 0.003, 0.003, 0.003, 0.01)))
        return PricedPool(address(number), tuple(map(token, chosen)), worth, fee)
