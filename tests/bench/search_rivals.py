"""Other ways to the same routes: cycles enumerated beforehand and evaluated anew, Bellman-Ford, and the whole market looked through in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import rustworkx
from numba import njit
from numpy.typing import NDArray

from operators.pools.base import Pool
from operators.search.offers import offers_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Cycle = tuple[tuple[bytes, bytes, bytes], ...]


class Arcs:
    """All directions of all pools as arrays; each way below keeps its prices up to date by itself."""

    def __init__(self, pools: Sequence[Pool], anchor: bytes) -> None:
        self.number = {pool.address: number for number, pool in enumerate(pools)}
        tokens = {anchor: 0}
        self.steps = []
        for pool in pools:
            for token_in, token_out in permutations(pool.tokens, 2):
                tokens.setdefault(token_in, len(tokens))
                tokens.setdefault(token_out, len(tokens))
                self.steps.append((pool.address, token_in, token_out))
        self.tokens = len(tokens)
        self.pool = np.array([self.number[step[0]] for step in self.steps])
        self.tail = np.array([tokens[step[1]] for step in self.steps])
        self.head = np.array([tokens[step[2]] for step in self.steps])
        self.price = np.concatenate([offers_of(pool).prices for pool in pools])

    def prices_of(self, pools: Sequence[Pool]) -> tuple[Ints, Floats]:
        """The arcs of pools of two tokens, and their new prices."""
        arcs = np.array([2 * self.number[pool.address] + side for pool in pools for side in (0, 1)])
        return arcs, np.concatenate([offers_of(pool).prices for pool in pools])


class Enumerated:
    """Every cycle from the anchor, found once; a block evaluates those through the pools it changed."""

    def __init__(self, arcs: Arcs, max_hops: int, room: int) -> None:
        """Raises `MemoryError` where there are more cycles than `room`."""
        self._arcs = arcs
        order = np.argsort(arcs.tail, kind="stable")
        start = np.searchsorted(arcs.tail[order], np.arange(arcs.tokens + 1))
        rows = np.full((room, max_hops), -1, np.int32)
        count = _enumerate(start, order, arcs.head, arcs.pool, max_hops, rows)
        if count > room:
            raise MemoryError(f"{count:,} cycles")
        self.rows = rows[:count].copy()
        pools = np.where(self.rows >= 0, arcs.pool[self.rows], -1)
        cycle = np.repeat(np.arange(count, dtype=np.int32), max_hops)
        sorted_by_pool = np.argsort(pools, axis=None, kind="stable")
        flat = pools.ravel()[sorted_by_pool]
        self._first = np.searchsorted(flat, np.arange(len(arcs.number) + 1))
        self._cycles = cycle[sorted_by_pool]
        self._seen = np.zeros(count, np.int64)
        self._turn = 0
        self._found = np.zeros(count, np.int32)
        # One more price, of the places that short cycles leave empty.
        self._price = np.append(arcs.price, 0.0)

    def __len__(self) -> int:
        return len(self.rows)

    def through(self, pools: Ints) -> Ints:
        """The cycles through these pools, each once."""
        return np.unique(np.concatenate([self._cycles[self._first[pool] : self._first[pool + 1]] for pool in pools]))

    def compiled(self, arcs: Ints, prices: Floats, pools: Ints) -> Ints:
        """The profitable cycles after these prices have changed; compiled code."""
        self._price[arcs] = prices
        self._turn += 1
        count = _evaluate(
            self._price, self.rows, self._first, self._cycles, pools, self._seen, self._turn, self._found
        )  # fmt: skip
        return self._found[:count].copy()

    def numpy(self, arcs: Ints, prices: Floats, pools: Ints) -> Ints:
        """The same in numpy."""
        self._price[arcs] = prices
        cycles = self.through(pools)
        return cycles[self._price[self.rows[cycles]].sum(axis=1) > -1e-9]

    def legs(self, cycle: int) -> Cycle:
        """A cycle as pools and tokens."""
        return tuple(self._arcs.steps[arc] for arc in self.rows[cycle] if arc >= 0)


@njit(cache=True)
def _enumerate(start: Any, order: Any, head: Any, pool: Any, hops: int, rows: Any) -> int:
    home_first = np.full(len(start), -1, np.int64)
    home_next = np.full(len(order), -1, np.int64)
    for token in range(len(start) - 1):
        for place in range(start[token], start[token + 1]):
            if head[order[place]] == 0:
                home_next[place], home_first[token] = home_first[token], place
    taken = np.zeros(hops, np.int64)
    at = np.zeros(hops + 1, np.int64)
    count, level = 0, 0
    at[0] = start[0]
    while level >= 0:
        token = 0 if level == 0 else head[order[taken[level - 1]]]
        last = level == hops - 1
        place = at[level]
        if (last and place == -1) or (not last and place == start[token + 1]):
            level -= 1
            continue
        at[level] = home_next[place] if last else place + 1
        arc = order[place]
        new = True
        for earlier in range(level):
            other = order[taken[earlier]]
            if pool[other] == pool[arc] or head[other] == head[arc]:
                new = False
        if not new:
            continue
        taken[level] = place
        if head[arc] == 0:
            if count < len(rows):
                for hop in range(level + 1):
                    rows[count, hop] = order[taken[hop]]
            count += 1
        else:
            level += 1
            at[level] = home_first[head[arc]] if level == hops - 1 else start[head[arc]]
    return count


@njit(cache=True)
def _evaluate(
    price: Any, rows: Any, first: Any, cycles: Any, pools: Any, seen: Any, turn: int, found: Any
) -> int:  # fmt: skip
    count = 0
    for pool in pools:
        for place in range(first[pool], first[pool + 1]):
            cycle = cycles[place]
            if seen[cycle] == turn:
                continue
            seen[cycle] = turn
            total = 0.0
            for hop in range(rows.shape[1]):
                if rows[cycle, hop] >= 0:
                    total += price[rows[cycle, hop]]
            if total > -1e-9:
                found[count] = cycle
                count += 1
    return count


class Rescan:
    """What can be done without compiled code: bounds for the whole market in numpy. It tells which arcs of the anchor's market lie on a profitable
    way of up to four hops (tokens may repeat), and no routes."""

    def __init__(self, arcs: Arcs) -> None:
        self._order = np.argsort(arcs.tail * arcs.tokens + arcs.head, kind="stable")
        pair = (arcs.tail * arcs.tokens + arcs.head)[self._order]
        self._pair_start = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
        self._tail, self._head = arcs.tail[self._order][self._pair_start], arcs.head[self._order][self._pair_start]
        self._token_start = np.flatnonzero(np.append(True, self._tail[1:] != self._tail[:-1]))
        self._token = self._tail[self._token_start]
        self._by_head = np.argsort(self._head, kind="stable")
        heads = self._head[self._by_head]
        self._head_start = np.flatnonzero(np.append(True, heads[1:] != heads[:-1]))
        self._tokens = arcs.tokens
        self._price = arcs.price[self._order]
        self._place = np.argsort(self._order)

    def flagged(self, arcs: Ints, prices: Floats) -> int:
        """How many pairs lie on a profitable way, after these prices have changed."""
        self._price[self._place[arcs]] = prices
        best = np.maximum.reduceat(self._price, self._pair_start)
        away = self._longer(np.where(np.arange(self._tokens) == 0, 0.0, -np.inf), best)
        out = [away]
        for _ in range(2):
            out.append(self._longer(out[-1], best))
        back = [self._back(np.where(np.arange(self._tokens) == 0, 0.0, -np.inf), best)]
        for _ in range(2):
            back.append(self._back(back[-1], best))
        total = np.full(len(best), -np.inf)
        at_anchor = np.where(np.arange(self._tokens) == 0, 0.0, -np.inf)
        for before, ways_in in enumerate([at_anchor, *back]):
            ways_out = [at_anchor, *out][: 4 - before]
            best_out = np.maximum.reduce(ways_out)
            total = np.maximum(total, ways_in[self._tail] + best + best_out[self._head])
        return int((total > -1e-9).sum())

    def _longer(self, out: Floats, best: Floats) -> Floats:
        """One hop more before these ways to the anchor."""
        ways = np.full(self._tokens, -np.inf)
        ways[self._token] = np.maximum.reduceat(best + out[self._head], self._token_start)
        ways[0] = -np.inf
        return ways

    def _back(self, into: Floats, best: Floats) -> Floats:
        """One hop more behind these ways from the anchor."""
        ways = np.full(self._tokens, -np.inf)
        sums = (best + into[self._tail])[self._by_head]
        ways[self._head[self._by_head][self._head_start]] = np.maximum.reduceat(sums, self._head_start)
        ways[0] = -np.inf
        return ways


class BellmanFord:
    """rustworkx: one negative cycle anywhere in the market, or the word that there is none."""

    def __init__(self, arcs: Arcs) -> None:
        best: dict[tuple[int, int], float] = {}
        for tail, head, price in zip(arcs.tail.tolist(), arcs.head.tolist(), arcs.price.tolist(), strict=True):
            best[tail, head] = max(best.get((tail, head), -np.inf), price)
        self._graph = rustworkx.PyDiGraph()
        self._graph.add_nodes_from(range(arcs.tokens))
        self._graph.add_edges_from([(tail, head, -price) for (tail, head), price in best.items()])

    def one_cycle(self) -> int:
        """The hops of the cycle it finds, 0 if there is none."""
        try:
            return len(rustworkx.find_negative_cycle(self._graph, float)) - 1
        except ValueError:
            return 0
