"""The field types of records: fixed-width bytes, bounded integers, and integers too wide for a machine word."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec

#: A 20-byte account or contract address.
Address = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20, description="20-byte address")]
#: An address, or empty bytes where the chain has none (the `to` of a contract creation).
OptionalAddress = Annotated[bytes, msgspec.Meta(max_length=20, description="20-byte address or empty")]
#: A 32-byte hash: block, transaction, code, record id.
Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32, description="32-byte hash")]
#: A hash, or empty bytes where there is none.
OptionalHash = Annotated[bytes, msgspec.Meta(max_length=32, description="32-byte hash or empty")]
#: A 32-byte big-endian machine word: storage key, storage value, log topic, balance.
Word = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32, description="32-byte big-endian word")]
#: An integer that fits a signed 64-bit word and is never negative: heights, gas, timestamps, sequence numbers.
Uint = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: A short machine-readable name, such as a refusal reason.
Name = Annotated[str, msgspec.Meta(max_length=64)]
#: A sentence for people.
Text = Annotated[str, msgspec.Meta(max_length=2000)]

#: Numbers that are not made anew each time they are read: a block's gas prices are few.
_REMEMBERED = 4096

ZERO_ADDRESS = bytes(20)
ZERO_HASH = bytes(32)


class Wide(int):
    """An unsigned integer below 2**256 (wei, token base units). On the wire: its big-endian bytes, shortest form.

    msgpack has no integers above 64 bits; a distinct type lets the codec write them as bytes and lets the type
    checker refuse a plain `int` where the wire needs this form.
    """

    __slots__ = ()


class Signed(int):
    """A signed integer of up to 256 bits (profits, balance changes). On the wire: two's complement, shortest form."""

    __slots__ = ()


def wide_to_bytes(value: int) -> bytes:
    """Shortest big-endian form; zero is the empty string. Raises `OverflowError` outside [0, 2**256)."""
    bits = value.bit_length()
    if bits > 256 or value < 0:
        raise OverflowError(f"{value} does not fit an unsigned 256-bit integer")
    return value.to_bytes((bits + 7) // 8, "big")


@lru_cache(_REMEMBERED)
def wide_from_bytes(data: bytes) -> Wide:
    """Inverse of `wide_to_bytes`. Raises `ValueError` on over-long or non-shortest input."""
    if len(data) > 32 or data[:1] == b"\0":
        raise ValueError("not a shortest-form unsigned integer of at most 32 bytes")
    return Wide(int.from_bytes(data, "big"))


def signed_to_bytes(value: int) -> bytes:
    """Shortest two's complement form; zero is the empty string."""
    if not -(1 << 255) <= value < 1 << 255:
        raise OverflowError(f"{value} does not fit a signed 256-bit integer")
    if value == 0:
        return b""
    bits = value.bit_length() if value > 0 else (-value - 1).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def signed_from_bytes(data: bytes) -> Signed:
    """Inverse of `signed_to_bytes`. Raises `ValueError` on over-long or non-shortest input."""
    value = int.from_bytes(data, "big", signed=True)
    if len(data) > 32 or signed_to_bytes(value) != data:
        raise ValueError("not a shortest-form signed integer of at most 32 bytes")
    return Signed(value)
