"""The obviously right list of routes: every closed walk there is, without a bound and without a table.

Twice: in plain Python straight from the definition, for small markets, and compiled, for markets in which there are millions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numba import njit

from operators.pools.base import Pool, QuoteRefused

#: Pool, token in, token out.
Step = tuple[bytes, bytes, bytes]
Cycle = tuple[Step, ...]

ROUNDING = 1e-9


def steps_of(pools: Iterable[Pool]) -> dict[Step, float]:
    """What can be traded: every direction of every pool with its log price."""
    found = {}
    for pool in pools:
        if pool.tradable:
            for token_in, token_out in permutations(pool.tokens, 2):
                try:
                    price = pool.log_price(token_in, token_out)
                except QuoteRefused:
                    continue  # the own token of a composable stable pool
                if price > -float("inf"):
                    found[pool.address, token_in, token_out] = price
    return found


def every_cycle(pools: Iterable[Pool], anchors: Sequence[bytes], max_hops: int) -> Iterator[tuple[Cycle, float]]:
    """Every route by the definition in `operators.search.tables`, with its log price, profitable or not."""
    steps = steps_of(pools)
    by_token: dict[bytes, list[Step]] = {}
    for step in steps:
        by_token.setdefault(step[1], []).append(step)

    def onwards(walked: Cycle, price: float) -> Iterator[tuple[Cycle, float]]:
        start, here = walked[0][1], walked[-1][2]
        if here == start:
            yield walked, price
            return
        if len(walked) == max_hops:
            return
        earlier = anchors[: anchors.index(start)]
        for step in by_token.get(here, ()):
            known = {token for _, token, _ in walked[1:]} | {here, *earlier}
            if step[2] not in known and step[0] not in {pool for pool, _, _ in walked}:
                yield from onwards((*walked, step), price + steps[step])

    for anchor in anchors:
        for step in by_token.get(anchor, ()):
            if step[2] not in anchors[: anchors.index(anchor)]:
                yield from onwards((step,), steps[step])


def profitable_by_pool(
    pools: Iterable[Pool], anchors: Sequence[bytes], max_hops: int
) -> dict[bytes, dict[Cycle, float]]:
    """For each pool the profitable routes through it, with their log prices."""
    found: dict[bytes, dict[Cycle, float]] = {}
    for cycle, price in every_cycle(pools, anchors, max_hops):
        if price > -ROUNDING:
            for pool, _, _ in cycle:
                found.setdefault(pool, {})[cycle] = price
    return found


class Compiled:
    """The same for large markets."""

    def __init__(self, steps: Mapping[Step, float], anchors: Sequence[bytes]) -> None:
        tokens = {token: number for number, token in enumerate(anchors)}
        pools: dict[bytes, int] = {}
        for pool, token_in, token_out in steps:
            pools.setdefault(pool, len(pools))
            tokens.setdefault(token_in, len(tokens))
            tokens.setdefault(token_out, len(tokens))
        self._steps = sorted(steps, key=lambda step: tokens[step[1]])
        rows = [(pools[step[0]], tokens[step[1]], tokens[step[2]]) for step in self._steps]
        self._pool, tails, self._head = (np.array(column, np.int32) for column in zip(*rows, strict=True))
        self._price = np.array([steps[step] for step in self._steps])
        self._start = np.searchsorted(tails, np.arange(len(tokens) + 1)).astype(np.int32)
        self._anchors = len(anchors)

    def all(self, max_hops: int) -> tuple[int, dict[Cycle, float]]:
        """How many routes there are, and the profitable ones with their log prices."""
        cycles, prices = 0, {}
        for anchor in range(self._anchors):
            room = 4096
            while True:
                rows, sums = np.full((room, max_hops), -1, np.int32), np.zeros(room)
                count, seen = _enumerate(
                    self._start, self._head, self._pool, self._price, anchor, max_hops, rows, sums, ROUNDING
                )
                if count <= room:
                    break
                room = count
            cycles += seen
            for row, price in zip(rows[:count].tolist(), sums[:count].tolist(), strict=True):
                prices[tuple(self._steps[step] for step in row if step >= 0)] = price
        return cycles, prices

    def by_pool(self, max_hops: int) -> dict[bytes, dict[Cycle, float]]:
        """For each pool the profitable routes through it."""
        found: dict[bytes, dict[Cycle, float]] = {}
        for cycle, price in self.all(max_hops)[1].items():
            for pool, _, _ in cycle:
                found.setdefault(pool, {})[cycle] = price
        return found


@njit(cache=True)
def _enumerate(
    start: Any, head: Any, pool: Any, price: Any, anchor: int, hops: int, rows: Any, sums: Any, rounding: float
) -> tuple[int, int]:
    """Walk everywhere from the anchor; write the walks that come back with a profit. Returns how many these are, and how many come back.

    The only thing left out is a last hop that does not lead home, found by looking for the steps from a token to the anchor beforehand.
    """
    first_home = np.full(len(start), -1, np.int32)
    next_home = np.full(len(head), -1, np.int32)
    for token in range(len(start) - 1):
        for step in range(start[token + 1] - 1, start[token] - 1, -1):
            if head[step] == anchor:
                next_home[step], first_home[token] = first_home[token], step
    taken = np.zeros(hops, np.int32)
    at = np.zeros(hops + 1, np.int32)
    total = np.zeros(hops + 1)
    count, seen, level = 0, 0, 0
    at[0] = start[anchor]
    while level >= 0:
        token = anchor if level == 0 else head[taken[level - 1]]
        last = level == hops - 1
        step = at[level]
        if (last and step == -1) or (not last and step == start[token + 1]):
            level -= 1
            continue
        at[level] = next_home[step] if last else step + 1
        new = True
        for earlier in range(level):
            if pool[taken[earlier]] == pool[step] or head[taken[earlier]] == head[step]:
                new = False
        if not new or head[step] < anchor:
            continue
        taken[level] = step
        total[level + 1] = total[level] + price[step]
        if head[step] == anchor:
            seen += 1
            if total[level + 1] > -rounding:
                if count < len(rows):
                    sums[count] = total[level + 1]
                    for hop in range(level + 1):
                        rows[count, hop] = taken[hop]
                count += 1
        else:
            level += 1
            at[level] = first_home[head[step]] if level == hops - 1 else start[head[step]]
    return count, seen
