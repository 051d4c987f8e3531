"""Plain data of states with several coins: canonical bytes for digests, and the check of its shape."""

from __future__ import annotations

from operators.pools.base import BadState, Plain
from operators.pools.curve_math.ramp import Ramp

_WIDTH = 32


def canonical(plain: Plain) -> bytes:
    """Bytes that are equal exactly for equal plain data. Integers are unsigned words, everything carries its length."""
    return b"".join(_canonical(value) for value in plain)


def _canonical(value: object) -> bytes:
    if isinstance(value, int):
        return b"i" + value.to_bytes(_WIDTH, "big")
    if isinstance(value, tuple):
        return b"t" + len(value).to_bytes(4, "big") + canonical(value)
    raw = value.encode() if isinstance(value, str) else value
    assert isinstance(raw, bytes)
    return b"b" + len(raw).to_bytes(4, "big") + raw


def check_words(family: str, **fields: tuple[int, ...]) -> None:
    """Check that every integer is an unsigned 256-bit word. Raises `BadState` naming the field."""
    for name, values in fields.items():
        for value in values:
            if type(value) is not int or not 0 <= value < 1 << 256:
                raise BadState(f"{family}: {name} {value!r} is not an unsigned 256-bit integer")


def check_ramp(family: str, ramp: tuple[int, ...], least: int = 1) -> None:
    """Check that an amplification is one, at least `least` at both ends. Raises `BadState`."""
    if len(ramp) != 4 or not all(type(value) is int for value in ramp) or not Ramp(*ramp).is_one(least):
        raise BadState(
            f"{family}: ramp {ramp} is not (initial, future, start, end) of an amplification of {least} or more"
        )


def check_tokens(family: str, address: bytes, tokens: tuple[bytes, ...], at_most: int) -> None:
    """Check the address of a pool and its tokens. Raises `BadState`."""
    if len(address) != 20 or any(type(token) is not bytes or len(token) != 20 for token in tokens):
        raise BadState(f"{family}: addresses have 20 bytes")
    if not 2 <= len(tokens) <= at_most:
        raise BadState(f"{family}: pool 0x{address.hex()} has {len(tokens)} tokens, not 2 to {at_most}")
    if not all(any(token) for token in tokens):
        raise BadState(f"{family}: pool 0x{address.hex()} has a token at the zero address")
    if len(set(tokens)) != len(tokens):
        raise BadState(f"{family}: pool 0x{address.hex()} has the same token twice")


def check_lengths(family: str, expected: int, **fields: tuple[object, ...]) -> None:
    """Check that each field has one entry a token. Raises `BadState` naming the field."""
    for name, values in fields.items():
        if len(values) != expected:
            raise BadState(f"{family}: {name} has {len(values)} entries for {expected} tokens")
