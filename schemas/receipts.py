"""Topic `receipts`: what became of a block's transactions, and the full facts of those that touch our accounts."""

from __future__ import annotations

from schemas.logs import Log
from schemas.record import Part, Sequenced
from schemas.types import Address, Hash, OptionalAddress, Uint, Wide, Word


class Receipt(Part, frozen=True):
    """One transaction's receipt. `status` is 1 or 0; `effective_gas_price` in wei per gas."""

    tx_hash: Hash
    sender: Address
    to: OptionalAddress
    status: Uint
    gas_used: Uint
    effective_gas_price: Wide


class NativeBalance(Part, frozen=True):
    """An account's native balance (wei) right before and right after one transaction."""

    account: Address
    before: Wide
    after: Wide


class WatchedTransaction(Part, frozen=True):
    """A transaction sent by or to one of our accounts: its logs and our native balances around it.

    `native` is None where the node could not trace the transaction; settlement then says so instead of guessing. An account
    that is not in it kept its balance.
    """

    tx_hash: Hash
    logs: tuple[Log, ...]
    native: tuple[NativeBalance, ...] | None


class ReceiptsRecord(Sequenced, frozen=True):
    """The receipts of one block in transaction order."""

    TOPIC = "receipts"

    block_hash: Hash
    receipts: tuple[Receipt, ...]
    watched: tuple[WatchedTransaction, ...]


_TRANSFER: Word = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")

GOLDEN = ReceiptsRecord(
    chain=1, seq=7, part=2, parts=4, block_hash=b"\x05" * 32,
    receipts=(
        Receipt(tx_hash=b"\x01" * 32, sender=b"\x0a" * 20, to=b"\x0b" * 20, status=1, gas_used=151_233,
                effective_gas_price=Wide(10_181_947_666)),
    ),
    watched=(
        WatchedTransaction(
            tx_hash=b"\x01" * 32,
            logs=(Log(address=b"\xc0" * 20, topics=(_TRANSFER, bytes(12) + b"\x06" * 20, bytes(12) + b"\x0a" * 20),
                      data=(10**18).to_bytes(32, "big"), tx_index=0, log_index=0),),
            native=(NativeBalance(account=b"\x0a" * 20, before=Wide(10**19), after=Wide(10**19 - 10**15)),),
        ),
    ),
)  # fmt: skip
