"""Hints as records: from an event of a MEV-Share stream to what it tells."""

from __future__ import annotations

import msgspec

from infra.chain import hexes
from infra.chain.errors import LieReason, NodeLied
from schemas.hints import HintedCall, HintRecord
from schemas.logs import Log
from schemas.types import Wide

SOURCE = "mev_share"
#: More topics than a log can have are no log.
_MAX_TOPICS = 4


class _LogHint(msgspec.Struct):
    address: str
    topics: list[str] = []
    data: str | None = None


class _CallHint(msgspec.Struct, rename="camel"):
    to: str | None = None
    function_selector: str | None = None
    call_data: str | None = None


class _Hint(msgspec.Struct, rename="camel"):
    """Each of these may be null or absent but the hash; newer streams add fields, which are passed over."""

    hash: str
    logs: list[_LogHint] | None = None
    txs: list[_CallHint] | None = None
    gas_used: str | int | None = None
    mev_gas_price: str | int | None = None


_decoder = msgspec.json.Decoder(_Hint)


def hint_record(chain: int, data: bytes, first_seen_ns: int) -> HintRecord:
    """An event's data as an unstamped record. Raises `NodeLied(malformed)`."""
    try:
        hint = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NodeLied(LieReason.MALFORMED, f"hint: {error}") from None
    return HintRecord(
        chain=chain,
        seq=0,
        part=0,
        parts=0,
        hash=hexes.hash32(hint.hash),
        logs=tuple(_log(told, index) for index, told in enumerate(hint.logs or ())),
        calls=tuple(_call(told) for told in hint.txs or ()),
        gas_used=hexes.quantity(hint.gas_used, bits=63),
        gas_price=Wide(hexes.quantity(hint.mev_gas_price)),
        source=SOURCE,
        first_seen_ns=first_seen_ns,
    )


def _log(told: _LogHint, index: int) -> Log:
    if len(told.topics) > _MAX_TOPICS:
        raise NodeLied(LieReason.MALFORMED, f"hint: a log with {len(told.topics)} topics")
    topics = tuple(hexes.hash32(topic) for topic in told.topics)
    return Log(hexes.address(told.address), topics, hexes.data(told.data or "0x"), 0, index)


def _call(told: _CallHint) -> HintedCall:
    selector = hexes.data(told.function_selector or "0x")
    if len(selector) not in (0, 4):
        raise NodeLied(LieReason.MALFORMED, f"hint: a function selector of {len(selector)} bytes")
    return HintedCall(hexes.optional_address(told.to), selector, hexes.data(told.call_data or "0x"))
