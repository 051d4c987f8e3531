"""Hex as JSON-RPC writes it, checked. Every error is a `NodeLied(malformed)` naming the value's beginning."""

from __future__ import annotations

from binascii import a2b_hex
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import TypeVar, cast

from infra.chain.errors import LieReason, NodeLied

#: What a quantity may have at most to fit the records' signed 64-bit words.
UINT_BITS = 63

Int = TypeVar("Int", bound=int)


def _malformed(what: str, value: object) -> NodeLied:
    return NodeLied(LieReason.MALFORMED, f"expected {what}, got {str(value)[:80]!r}")


def data(value: str) -> bytes:
    """`0x`-prefixed bytes of any length."""
    if value[:2] != "0x":
        raise _malformed("0x-prefixed bytes", value)
    try:
        return a2b_hex(value[2:])
    except ValueError:
        raise _malformed("0x-prefixed bytes", value) from None


def _of_size(size: int) -> Callable[[str], bytes]:
    def fixed(value: str) -> bytes:
        try:
            out = a2b_hex(value[2:])
        except ValueError:
            out = b""
        if len(out) != size or value[:2] != "0x":
            raise _malformed(f"{size} bytes", value)
        return out

    return fixed


#: `0x`-prefixed bytes of exactly one size: a 20-byte address, and a 32-byte hash or word in full width. A block has thousands of them.
address, hash32 = _of_size(20), _of_size(32)


def _all_of_size(size: int) -> Callable[[Sequence[str]], list[bytes]]:
    one, width = _of_size(size), 2 * size + 2

    def all_fixed(values: Sequence[str]) -> list[bytes]:
        joined, count = "".join(values), len(values)
        if len(joined) == width * count and joined[::width].count("0") == count == joined[1::width].count("x"):
            # The prefixes are in their places, and so is each value: else one had an x among its digits, or an odd number of them.
            with suppress(ValueError):
                return [a2b_hex(value[2:]) for value in values]
        return [one(value) for value in values]

    return all_fixed


#: `address` and `hash32` of each: their form is checked for all at once, and one by one only where something is wrong with it.
addresses, hashes32 = _all_of_size(20), _all_of_size(32)


def optional_address(value: str | None) -> bytes:
    """A 20-byte address, empty where there is none (contract creation)."""
    return address(value) if value else b""


def optional_addresses(values: Sequence[str | None]) -> list[bytes]:
    """`optional_address` of each."""
    return addresses(cast("Sequence[str]", values)) if all(values) else [optional_address(value) for value in values]


def quantity(value: str | int | None, bits: int = 256) -> int:
    """A non-negative integer below 2**bits; nodes write hex strings, a few tracers write numbers; absent is 0."""
    if isinstance(value, str):
        try:
            number = int(value, 16) if value[:2] == "0x" else -1
        except ValueError:
            number = -1
    else:
        number = value or 0
    if number >> bits:  # what is negative keeps its sign
        raise _malformed(f"an unsigned {bits}-bit quantity", value)
    return number


def uint(value: str | int | None) -> int:
    """A quantity that fits the records' signed 64-bit words."""
    return quantity(value, UINT_BITS)


def quantities(values: Sequence[str], bits: int, kind: type[Int]) -> list[Int]:
    """`quantity` of each as integers of this kind, checked as in `addresses`."""
    # A comma in one of them, which would mislead the count, is no digit.
    if ("," + ",".join(values)).count(",0x") == len(values):
        with suppress(ValueError):
            numbers = list(map(kind, values, repeat(16)))
            # None is negative, and so none is larger than their sum.
            if not sum(numbers) >> bits:
                return numbers
    return [kind(quantity(value, bits)) for value in values]


def word(value: str) -> bytes:
    """A 32-byte big-endian word; some nodes strip its leading zeros."""
    if len(value) == 66:
        return hash32(value)
    return quantity(value).to_bytes(32, "big") if value not in ("", "0x") else bytes(32)


def show(value: bytes) -> str:
    """0x-hex, for messages and requests."""
    return "0x" + value.hex()


def show_int(value: int) -> str:
    """A quantity for requests."""
    return hex(value)
