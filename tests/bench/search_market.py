"""A made-up market of V2 pairs of any size, with the shape of the real one: most pairs hold the first anchor, few tokens have many pairs.

At rest pools differ by less than their fees, so hardly a route is profitable; a block moves the prices of some.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

from operators.pools.uniswap_v2 import V2Pool

#: Of all pairs, the part that holds each anchor, and the part between tokens that are none.
_HELD = (0.62, 0.12, 0.09, 0.05, 0.03)
_BETWEEN_ANCHORS = 0.004
#: Pairs for each token that is no anchor, and how much more some tokens have than others.
_PAIRS_A_TOKEN, _SKEW = 1.6, 1.6
_NOISE, _FEE = 0.0008, 0.003
#: What one side of a pool is worth, in wei of the first anchor: half of the pools less than the first number; and how widely that spreads.
_WORTH, _WORTH_SPREAD = 10 * 10**18, 1.5
_BUSY_WORTH, _BUSY_WORTH_SPREAD = 3000 * 10**18, 1.0
#: By how much a block moves the price of a pool it changes, as in the recorded blocks of mainnet (logarithms): half of the pools by less than
#: the first number, and with what spread, up to the last. Pools between anchors are deep; they are this part of all that change.
_MOVE, _SPREAD, _MOST = 0.00076, 2.0, 0.05
_BUSY_MOVE, _BUSY_SPREAD, _BUSY_MOST = 0.00037, 1.5, 0.002
_BUSY = 0.3
#: Others trade away what earns more than its gas within the block, but for this part of the changed pools: what is left to find.
_OPEN = 0.03
_LEFT_OVER_WEI = 5 * 10**14


def _name(kind: int, number: int) -> bytes:
    return bytes([kind]) + number.to_bytes(19, "big")


@dataclass(frozen=True)
class Block:
    """What a block changes, and the same pools at rest."""

    changed: list[V2Pool]
    rest: list[V2Pool]

    @property
    def names(self) -> list[bytes]:
        """The pools it changes."""
        return [pool.address for pool in self.changed]


class _Pair(NamedTuple):
    first: int
    second: int
    worth: float


class SearchMarket:
    """`pools` at rest, and blocks on demand; the same for the same size and the same questions."""

    def __init__(self, size: int) -> None:
        self._rnd = random.Random(size)
        tokens = len(_HELD) + int(size / _PAIRS_A_TOKEN)
        self.anchors = tuple(_name(0xAA, number) for number in range(len(_HELD)))
        self._worth = [0.0, *(self._rnd.uniform(-8, 8) for _ in range(tokens))]
        self._pairs = [self._pair(tokens) for _ in range(size)]
        self.pools = [self._at(number, self._rnd.gauss(0, _NOISE)) for number in range(size)]
        self._between = [n for n, pair in enumerate(self._pairs) if max(pair.first, pair.second) < len(_HELD)]

    def anchor_values(self) -> dict[bytes, float]:
        """Wei of the first anchor that a base unit of each anchor is worth."""
        return {anchor: exp(self._worth[number]) for number, anchor in enumerate(self.anchors)}

    def _pair(self, tokens: int) -> _Pair:
        rnd = self._rnd
        if rnd.random() < _BETWEEN_ANCHORS:
            first, second = rnd.sample(range(len(_HELD)), 2)
            return _Pair(first, second, _BUSY_WORTH * exp(rnd.gauss(0, _BUSY_WORTH_SPREAD)))
        draw, others = rnd.random(), tokens - len(_HELD)
        held = next((anchor for anchor, upto in enumerate(accumulate(_HELD)) if draw < upto), None)
        second = len(_HELD) + int(others * rnd.random() ** _SKEW)
        first = second
        while first == second:
            first = held if held is not None else len(_HELD) + int(others * rnd.random() ** (2 * _SKEW))
        return _Pair(first, second, _WORTH * exp(rnd.gauss(0, _WORTH_SPREAD)))

    def _at(self, number: int, off: float) -> V2Pool:
        """The pair with its price that much off what its tokens are worth."""
        pair = self._pairs[number]
        token0, token1 = sorted((pair.first, pair.second))
        reserves = (int(pair.worth * exp(-self._worth[token0])), int(pair.worth * exp(off - self._worth[token1])))
        return V2Pool(_name(0xBB, number), _name(0xAA, token0), _name(0xAA, token1), 3000, *reserves)

    def blocks(self, count: int, changed: int = 60) -> list[Block]:
        """Blocks, each of which moves other pools; before the next one these are at rest again."""
        rnd, found = self._rnd, []
        for _ in range(count):
            busy = rnd.sample(self._between, min(len(self._between), int(_BUSY * changed)))
            numbers = dict.fromkeys(busy)
            while len(numbers) < changed:
                numbers[rnd.randrange(len(self.pools))] = None
            moved = [self._at(number, self._move(self._pairs[number], number in busy)) for number in numbers]
            found.append(Block(moved, [self.pools[number] for number in numbers]))
        return found

    def _move(self, pair: _Pair, busy: bool) -> float:
        middle, spread, most = (_BUSY_MOVE, _BUSY_SPREAD, _BUSY_MOST) if busy else (_MOVE, _SPREAD, _MOST)
        if self._rnd.random() >= _OPEN:
            most = min(most, 2 * _FEE + 2 * sqrt(_LEFT_OVER_WEI / pair.worth))
        return self._rnd.choice((-1, 1)) * min(most, middle * exp(self._rnd.gauss(0, spread)))
