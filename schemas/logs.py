"""Topic `logs`: the pool and factory logs of one block."""

from __future__ import annotations

from schemas.record import Part, Sequenced
from schemas.types import Address, Hash, Uint, Word


class Log(Part, frozen=True):
    """One event log as the chain stores it. `topics` has at most four words; `data` is the raw ABI payload."""

    address: Address
    topics: tuple[Word, ...]
    data: bytes
    tx_index: Uint
    log_index: Uint


class LogsRecord(Sequenced, frozen=True):
    """The logs of one block that a tracked contract emitted, in the block's order."""

    TOPIC = "logs"

    block_hash: Hash
    logs: tuple[Log, ...]


GOLDEN = LogsRecord(
    chain=1, seq=7, part=1, parts=4, block_hash=b"\x05" * 32,
    logs=(
        Log(address=b"\x06" * 20, topics=(b"\x1c" * 32,), data=(5).to_bytes(32, "big") + (7).to_bytes(32, "big"),
            tx_index=3, log_index=11),
    ),
)  # fmt: skip
