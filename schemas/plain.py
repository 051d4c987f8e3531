"""Plain data (bytes, integers of any width, strings, tuples of them) as bytes: how a pool's state travels in a record.

MessagePack, which ends at 64 bits; wider integers are an extension of two's complement bytes, shortest form.
"""

from __future__ import annotations

from typing import Any

import msgspec

_WIDE = 1
_LOW, _HIGH = -(1 << 63), 1 << 64
#: Tuples within tuples, at most. Looked at before anything is decoded: a decoder goes as deep as the bytes say and the interpreter's limit
#: allows, which is a crash of the process where some library has raised that limit.
_DEPTH = 16

#: By the first byte of a value: the bytes of its size field, and the bytes that follow besides what that says.
_FORMS = {
    **{0xC4 + k: (1 << k, 0) for k in range(3)},  # bytes
    **{0xC7 + k: (1 << k, 1) for k in range(3)},  # an extension and its code
    **{0xCC + k: (0, 1 << k) for k in range(4)},  # unsigned integers
    **{0xD0 + k: (0, 1 << k) for k in range(4)},  # signed ones
    **{0xD4 + k: (0, 1 + (1 << k)) for k in range(5)},  # an extension of fixed size
    **{0xD9 + k: (1 << k, 0) for k in range(3)},  # strings
}


def pack_plain(plain: tuple[Any, ...]) -> bytes:
    """The one form of this data. Raises `TypeError` for anything that is no plain data, or nested too deep."""
    return msgspec.msgpack.encode(_narrow(plain, _DEPTH))


def unpack_plain(data: bytes) -> tuple[Any, ...]:
    """Inverse of `pack_plain`. Raises `ValueError` for anything `pack_plain` would not have written."""
    try:
        _check_form(data)
        plain: tuple[Any, ...] = _tuples(_decoder.decode(data))
        if pack_plain(plain) == data:
            return plain
    except (msgspec.DecodeError, ValueError, TypeError) as error:
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


def _check_form(data: bytes) -> None:
    """Walk over the values, without a stack of calls. Raises `ValueError` for other kinds than plain data has, and for too deep ones."""
    waiting, at = [1], 0
    while waiting:
        if not waiting[-1]:
            waiting.pop()
            continue
        waiting[-1] -= 1
        if at >= len(data):
            raise ValueError("cut off")
        first = data[at]
        at += 1
        if first <= 0x7F or first >= 0xE0:
            continue
        if 0xA0 <= first <= 0xBF:
            at += first & 0x1F
        elif 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
            width = {0xDC: 2, 0xDD: 4}.get(first, 0)
            waiting.append(int.from_bytes(data[at : at + width], "big") if width else first & 0x0F)
            at += width
            if len(waiting) > _DEPTH + 1:
                raise ValueError(f"nested more than {_DEPTH} deep")
        elif first in _FORMS:
            width, fixed = _FORMS[first]
            at += width + fixed + int.from_bytes(data[at : at + width], "big")
        else:
            raise ValueError(f"a value that begins with {first:#04x}")


def _tuples(value: Any) -> Any:
    return tuple([_tuples(entry) for entry in value]) if type(value) is list else value


def _widen(code: int, data: memoryview) -> int:
    if code != _WIDE:
        raise ValueError(f"extension {code} is no plain data")
    return int.from_bytes(data, "big", signed=True)


_decoder = msgspec.msgpack.Decoder(list[Any], ext_hook=_widen)
