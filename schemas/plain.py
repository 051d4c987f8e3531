"""Plain data (bytes, integers of any width, strings, tuples of them) as bytes: how a pool's state travels in a record.

MessagePack, which ends at 64 bits; wider integers are an extension of two's complement bytes, shortest form.
"""

from __future__ import annotations

from typing import Any

import msgspec

_WIDE = 1
_LOW, _HIGH = -(1 << 63), 1 << 64
#: Tuples within tuples, at most. How deep a reader can go must not depend on how deep it is called.
_DEPTH = 16


def pack_plain(plain: tuple[Any, ...]) -> bytes:
    """The one form of this data. Raises `TypeError` for anything that is no plain data, or nested too deep."""
    return msgspec.msgpack.encode(_narrow(plain, _DEPTH))


def unpack_plain(data: bytes) -> tuple[Any, ...]:
    """Inverse of `pack_plain`. Raises `ValueError` for anything `pack_plain` would not have written."""
    try:
        value = _decoder.decode(data)
        plain: tuple[Any, ...] = _tuples(value, _DEPTH)
        if pack_plain(plain) == data:
            return plain
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"not plain data: {error}") from None
    raise ValueError("not plain data in its one form")


def _narrow(value: Any, room: int) -> Any:
    kind = type(value)
    if kind is tuple:
        if not room:
            raise TypeError(f"tuples nested more than {_DEPTH} deep are no plain data")
        return [_narrow(entry, room - 1) for entry in value]
    if kind is int and not _LOW <= value < _HIGH:
        return msgspec.msgpack.Ext(_WIDE, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind in (int, bytes, str):
        return value
    raise TypeError(f"{kind.__name__} is no plain data")


def _tuples(value: Any, room: int) -> Any:
    if type(value) is not list:
        return value
    if not room:
        raise ValueError(f"nested more than {_DEPTH} deep")
    return tuple([_tuples(entry, room - 1) for entry in value])


def _widen(code: int, data: memoryview) -> int:
    if code != _WIDE:
        raise ValueError(f"extension {code} is no plain data")
    return int.from_bytes(data, "big", signed=True)


_decoder = msgspec.msgpack.Decoder(list[Any], ext_hook=_widen)
