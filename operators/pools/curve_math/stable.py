"""The stableswap invariant A·n^n·ΣX + D = A·D·n^n + D^(n+1) / (n^n·ΠX), solved as the deployed contracts solve it.

`xp` are balances times rates, all in 18 decimals. `ann` is A·n in the contract's own unit, `precision` the divisor of that unit
(1 in the first pools, 100 since). Newton's method stops when a step changes the value by at most one, at most 255 steps: the
first pools then use what they have, later ones revert.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from operators.pools.words import Reverts, checked_div, u256

_STEPS, _LIMIT = 255, 1 << 256


class Form(NamedTuple):
    """How one generation of contracts writes the invariant.

    `precision`: divisor of A. `guarded`: one is added to each divisor of the product term, which the first pools had against
    division by zero. `must_converge`: reverts where Newton's method does not end.
    """

    precision: int
    guarded: bool = False
    must_converge: bool = True


@lru_cache(maxsize=4096)
def invariant(xp: tuple[int, ...], amp: int, form: Form) -> int:
    """D for these balances; 0 for an empty pool. Raises `Reverts`.

    Remembered: quotes of many sizes from one state share it, and it is half of the work of each.
    """
    n, total = len(xp), sum(xp)
    if total == 0:
        return 0
    precision = form.precision
    ann, d = amp * n, total
    weighted = u256(ann * total) // precision
    guard = 1 if form.guarded else 0
    divisors = [x * n + guard for x in xp]
    if not all(divisors) or ann < precision:
        raise Reverts("division by zero or a number below zero")
    for _ in range(_STEPS):
        d_p = d
        for divisor in divisors:
            product = d_p * d
            if product >= _LIMIT:
                raise Reverts("a number leaves 256 bits")
            d_p = product // divisor
        before = d
        product = (weighted + d_p * n) * d
        below = (ann - precision) * d // precision + (n + 1) * d_p
        if product >= _LIMIT or (ann - precision) * d >= _LIMIT or below <= 0:
            raise Reverts("a number leaves 256 bits")
        d = product // below
        if -1 <= d - before <= 1:
            return d
    if form.must_converge:
        raise Reverts("the invariant does not converge")
    return d


def balance_after(i: int, j: int, x: int, xp: Sequence[int], amp: int, d: int, form: Form) -> int:
    """The balance of coin `j` that keeps `d` when coin `i` is at `x`. Raises `Reverts`."""
    others = [x if k == i else xp[k] for k in range(len(xp)) if k != j]
    return _solve(others, len(xp), amp, d, form)


def balance_at(i: int, xp: Sequence[int], amp: int, d: int, form: Form) -> int:
    """The balance of coin `i` that gives the invariant `d` with the other coins as they are. Raises `Reverts`."""
    return _solve([xp[k] for k in range(len(xp)) if k != i], len(xp), amp, d, form)


def _solve(others: Sequence[int], n: int, amp: int, d: int, form: Form) -> int:
    ann, precision = amp * n, form.precision
    c = d
    for x in others:
        c = checked_div(u256(c * d), x * n)
    c = checked_div(u256(c * d * precision), ann * n)
    b = sum(others) + checked_div(u256(d * precision), ann)
    y, least = d, d - b
    for _ in range(_STEPS):
        before = y
        above, below = y * y + c, 2 * y - least
        if above >= _LIMIT or below <= 0:
            raise Reverts("a number leaves 256 bits")
        y = above // below
        if -1 <= y - before <= 1:
            return y
    if form.must_converge:
        raise Reverts("a balance does not converge")
    return y
