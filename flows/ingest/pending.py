"""The pending transactions' part of the sequencer: taken in, announced with what they would read, forgotten when overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from flows.ingest.desk import Desk
from infra.chain.errors import NodeError
from infra.chain.reads import PackedRead
from infra.chain.sequences import Sequences
from infra.chain.storage import nonces
from infra.chain.tracing import At
from infra.chain.transactions import TransactionRefused, decode_raw
from infra.ingest import metrics
from infra.ingest.block_events import witness_record
from infra.ingest.log_tail import LogTail
from infra.ingest.pending_events import pending_record, pool_content, raw_transactions, trace_pending
from operators.ingest.drafts import Draft
from operators.simulation.packed import pack_states
from schemas.blocks import BlockOp, BlockRecord
from schemas.pending import PendingRecord

T = TypeVar("T")

_PENDING_AT_ONCE = 32


class PendingIntake:
    """Brings pending transactions from the feeds into the log."""

    def __init__(self, desk: Desk) -> None:
        """Does nothing before it is asked to."""
        self._desk = desk
        self._node, self._feeds, self._state, self._book = desk.node, desk.feeds, desk.state, desk.book
        self._config = desk.config
        self._wanted = desk.config.ingest.pending
        self._sequences = Sequences(desk.node)

    def unannounced(self) -> list[PendingRecord]:
        """Pending transactions taken in but not in the log."""
        return self._book.unannounced(self._config.ingest.max_pending)

    async def ask_pool(self) -> None:
        """Take up what the node's pool holds, where some may have been missed."""
        if self._feeds.ask_pool:
            self._feeds.ask_pool = False
            for tx_hash, raw in await pool_content(self._node):
                self._feeds.sight(tx_hash, raw)

    async def drafts(self, hurry: bool) -> tuple[list[Draft], list[PendingRecord]]:
        """The next announcements, and the transactions in them; none where something else is not to wait for them (`hurry`)."""
        if not self._wanted:
            return [], []
        await self._take_sighted()
        tip = self._state.tip
        found = await self._next_pending(hurry)
        return [self._pending_draft(record, read, tip) for record, read in found], [record for record, _ in found]

    def announced(self, records: Sequence[PendingRecord], head: bytes) -> None:
        """The announcements were written, as seen from a block."""
        for record in records:
            self._book.announced(record.hash, head)

    def resume(self, tail: LogTail, carried: Sequence[PendingRecord]) -> None:
        """Take over what the log's tail says, and what an earlier session had taken in but not written."""
        for block in tail.blocks:
            (self._book.mined if block.op is BlockOp.APPLY else self._book.unmined)(block.tx_hashes)
        newest_block_seq = max((b.seq for b in tail.blocks), default=0)
        for record in tail.pending:
            if not self._book.seen(record.hash):
                self._book.add(msgspec.structs.replace(record, refresh=False))
            if record.hash in self._book:
                current = record.seq > newest_block_seq and not self._state.fresh
                self._book.announced(record.hash, self._state.tip.hash if current else b"")
        for record in carried:
            if not self._book.seen(record.hash):
                self._book.add(record)

    async def _take_sighted(self) -> None:
        """Move sighted transactions into the book, decoded; those of which only the hash is known are fetched."""
        taken = [s for s in self._feeds.take_sighted(_PENDING_AT_ONCE) if not self._book.seen(s[0])]
        bare = [tx_hash for tx_hash, raw, _ in taken if raw is None]
        try:
            fetched = dict(zip(bare, await raw_transactions(self._node, bare), strict=True)) if bare else {}
        except NodeError:
            self._feeds.put_back(taken)
            raise
        for tx_hash, raw, seen in taken:
            self._take_in(raw if raw is not None else fetched[tx_hash], seen)

    def _take_in(self, raw: bytes | None, first_seen_ns: int) -> None:
        if raw is None:
            metrics.PENDING_SKIPPED.labels("gone").inc()
            return
        try:
            transaction = decode_raw(raw, self._desk.chain)
        except TransactionRefused as refused:
            metrics.PENDING_SKIPPED.labels(refused.reason.value).inc()
            return
        if transaction.sender == self._config.executor.owner:
            metrics.PENDING_SKIPPED.labels("own").inc()
        elif not self._book.seen(transaction.hash):
            added = self._book.add(pending_record(self._desk.chain, transaction, first_seen_ns))
            if added.evicted:
                metrics.PENDING_EVICTED.inc(added.evicted)
            if added.replaced is not None:
                metrics.PENDING_REPLACED.inc()
            if not added.taken:
                metrics.PENDING_SKIPPED.labels("underpriced").inc()

    async def _next_pending(self, hurry: bool) -> list[tuple[PendingRecord, PackedRead | None]]:
        """The next transactions to announce, new ones first, each with what it reads at the log's head."""
        fresh = self._book.unannounced(_PENDING_AT_ONCE)
        stale = (
            []
            if fresh
            else self._book.stale(self._state.tip.hash, self._config.ingest.refresh_pending)[:_PENDING_AT_ONCE]
        )
        records = fresh or [msgspec.structs.replace(r, refresh=True) for r in stale]
        if not records or hurry:
            return []
        at = At.after(self._desk.head, self._state.interval)
        reads = await self._unless_head(
            trace_pending(self._node, self._desk.reads, records, at, pack_states, self._sequences, self._book.before)
        )
        return [] if reads is None else list(zip(records, reads, strict=True))

    async def _unless_head(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The work's result, or None as soon as a new head arrives: what is computed on the old one is worthless then."""
        task = asyncio.ensure_future(work)
        head = asyncio.ensure_future(self._feeds.head_came.wait())
        try:
            await asyncio.wait((task, head), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for waiting in (task, head):
                if not waiting.done():
                    waiting.cancel()

    def _pending_draft(self, record: PendingRecord, read: PackedRead | None, tip: BlockRecord) -> Draft:
        if read is None:
            return Draft((record,))
        return Draft((record, witness_record(self._desk.chain, tip.number, tip.hash, read)), read.codes)

    async def drop_overtaken(self) -> None:
        """After a restart: forget what was overtaken while nobody looked."""
        senders = self._book.senders()
        for sender, nonce in zip(senders, await nonces(self._node, self._state.tip.hash, senders), strict=True):
            self._book.overtaken(sender, nonce)
