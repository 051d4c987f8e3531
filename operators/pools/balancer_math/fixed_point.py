"""Unsigned 18-decimal fixed point as in Balancer V2's `FixedPoint` and `Math`: every division says which way it rounds.

The contracts multiply in 256 bits and revert beyond; so does this (`Reverts`).
"""

from __future__ import annotations

from enum import Enum

from operators.pools.balancer_math import log_exp
from operators.pools.words import Reverts, u256

ONE = 10**18
#: A power is off by at most this relative error, in 1e-18: 1e-14.
POW_RELATIVE_ERROR = 10_000


class PowVersion(Enum):
    """Which `powUp` and `powDown` a pool was compiled with: the later one squares instead of taking logarithms."""

    V1 = "v1"
    V2 = "v2"


def mul_down(a: int, b: int) -> int:
    """`a * b`, rounded down."""
    return u256(a * b) // ONE


def mul_up(a: int, b: int) -> int:
    """`a * b`, rounded up."""
    return -(-u256(a * b) // ONE)


def div_down(a: int, b: int) -> int:
    """`a / b`, rounded down. Raises `Reverts` for division by zero."""
    return u256(a * ONE) // _nonzero(b)


def div_up(a: int, b: int) -> int:
    """`a / b`, rounded up. Raises `Reverts` for division by zero."""
    return -(-u256(a * ONE) // _nonzero(b))


def complement(x: int) -> int:
    """`1 - x`, and 0 above 1."""
    return ONE - x if x < ONE else 0


def pow_down(x: int, y: int, version: PowVersion) -> int:
    """`x ** y`, never above the true value."""
    if version is PowVersion.V2:
        if y == ONE:
            return x
        if y == 2 * ONE:
            return mul_down(x, x)
        if y == 4 * ONE:
            square = mul_down(x, x)
            return mul_down(square, square)
    raw = log_exp.pow_(x, y)
    return max(raw - _largest_error(raw), 0)


def pow_up(x: int, y: int, version: PowVersion) -> int:
    """`x ** y`, never below the true value."""
    if version is PowVersion.V2:
        if y == ONE:
            return x
        if y == 2 * ONE:
            return mul_up(x, x)
        if y == 4 * ONE:
            square = mul_up(x, x)
            return mul_up(square, square)
    raw = log_exp.pow_(x, y)
    return u256(raw + _largest_error(raw))


def _largest_error(raw: int) -> int:
    return mul_up(raw, POW_RELATIVE_ERROR) + 1


def _nonzero(b: int) -> int:
    if b == 0:
        raise Reverts("division by zero")
    return b
