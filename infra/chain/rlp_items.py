"""RLP (yellow paper, appendix B) of byte strings and lists of them, read and written as the library `rlp` does it, in a third of its time: a
transaction is read and written several times before it is in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_STRING, _LIST = 0x80, 0xC0
#: Payloads from this length on have their length written out.
_LONG = 56
#: Lists in lists that are followed: transactions have four (authorizations and access lists), and who sends more wants us to run out of stack.
_DEEPEST = 32


class NotRlp(ValueError):
    """Bytes that are no RLP, or not in its one form."""


# ---------------------------------------------------------------- written


def encode(item: Any) -> bytes:
    """The RLP form of bytes, or of a sequence of such items."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(len(item), _STRING) + item
    return encode_list(item)


def encode_list(items: Sequence[Any]) -> bytes:
    """The RLP form of a list."""
    return list_of(b"".join([encode(item) for item in items]))


def list_of(payload: bytes) -> bytes:
    """The list whose items, each in its RLP form, are these."""
    return _prefix(len(payload), _LIST) + payload


def _prefix(length: int, offset: int) -> bytes:
    if length < _LONG:
        return bytes((offset + length,))
    size = (length.bit_length() + 7) // 8
    return bytes((offset + _LONG - 1 + size,)) + length.to_bytes(size, "big")


# ---------------------------------------------------------------- read


def decode(data: bytes) -> Any:
    """The item that the bytes are: bytes, or a list of items. Raises `NotRlp`, also for lists in more lists than a transaction has."""
    try:
        item, end = _item(data, 0, len(data), _DEEPEST)
    except IndexError:
        raise NotRlp("too short") from None
    if end != len(data):
        raise NotRlp(f"{len(data) - end} bytes follow")
    return item


def _item(data: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    """The item at a place and where the next one is, all of it before `end` and with at most so many lists in each other."""
    first = data[at]
    if first < _STRING:
        return data[at : at + 1], at + 1
    kind = _STRING if first < _LIST else _LIST
    start, stop = _payload(data, at + 1, first - kind)
    if stop > end:
        raise NotRlp(f"{stop - end} bytes are missing")
    if kind == _STRING:
        if stop == start + 1 and data[start] < _STRING:
            raise NotRlp("a single byte with a length")
        return data[start:stop], stop
    if not depth:
        raise NotRlp("too many lists in lists")
    items = []
    while start < stop:
        item, start = _item(data, start, stop, depth - 1)
        items.append(item)
    return items, stop


def _payload(data: bytes, at: int, told: int) -> tuple[int, int]:
    """Where a payload begins and ends, by what its first byte said of its length."""
    if told < _LONG:
        return at, at + told
    start = at + told - _LONG + 1
    length = int.from_bytes(data[at:start], "big")
    if data[at] == 0 or length < _LONG:
        raise NotRlp("a length that is not in its shortest form")
    return start, start + length
