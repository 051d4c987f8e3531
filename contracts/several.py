"""Several of the executor's calls as one: calldata of `executeAll`."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.executor import EXECUTE_ROUTE_SELECTOR, EXECUTE_SELECTOR
from contracts.hops import EncodingError, EncodingReason

#: executeAll(bytes[])
EXECUTE_ALL_SELECTOR = bytes.fromhex("48dbc562")
#: Fewer are a call of their own; more than this no block has room for.
MIN_CALLS, MAX_CALLS = 2, 32

_WORD = 32
_SELECTORS = (EXECUTE_SELECTOR, EXECUTE_ROUTE_SELECTOR)


def encode_all(calls: Sequence[bytes]) -> bytes:
    """Calldata of the executor's `executeAll`: calls of `encode_execute`, carried out in this order or not at all.

    Raises EncodingError (`call_count`, `malformed`).
    """
    if not MIN_CALLS <= len(calls) <= MAX_CALLS:
        raise EncodingError(
            EncodingReason.CALL_COUNT, f"{MIN_CALLS} to {MAX_CALLS} calls go together, not {len(calls)}"
        )
    for index, call in enumerate(calls):
        if call[:4] not in _SELECTORS:
            raise EncodingError(EncodingReason.MALFORMED, f"call {index}: selector 0x{call[:4].hex()} is no cycle's")
    offsets, tails, at = [], [], len(calls) * _WORD
    for call in calls:
        tail = _uint(len(call)) + call + bytes(-len(call) % _WORD)
        offsets.append(_uint(at))
        tails.append(tail)
        at += len(tail)
    return b"".join((EXECUTE_ALL_SELECTOR, _uint(_WORD), _uint(len(calls)), *offsets, *tails))


def decode_all(data: bytes) -> tuple[bytes, ...]:
    """The inverse of `encode_all`; raises EncodingError for anything it would not have written."""
    if data[:4] != EXECUTE_ALL_SELECTOR:
        raise EncodingError(EncodingReason.MALFORMED, f"selector 0x{data[:4].hex()} is not executeAll's")
    body = data[4 + 2 * _WORD :]
    count = int.from_bytes(data[4 + _WORD : 4 + 2 * _WORD], "big")
    # Bounded before it is believed; what else may be wrong shows when it is written again.
    starts = [_word(body, at) for at in range(0, min(count, MAX_CALLS) * _WORD, _WORD)]
    calls = tuple(body[start + _WORD : start + _WORD + _word(body, start)] for start in starts)
    if encode_all(calls) != data:
        raise EncodingError(EncodingReason.MALFORMED, "calldata is not in the one form encode_all writes")
    return calls


def _uint(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + _WORD], "big")
