"""Topic `hints`: what a private order flow tells of a transaction that it does not show."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.logs import Log
from schemas.record import Part, Sequenced
from schemas.types import Hash, Name, OptionalAddress, Uint, Wide

#: The first four bytes of a call's input; empty where they are not told.
Selector = Annotated[bytes, msgspec.Meta(max_length=4, description="4-byte function selector or empty")]


class HintedCall(Part, frozen=True):
    """What is told of one transaction: its recipient, function selector and input, each empty where it is not."""

    to: OptionalAddress
    selector: Selector
    data: bytes


class HintRecord(Sequenced, frozen=True):
    """The only part of a hint event.

    `hash` is the source's name of the transaction or bundle: on MEV-Share the keccak of the transaction's hash (once the plain hash).
    `logs` are those it is expected to emit, in order and numbered from 0; what is not told of one is empty data, or zeros for topics after
    the first. `gas_used` and `gas_price` (wei per gas to the builder) are rounded by the source, 0 where not told.
    """

    TOPIC = "hints"

    hash: Hash
    logs: tuple[Log, ...]
    calls: tuple[HintedCall, ...]
    gas_used: Uint
    gas_price: Wide
    source: Name
    first_seen_ns: Uint


GOLDEN = HintRecord(
    chain=1, seq=9, part=0, parts=1, hash=b"\x1f" * 32,
    logs=(
        Log(address=b"\x06" * 20, topics=(b"\x1c" * 32,), data=(5).to_bytes(32, "big") + (7).to_bytes(32, "big"), tx_index=0, log_index=0),
        Log(address=b"\x07" * 20, topics=(b"\xd7" * 32, bytes(32), bytes(32)), data=b"", tx_index=0, log_index=1),
    ),
    calls=(HintedCall(to=b"\x7a" * 20, selector=b"\x7f\xf3\x6a\xb5", data=b""),), gas_used=150_000, gas_price=Wide(2 * 10**9),
    source="mev_share", first_seen_ns=1_716_461_965_000_000_000,
)  # fmt: skip
