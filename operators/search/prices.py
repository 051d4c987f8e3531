"""What wei are worth in an anchor token: by way of the pools that hold the most, at a stated amount.

A way is one pool, or two by way of a hub token. Each pool is asked what it pays for the probe and for twice as much, which tells how deep it
is; a way is as deep as its shallower pool, counted in wei. The deepest way decides: a shallow pool, which is cheap to push, never sets a price
while a deeper one is there. The price is what it pays on the way back: gas costs wei, and an anchor has to be sold for them.
Integers throughout. A token without a way has no price; none is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from operators.pools.base import Pool, QuoteRefused
from operators.pools.uniswap_v2 import V2Pool

#: The tradable pools between two tokens, in any order.
PoolsBetween = Callable[[bytes, bytes], Iterable[Pool]]

#: An amount that gas costs: not so small that roundings show, not so large that shallow chains have no way.
PROBE_WEI = 10**17


class WeiPrice(NamedTuple):
    """`amount` base units of a token are worth `wei` wei. Both above zero."""

    amount: int
    wei: int

    def of_wei(self, wei: int) -> int:
        """Wei in base units of the token, rounded up: costs are not understated."""
        return -(-wei * self.amount // self.wei)

    def to_wei(self, amount: int) -> int:
        """Base units of the token in wei, rounded down."""
        return amount * self.wei // self.amount


#: The price of the wrapped native token itself.
PAR = WeiPrice(1, 1)


class _Way(NamedTuple):
    """Where the probe leads: the amount it buys, how many wei deep the way is, and the pools on it, each with the token it is entered by."""

    amount: int
    depth_wei: int
    pools: tuple[tuple[Pool, bytes], ...]


def _order(way: _Way) -> tuple[int, int, tuple[bytes, ...]]:
    """Deepest first, then fewer pools, then their addresses."""
    return -way.depth_wei, len(way.pools), tuple(pool.address for pool, _ in way.pools)


def wei_price(between: PoolsBetween, native: bytes, token: bytes, hubs: Sequence[bytes] = ()) -> WeiPrice | None:
    """What wei are worth in `token`; None (unpriced) where no way leads to it and back. `native` is the wrapped native token, `hubs` the tokens
    that a way may lead through: to each of them by its deepest pool. Neither the order of pools nor that of hubs makes a difference."""
    return wei_prices(between, native, [token], hubs).get(token)


def wei_prices(
    between: PoolsBetween, native: bytes, tokens: Iterable[bytes], hubs: Sequence[bytes]
) -> dict[bytes, WeiPrice]:
    """`wei_price` of several tokens; those without a price are left out."""
    wanted = dict.fromkeys(tokens)
    start = _Way(PROBE_WEI, 0, ())
    direct = {
        token: sorted(_on(between, start, native, token), key=_order)
        for token in dict.fromkeys((*wanted, *hubs))
        if token != native
    }
    found = {}
    for token in wanted:
        if token == native:
            found[token] = PAR
            continue
        ways = list(direct[token])
        for hub in dict.fromkeys(hubs):
            if hub not in (native, token) and direct[hub]:
                ways += _on(between, direct[hub][0], hub, token)
        priced = (WeiPrice(way.amount, wei) for way in sorted(ways, key=_order) if (wei := _back(way, token)) > 0)
        if (price := next(priced, None)) is not None:
            found[token] = price
    return found


def pools_between(pools: Iterable[Pool]) -> PoolsBetween:
    """An index of tradable pools by pair of tokens, for `wei_price`."""
    by_pair: dict[tuple[bytes, ...], list[Pool]] = {}
    for pool in pools:
        if pool.tradable:
            for pair in combinations(sorted(pool.tokens), 2):
                by_pair.setdefault(pair, []).append(pool)
    return lambda one, other: by_pair.get(tuple(sorted((one, other))), ())


def _on(between: PoolsBetween, way: _Way, token_in: bytes, token_out: bytes) -> Iterable[_Way]:
    """The way led on through each pool between two tokens that is not yet on it."""
    for pool in between(token_in, token_out):
        if any(pool.address == other.address for other, _ in way.pools):
            continue
        try:
            once, twice = _paid(pool, token_in, token_out, way.amount)
        except QuoteRefused:
            continue
        if once < 1 or twice <= once:
            continue
        # out = r*x / (1 + x/depth) through both points, x in wei. Rounding may hide how a very deep curve falls.
        depth = PROBE_WEI * 2 * (twice - once) // max(2 * once - twice, 1)
        depth = min(depth, way.depth_wei) if way.pools else depth
        yield _Way(once, depth, (*way.pools, (pool, token_in)))


def _paid(pool: Pool, token_in: bytes, token_out: bytes, amount: int) -> tuple[int, int]:
    """What the pool pays for an amount and for twice as much. Raises `QuoteRefused`."""
    if isinstance(pool, V2Pool):
        # The same integers without the states that quotes bring along: this is asked of every pool between anchors in every block.
        curve = pool.constant_product(token_in, token_out)
        return (curve.out(amount), curve.out(2 * amount)) if 2 * amount <= curve.max_in else (0, 0)
    return (
        pool.quote(token_in, amount, token_out).amount_out,
        pool.quote(token_in, 2 * amount, token_out).amount_out,
    )


def _back(way: _Way, token: bytes) -> int:
    """What the amount of a way pays on the same pools back, in wei; 0 where one of them refuses."""
    amount = way.amount
    for pool, earlier in reversed(way.pools):
        try:
            amount = pool.quote(token, amount, earlier).amount_out
        except QuoteRefused:
            return 0
        token = earlier
    return amount
