"""The market as a graph: tokens, tradable pools between them, and hypothetical states laid over it.

Edges carry the log marginal price of one pool in one direction; it screens routes and decides no amount.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import permutations
from typing import Protocol

from operators.pools.base import Pool

#: Pools between two tokens in one direction: address to log marginal price.
Edges = Mapping[bytes, float]

_NO_EDGES: Edges = {}
_NO_NEIGHBOURS: dict[bytes, dict[bytes, float]] = {}


class GraphView(Protocol):
    """What a search reads: the graph itself, or the graph under hypothetical states."""

    def get(self, address: bytes) -> Pool | None:
        """The pool's state, tradable or not, or None."""

    def neighbours(self, token: bytes) -> Collection[bytes]:
        """The tokens that `token` may be swapped to in one hop (a few may have no edge left)."""

    def edges(self, token_in: bytes, token_out: bytes) -> Edges:
        """The tradable pools from one token to another."""


class _Adjacency:
    """Directed edges by token pair."""

    def __init__(self) -> None:
        self.by_token: dict[bytes, dict[bytes, dict[bytes, float]]] = {}

    def add(self, pool: Pool) -> None:
        for token_in, token_out in permutations(pool.tokens, 2):
            price = pool.log_price(token_in, token_out)
            self.by_token.setdefault(token_in, {}).setdefault(token_out, {})[pool.address] = price

    def drop(self, pool: Pool) -> None:
        for token_in, token_out in permutations(pool.tokens, 2):
            others = self.by_token.get(token_in, _NO_NEIGHBOURS)
            parallel = others.get(token_out)
            if parallel is None or parallel.pop(pool.address, None) is None or parallel:
                continue
            del others[token_out]
            if not others:
                del self.by_token[token_in]


class Graph:
    """All known pools. Pools with a refusal or an empty side are kept and found by `get`, but have no edges."""

    def __init__(self, pools: Iterable[Pool] = ()) -> None:
        self._pools: dict[bytes, Pool] = {}
        self._edges = _Adjacency()
        for pool in pools:
            self.set(pool)

    def __len__(self) -> int:
        return len(self._pools)

    def __contains__(self, address: bytes) -> bool:
        return address in self._pools

    def __iter__(self) -> Iterator[Pool]:
        """The pools in the order of their addresses."""
        return (self._pools[address] for address in sorted(self._pools))

    def get(self, address: bytes) -> Pool | None:
        """The pool's state, tradable or not, or None."""
        return self._pools.get(address)

    def set(self, pool: Pool) -> None:
        """Put a pool's new state in place of its earlier one, if there is one."""
        earlier = self._pools.get(pool.address)
        if earlier is not None and not (pool.tradable and earlier.tokens == pool.tokens):
            self._edges.drop(earlier)
        self._pools[pool.address] = pool
        if pool.tradable:
            self._edges.add(pool)

    def remove(self, address: bytes) -> None:
        """Take a pool out. Raises `KeyError` if it is not there."""
        self._edges.drop(self._pools.pop(address))

    def neighbours(self, token: bytes) -> Collection[bytes]:
        """The tokens that `token` may be swapped to in one hop."""
        return self._edges.by_token.get(token, _NO_NEIGHBOURS).keys()

    def edges(self, token_in: bytes, token_out: bytes) -> Edges:
        """The tradable pools from one token to another."""
        return self._edges.by_token.get(token_in, _NO_NEIGHBOURS).get(token_out, _NO_EDGES)

    def overlay(self, changed: Iterable[Pool]) -> Overlay:
        """This graph with some pools in other states (or new). Costs by what changed; the graph itself stays as it is."""
        return Overlay(self, changed)


class Overlay:
    """A graph under hypothetical states. Valid until the graph below it changes."""

    def __init__(self, base: GraphView, changed: Iterable[Pool]) -> None:
        self._base = base
        self._pools = {pool.address: pool for pool in changed}
        self._edges: dict[tuple[bytes, bytes], dict[bytes, float]] = {}
        self._new_neighbours: dict[bytes, dict[bytes, None]] = {}
        for pool in self._pools.values():
            self._lay(pool)

    def _lay(self, pool: Pool) -> None:
        earlier = self._base.get(pool.address)
        if earlier is not None and earlier.tokens != pool.tokens:
            for pair in permutations(earlier.tokens, 2):
                self._own(pair).pop(pool.address, None)
        for pair in permutations(pool.tokens, 2):
            parallel = self._own(pair)
            parallel.pop(pool.address, None)
            if pool.tradable:
                parallel[pool.address] = pool.log_price(*pair)

    def _own(self, pair: tuple[bytes, bytes]) -> dict[bytes, float]:
        """This view's own copy of the parallel pools of a pair: few, so copying is cheap."""
        if pair not in self._edges:
            below = self._base.edges(*pair)
            self._edges[pair] = dict(below)
            if not below:
                self._new_neighbours.setdefault(pair[0], {})[pair[1]] = None
        return self._edges[pair]

    def get(self, address: bytes) -> Pool | None:
        """The hypothetical state, else the one below."""
        return self._pools.get(address) or self._base.get(address)

    def neighbours(self, token: bytes) -> Collection[bytes]:
        """The tokens that `token` may be swapped to in one hop (a few may have no edge left)."""
        below = self._base.neighbours(token)
        more = self._new_neighbours.get(token)
        return below if more is None else {**dict.fromkeys(below), **more}.keys()

    def edges(self, token_in: bytes, token_out: bytes) -> Edges:
        """The tradable pools from one token to another."""
        own = self._edges.get((token_in, token_out))
        return self._base.edges(token_in, token_out) if own is None else own

    def overlay(self, changed: Iterable[Pool]) -> Overlay:
        """Further hypothetical states on top of these."""
        return Overlay(self, changed)
