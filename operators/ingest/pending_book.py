"""The transactions known to be pending: each hash once, bounded, forgotten when mined or overtaken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.pending import PendingRecord

#: Hashes of mined transactions remembered so that a late announcement is not taken for a new transaction.
MINED_KEPT = 16_384


@dataclass
class _Entry:
    record: PendingRecord
    announced_at: bytes | None = None


class PendingBook:
    """Ordered by first sight. When full, by number or by bytes, the oldest first-seen entry is evicted: the one likeliest dead."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        """`max_bytes` bounds the raw transactions held."""
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._by_sender: dict[bytes, set[bytes]] = {}
        self._mined: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._entries

    def seen(self, tx_hash: bytes) -> bool:
        """Whether an announcement of this hash says nothing new: it is pending here already, or mined."""
        return tx_hash in self._entries or tx_hash in self._mined

    def add(self, record: PendingRecord, announced_at: bytes | None = None) -> int:
        """Take a transaction in, and say how many were evicted for it. `announced_at` is the block hash of its witness if it was announced."""
        if record.hash in self._entries:
            return 0
        self._entries[record.hash] = _Entry(record, announced_at)
        self._by_sender.setdefault(record.sender, set()).add(record.hash)
        self._bytes += len(record.raw)
        evicted = 0
        while len(self._entries) > self._max_count or (self._bytes > self._max_bytes and len(self._entries) > 1):
            self._forget(next(iter(self._entries)))
            evicted += 1
        return evicted

    def announced(self, tx_hash: bytes, block_hash: bytes) -> None:
        """Note that the transaction was written to the log with the state after this block."""
        if tx_hash in self._entries:
            self._entries[tx_hash].announced_at = block_hash

    def unannounced(self, limit: int) -> list[PendingRecord]:
        """Transactions never written to the log, oldest first."""
        out: list[PendingRecord] = []
        for entry in self._entries.values():
            if entry.announced_at is None:
                out.append(entry.record)
                if len(out) == limit:
                    break
        return out

    def stale(self, head: bytes, newest: int) -> list[PendingRecord]:
        """Of the `newest` entries those written at another head, oldest first: to be announced again."""
        out: list[PendingRecord] = []
        for _, entry in zip(range(newest), reversed(self._entries.values()), strict=False):
            if entry.announced_at is not None and entry.announced_at != head:
                out.append(entry.record)
        return out[::-1]

    def senders_among(self, senders: Iterable[bytes]) -> list[bytes]:
        """Those of the given accounts that have something pending, sorted."""
        return sorted({sender for sender in senders if sender in self._by_sender})

    def mined(self, tx_hashes: Iterable[bytes]) -> None:
        """Forget transactions that a block holds, and remember that they were."""
        for tx_hash in tx_hashes:
            self._forget(tx_hash)
            self._mined[tx_hash] = None
        while len(self._mined) > MINED_KEPT:
            self._mined.popitem(last=False)

    def unmined(self, tx_hashes: Iterable[bytes]) -> None:
        """The block that held these was reverted: they may be pending again."""
        for tx_hash in tx_hashes:
            self._mined.pop(tx_hash, None)

    def overtaken(self, sender: bytes, nonce: int) -> int:
        """Forget the sender's transactions below its account's nonce, and say how many: another one was mined in their place."""
        old = [h for h in self._by_sender.get(sender, ()) if self._entries[h].record.nonce < nonce]
        for tx_hash in old:
            self._forget(tx_hash)
        return len(old)

    def forget(self, tx_hash: bytes) -> None:
        """Drop one entry, if it is there."""
        self._forget(tx_hash)

    def senders(self) -> list[bytes]:
        """All accounts with something pending, sorted."""
        return sorted(self._by_sender)

    def _forget(self, tx_hash: bytes) -> None:
        entry = self._entries.pop(tx_hash, None)
        if entry is None:
            return
        self._bytes -= len(entry.record.raw)
        same = self._by_sender[entry.record.sender]
        same.discard(tx_hash)
        if not same:
            del self._by_sender[entry.record.sender]
