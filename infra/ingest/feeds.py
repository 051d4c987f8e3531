"""The node's two live feeds, as state the sequencer looks at when it has time. Everything arriving is stamped with our clock here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from infra.chain.answers import HeaderAnswer
from infra.chain.blocks import Header, decode_header
from infra.chain.errors import LieReason, NodeLied, RpcError
from infra.chain.subscription import Subscription
from infra.ingest import metrics
from infra.ingest.pending_events import hash_and_raw
from schemas.config import ChainConfig

log = logging.getLogger("sluice.ingest")

_HEADS_KEPT = 256


class Feeds:
    """New heads and pending transactions of one node. `wake` is set whenever something came in."""

    def __init__(self, chain: ChainConfig, *, pending: bool, max_waiting: int) -> None:
        self._chain = chain
        self._max_waiting = max_waiting
        self.wake = asyncio.Event()
        self.head_came = asyncio.Event()
        #: The newest announced head, None until one came.
        self.newest: Header | None = None
        #: Whether heads may have been missed, so that the node has to be asked.
        self.ask_head = True
        #: Whether pending transactions may have been missed.
        self.ask_pool = pending
        self._head_heard = time.monotonic()
        self._first_seen: OrderedDict[bytes, int] = OrderedDict()
        self._sighted: OrderedDict[bytes, tuple[bytes | None, int]] = OrderedDict()
        self.heads = self._subscription(("newHeads",), self._on_head, self._on_head_gap)
        self._subscriptions = [self.heads]
        if pending:
            # Full objects where the node has them (geth, reth, anvil), else hashes.
            self.transactions = self._subscription(
                ("newPendingTransactions", True), self._on_pending, self._on_pending_gap, ("newPendingTransactions",)
            )
            self._subscriptions.append(self.transactions)
        self._tasks: list[asyncio.Task[None]] = []

    def _subscription(
        self,
        best: tuple[object, ...],
        on_item: Callable[[msgspec.Raw], None],
        on_gap: Callable[[], None],
        *others: tuple[object, ...],
    ) -> Subscription:
        return Subscription(
            self._chain.ws_url,
            (best, *others),
            silent_after_s=self._chain.silent_after_s,
            on_item=on_item,
            on_gap=on_gap,
        )

    # ---------------------------------------------------------------- life

    def start(self) -> None:
        """Begin to follow."""
        self._tasks = [asyncio.create_task(s.run()) for s in self._subscriptions]

    async def stop(self) -> None:
        """Leave the node."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what ended a feed. A node without a feed of pending transactions is served all the same."""
        for task in list(self._tasks):
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if isinstance(error, RpcError) and task is not self._tasks[0]:
                log.warning("the node has no feed of pending transactions (%s): going on without", error)
                self._tasks.remove(task)
            elif error is not None:
                raise error

    # ---------------------------------------------------------------- heads

    def _on_head(self, item: msgspec.Raw) -> None:
        try:
            header = decode_header(msgspec.json.decode(item, type=HeaderAnswer))
        except (msgspec.MsgspecError, UnicodeDecodeError, NodeLied) as error:
            # A head that cannot be read is a head missed.
            metrics.NODE_LIES.labels(LieReason.MALFORMED.value).inc()
            log.warning("unreadable head: %s", error)
            self._on_head_gap()
            return
        self.announce(header)

    def ask_if_silent(self) -> None:
        """Ask for the head when none came for too long, whatever the subscription thinks: its node may refuse connections altogether."""
        if time.monotonic() - self._head_heard > self._chain.silent_after_s:
            self._head_heard = time.monotonic()
            self.ask_head = True

    def announce(self, header: Header) -> None:
        """Note a head, however it was heard of."""
        self.first_seen(header.hash)
        self._head_heard = time.monotonic()
        self.newest = header
        self.head_came.set()
        self.wake.set()

    def first_seen(self, block_hash: bytes) -> int:
        """When we first heard of the block: unix nanoseconds of this machine's clock; now, if never before."""
        seen = self._first_seen.setdefault(block_hash, time.time_ns())
        while len(self._first_seen) > _HEADS_KEPT:
            self._first_seen.popitem(last=False)
        return seen

    def _on_head_gap(self) -> None:
        self.ask_head = True
        self.head_came.set()
        self.wake.set()

    # ---------------------------------------------------------------- pending transactions

    def _on_pending(self, item: msgspec.Raw) -> None:
        try:
            tx_hash, raw = hash_and_raw(item)
        except NodeLied as error:
            metrics.PENDING_SKIPPED.labels(error.reason.value).inc()
            return
        self.sight(tx_hash, raw)

    def sight(self, tx_hash: bytes, raw: bytes | None) -> None:
        """Note a pending transaction. When too many wait, the one seen first is dropped: it waited longest and is worth least."""
        self._sighted.setdefault(tx_hash, (raw, time.time_ns()))
        while len(self._sighted) > self._max_waiting:
            self._sighted.popitem(last=False)
            metrics.PENDING_SKIPPED.labels("queue_full").inc()
        self.wake.set()

    def take_sighted(self, limit: int) -> list[tuple[bytes, bytes | None, int]]:
        """Up to `limit` sighted transactions, first seen first: hash, raw bytes if known, first seen in unix nanoseconds."""
        out: list[tuple[bytes, bytes | None, int]] = []
        while self._sighted and len(out) < limit:
            tx_hash, (raw, seen) = self._sighted.popitem(last=False)
            out.append((tx_hash, raw, seen))
        return out

    def put_back(self, taken: list[tuple[bytes, bytes | None, int]]) -> None:
        """Undo `take_sighted`."""
        for tx_hash, raw, seen in reversed(taken):
            self._sighted[tx_hash] = (raw, seen)
            self._sighted.move_to_end(tx_hash, last=False)

    def _on_pending_gap(self) -> None:
        self.ask_pool = True
        self.wake.set()
