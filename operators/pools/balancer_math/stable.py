"""Swaps along the stable invariant: `StableMath` of Balancer V2. Amounts and balances with 18 decimals.

`amp` is A * n^(n-1) with three decimals. Two versions of the invariant were deployed: the first rounds each step in a given
direction (swaps ask for up), the second always down, which converges to a value that may differ by a few units.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

from operators.pools.words import Reverts, checked_div, u256

AMP_PRECISION = 1000
_ROUNDS, _LIMIT = 255, 1 << 256


class InvariantVersion(Enum):
    """Which `_calculateInvariant` a pool was compiled with."""

    ROUNDED = "rounded"
    DOWN = "down"


@lru_cache(maxsize=4096)
def swap_invariant(amp: int, balances: tuple[int, ...], version: InvariantVersion) -> int:
    """The invariant that a swap starts from. Raises `Reverts`.

    Remembered: quotes of many sizes from one state share it, and it is half of the work of each.
    """
    if version is InvariantVersion.DOWN:
        return invariant_down(amp, balances)
    return invariant_rounded(amp, balances, round_up=True)


def invariant_rounded(amp: int, balances: Sequence[int], *, round_up: bool) -> int:
    """The invariant of the first version. Raises `Reverts` where it does not converge."""
    divide, opposite = (_up, checked_div) if round_up else (checked_div, _up)
    n, total = len(balances), sum(balances)
    if total == 0:
        return 0
    amp_n = amp * n
    invariant = total
    for _ in range(_ROUNDS):
        p_d = balances[0] * n
        for balance in balances[1:]:
            p_d = divide(u256(p_d * balance * n), invariant)
        before = invariant
        invariant = divide(
            u256(n * invariant * invariant + divide(u256(amp_n * total * p_d), AMP_PRECISION)),
            u256((n + 1) * invariant + opposite(u256((amp_n - AMP_PRECISION) * p_d), AMP_PRECISION)),
        )
        if abs(invariant - before) <= 1:
            return invariant
    raise Reverts("the invariant does not converge")


def invariant_down(amp: int, balances: Sequence[int]) -> int:
    """The invariant of the second version. Raises `Reverts` where it does not converge."""
    n, total = len(balances), sum(balances)
    if total == 0:
        return 0
    amp_n = amp * n
    invariant = total
    divisors, weighted = [balance * n for balance in balances], amp_n * total // AMP_PRECISION
    if not all(divisors):
        raise Reverts("division by zero")
    for _ in range(_ROUNDS):
        d_p = invariant
        for divisor in divisors:
            product = d_p * invariant
            if product >= _LIMIT:
                raise Reverts("a number leaves 256 bits")
            d_p = product // divisor
        before = invariant
        product, steep = (weighted + d_p * n) * invariant, (amp_n - AMP_PRECISION) * invariant
        if product >= _LIMIT or not 0 <= steep < _LIMIT:
            raise Reverts("a number leaves 256 bits")
        invariant = checked_div(product, steep // AMP_PRECISION + (n + 1) * d_p)
        if -1 <= invariant - before <= 1:
            return invariant
    raise Reverts("the invariant does not converge")


def out_given_in(
    amp: int, balances: Sequence[int], index_in: int, index_out: int, amount_in: int, invariant: int
) -> int:
    """What `amount_in` takes out, one unit less than the exact solution."""
    after = _with(balances, index_in, u256(balances[index_in] + amount_in))
    return u256(balances[index_out] - balance_given_invariant(amp, after, invariant, index_out) - 1)


def in_given_out(
    amp: int, balances: Sequence[int], index_in: int, index_out: int, amount_out: int, invariant: int
) -> int:
    """What `amount_out` costs, one unit more than the exact solution."""
    after = _with(balances, index_out, u256(balances[index_out] - amount_out))
    return u256(balance_given_invariant(amp, after, invariant, index_in) - balances[index_in] + 1)


def balance_given_invariant(amp: int, balances: Sequence[int], invariant: int, index: int) -> int:
    """The balance of one token that the invariant and the other balances imply, rounded up."""
    n = len(balances)
    amp_n = amp * n
    total, p_d = balances[0], balances[0] * n
    for balance in balances[1:]:
        p_d = checked_div(u256(u256(p_d * balance) * n), invariant)
        total += balance
    total -= balances[index]
    squared = u256(invariant * invariant)
    c = u256(_up(squared, u256(amp_n * p_d)) * AMP_PRECISION * balances[index])
    b = total + invariant // amp_n * AMP_PRECISION
    balance, least = _up(u256(squared + c), invariant + b), invariant - b
    for _ in range(_ROUNDS):
        before = balance
        above, below = balance * balance + c, 2 * balance - least
        if above >= _LIMIT or below <= 0:
            raise Reverts("a number leaves 256 bits")
        balance = -(-above // below)
        if -1 <= balance - before <= 1:
            return balance
    raise Reverts("the balance does not converge")


def _with(balances: Sequence[int], index: int, value: int) -> list[int]:
    changed = list(balances)
    changed[index] = value
    return changed


def _up(a: int, b: int) -> int:
    if b == 0:
        raise Reverts("division by zero")
    return -(-a // b)
