"""The transactions known to be pending: each hash once, one for each nonce of a sender, bounded, forgotten when mined or overtaken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from operators.replacement import outbids
from schemas.pending import PendingRecord

#: Hashes of mined transactions remembered so that a late announcement is not taken for a new transaction.
MINED_KEPT = 16_384
#: Most transactions of one sender that another is looked at behind.
SEQUENCE = 8


@dataclass
class _Entry:
    record: PendingRecord
    announced_at: bytes | None = None


class Added(NamedTuple):
    """What came of taking a transaction in: whether it is in (not where another of its nonce is that it does not outbid), the hash that
    it took the place of, and how many were evicted for it."""

    taken: bool
    replaced: bytes | None = None
    evicted: int = 0


_TAKEN = Added(True)


class PendingBook:
    """Ordered by first sight. When full, by number or by bytes, the oldest first-seen entry is evicted: the one likeliest dead."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        """`max_bytes` bounds the raw transactions held."""
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        #: Those of them that are not announced yet, in their order.
        self._unannounced: OrderedDict[bytes, PendingRecord] = OrderedDict()
        self._by_sender: dict[bytes, dict[int, bytes]] = {}
        self._mined: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._entries

    def seen(self, tx_hash: bytes) -> bool:
        """Whether an announcement of this hash says nothing new: it is pending here already, or mined."""
        return tx_hash in self._entries or tx_hash in self._mined

    def add(self, record: PendingRecord, announced_at: bytes | None = None) -> Added:
        """Take a transaction in. `announced_at` is the block hash of its witness if it was announced."""
        if record.hash in self._entries:
            return _TAKEN
        rival = self._by_sender.get(record.sender, {}).get(record.nonce)
        if rival is not None:
            if not outbids(record, self._entries[rival].record):
                return Added(False)
            self._forget(rival)
        self._entries[record.hash] = _Entry(record, announced_at)
        if announced_at is None:
            self._unannounced[record.hash] = record
        self._by_sender.setdefault(record.sender, {})[record.nonce] = record.hash
        self._bytes += len(record.raw)
        evicted = 0
        while len(self._entries) > self._max_count or (self._bytes > self._max_bytes and len(self._entries) > 1):
            self._forget(next(iter(self._entries)))
            evicted += 1
        return Added(True, rival, evicted) if evicted or rival is not None else _TAKEN

    def announced(self, tx_hash: bytes, block_hash: bytes) -> None:
        """Note that the transaction was written to the log with the state after this block."""
        if tx_hash in self._entries:
            self._entries[tx_hash].announced_at = block_hash
            self._unannounced.pop(tx_hash, None)

    def unannounced(self, limit: int) -> list[PendingRecord]:
        """Transactions never written to the log, oldest first."""
        return list(islice(self._unannounced.values(), limit))

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

    def before(self, record: PendingRecord, nonce: int) -> list[PendingRecord]:
        """The sender's transactions from its account's `nonce` up to this one's, in order; none where one is not known, or more are needed
        than `SEQUENCE`."""
        mine = self._by_sender.get(record.sender, {})
        wanted = range(nonce, record.nonce)
        if len(wanted) > SEQUENCE or any(each not in mine for each in wanted):
            return []
        return [self._entries[mine[each]].record for each in wanted]

    def mined(self, tx_hashes: Iterable[bytes]) -> None:
        """Forget transactions that a block holds, and remember that they were."""
        for tx_hash in tx_hashes:
            if tx_hash in self._entries:
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
        old = [tx_hash for known, tx_hash in self._by_sender.get(sender, {}).items() if known < nonce]
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
        self._unannounced.pop(tx_hash, None)
        self._bytes -= len(entry.record.raw)
        same = self._by_sender[entry.record.sender]
        del same[entry.record.nonce]
        if not same:
            del self._by_sender[entry.record.sender]
