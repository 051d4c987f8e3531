"""256-bit words: where a contract with checked arithmetic reverts, so do these."""

from __future__ import annotations

_LIMIT = 1 << 256


class Reverts(ArithmeticError):
    """The contract would revert at this point; the message says where."""


def u256(value: int) -> int:
    """The value if it fits an unsigned 256-bit word. Raises `Reverts`."""
    if 0 <= value < _LIMIT:
        return value
    raise Reverts("a number leaves 256 bits")


def checked_div(a: int, b: int) -> int:
    """Division rounded down, of numbers that are not negative. Raises `Reverts` for division by zero."""
    if b == 0:
        raise Reverts("division by zero")
    return a // b
