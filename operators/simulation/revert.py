"""Revert data made readable: `Error(string)`, `Panic(uint256)`, and custom errors by their signatures."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from operators.simulation.hashes import keccak

_REMEMBERED = 1_000
_MAX_NAME = 64
_MAX_DETAIL = 1_000
_ERROR = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
#: Panic codes of the Solidity language.
_PANICS = {
    0x00: "generic panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "bad enum value",
    0x22: "bad storage byte array",
    0x31: "pop of an empty array",
    0x32: "array index out of bounds",
    0x41: "out of memory",
    0x51: "call of an unset function",
}


class RevertReason(NamedTuple):
    """`name` for machines (at most 64 characters), `detail` for people."""

    name: str
    detail: str


class ErrorTable:
    """Custom errors by selector, from signatures such as `ProfitTooLow(uint256,uint256)`."""

    def __init__(self, signatures: Iterable[str] = ()) -> None:
        self._types: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        for signature in signatures:
            name, _, arguments = signature.partition("(")
            types = tuple(part for part in arguments.rstrip(")").split(",") if part)
            self._types[keccak(signature.encode())[:4]] = (name, types)

    def decode(self, output: bytes) -> RevertReason:
        """The reason in revert data. Data that is not what it claims to be is shown as hex, never guessed."""
        if not output:
            return RevertReason("no_reason", "")
        selector, body = output[:4], output[4:]
        name = "unknown_error"
        try:
            if selector == _ERROR:
                name = "Error"
                (text,) = _values(("string",), body)
                return RevertReason(name, text[:_MAX_DETAIL])
            if selector == _PANIC:
                name = "Panic"
                (code,) = _values(("uint256",), body)
                return RevertReason(name, f"0x{code:02x} {_PANICS.get(code, 'unknown code')}")
            if selector in self._types:
                name, types = self._types[selector]
                values = _values(types, body)
                shown = ", ".join(_shown(value) for value in values)
                return RevertReason(name[:_MAX_NAME], f"{name}({shown})"[:_MAX_DETAIL])
        except (DecodingError, UnicodeDecodeError, OverflowError):
            pass
        return RevertReason(name[:_MAX_NAME], f"0x{output.hex()}"[:_MAX_DETAIL])


@lru_cache(_REMEMBERED)
def _values(types: tuple[str, ...], body: bytes) -> tuple[Any, ...]:
    """What is in the body; raises as `decode`. The same contracts refuse the same things for the same reasons, block after block."""
    return decode(types, body)


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
