"""The sequencer between two readings of the log's tail: one loop that does everything that has an order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from flows.ingest.chain import ChainFollower
from flows.ingest.commands import CommandIntake
from flows.ingest.desk import Desk, own_slots
from flows.ingest.hints import HintIntake
from flows.ingest.ledger import Ledger
from flows.ingest.outcomes import IngestProgress, IngestStopped
from flows.ingest.pending import PendingIntake
from flows.ingest.pools import PoolIntake
from infra.chain import blocks
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, LieReason, NodeError, NodeLied, NodeUnavailable, RpcError
from infra.chain.node import Node
from infra.ingest import metrics
from infra.ingest.call_reads import CallReads
from infra.ingest.feeds import Feeds
from infra.ingest.log_tail import read_log_tail
from infra.kafka.transactional import TransactionalWriter
from infra.runtime.drain import Drain
from infra.runtime.probe import probe_broker
from operators.ingest.log_state import LogState
from operators.ingest.pending_book import PendingBook
from operators.ingest.resume import LogBroken
from schemas.config import Config
from schemas.pending import PendingRecord

log = logging.getLogger("sluice.ingest")

#: How long the loop rests where nothing is to be done, in seconds; also the first wait after a failure.
IDLE_S = 0.1
#: The longest wait after failures, in seconds.
MAX_WAIT_S = 5.0

_REFUSALS_BEFORE_STOP = 5
_PENDING_BYTES = 256 << 20

OnProgress = Callable[[IngestProgress], None] | None


class Session:
    """What it remembers changes only after a commit. After any doubt about one it ends, and the next session reads the log's tail."""

    def __init__(
        self,
        config: Config,
        node: Node,
        feeds: Feeds,
        hints: HintIntake,
        drain: Drain,
        on_progress: OnProgress,
        carried: Sequence[PendingRecord],
    ) -> None:
        """`carried` are pending transactions an earlier session had taken in but not written."""
        self._config = config
        self._chain = config.chain.id
        self._node = node
        self._feeds = feeds
        self._hints = hints
        self._drain = drain
        self._on_progress = on_progress
        self._carried = carried
        ingest, ours = config.ingest, config.executor
        self._state = LogState(ingest.reorg_depth, ours.address, ours.owner, ingest.factories)
        self._book = PendingBook(ingest.max_pending, _PENDING_BYTES)
        self._ledger = Ledger(self._chain, self._state)
        reads = CallReads(node, partial(own_slots, self._state))
        desk = Desk(config, node, reads, feeds, self._state, self._book, self._ledger)
        self._pools = PoolIntake(desk)
        self._blocks = ChainFollower(desk, self._pools, self._report, drain.is_set)
        self._pending = PendingIntake(desk)
        self._commands = CommandIntake(config.kafka, self._chain)
        self._caught_up = False
        self._refusals = 0

    @property
    def committed(self) -> bool:
        """Whether it has written anything."""
        return self._ledger.committed

    def unannounced(self) -> list[PendingRecord]:
        """Pending transactions taken in but not in the log."""
        return self._pending.unannounced()

    # ---------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Until drained. Raises `KafkaLayerError` when the log has to be read again."""
        try:
            await self._open()
            wait_s = IDLE_S
            while not self._drain.is_set():
                self._check_feeds()
                seen = self._feeds.newest
                try:
                    busy = await self._step()
                    self._refusals, wait_s = 0, IDLE_S
                except HeadMoved as error:
                    log.info("the head moved: %s", error)
                    self._feeds.ask_head = True
                    await asyncio.sleep(0.02)
                    continue
                except NodeUnavailable as error:
                    log.warning("node: %s; trying again in %.1f s", error, wait_s)
                    self._feeds.ask_head = True
                    await self._rest(wait_s, seen)
                    wait_s = min(MAX_WAIT_S, 2 * wait_s)
                    continue
                except (NodeLied, RpcError) as error:
                    await self._on_refusal(error)
                    continue
                self._report()
                if not busy:
                    await self._idle()
        finally:
            self._pools.close()
            await self._commands.close()
            await self._ledger.close()

    def _check_feeds(self) -> None:
        self._feeds.ask_if_silent()
        self._hints.check()
        try:
            self._feeds.check()
        except RpcError as error:
            raise IngestStopped(f"the node gives no feed of new heads: {error}") from None

    async def _rest(self, seconds: float, seen: Header | None) -> None:
        """Wait, but no longer than until there is another head than the one that was `seen`: not every request fails, and blocks come first."""
        end = time.monotonic() + seconds
        while not self._drain.is_set() and (left := end - time.monotonic()) > 0:
            newest = self._feeds.newest
            if newest is not None and (seen is None or newest.hash != seen.hash):
                return
            await asyncio.sleep(min(left, IDLE_S))

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self._feeds.wake.wait()

    async def _on_refusal(self, error: NodeLied | RpcError) -> None:
        """One wrong answer may be a race with a reorg or a passing failure; the same node wrong again and again is not."""
        self._refusals += 1
        reason = error.reason if isinstance(error, NodeLied) else None
        if reason is not None:
            metrics.NODE_LIES.labels(reason.value).inc()
        if reason is LieReason.WRONG_CHAIN or self._refusals >= _REFUSALS_BEFORE_STOP:
            what = (
                "the node's answers cannot be true"
                if reason
                else "the node refuses what the sequencer cannot do without"
            )
            raise IngestStopped(f"{what}: {error}. Nothing of it was written; use another node")
        log.warning("node: %s", error)
        self._feeds.ask_head = True
        await pause(self._drain, IDLE_S * 2**self._refusals)

    async def _step(self) -> bool:
        """Do the most urgent thing; False when there is none. Blocks first: everything else is said relative to the head."""
        feeds = self._feeds
        feeds.wake.clear()
        if self._state.fresh:
            await self._blocks.begin()
            return True
        if feeds.ask_head:
            await self._ask_head()
        feeds.head_came.clear()
        if feeds.newest is not None and await self._blocks.advance(feeds.newest):
            return True
        if not self._caught_up:
            await self._pending.drop_overtaken()
            self._caught_up = True
        # A little of each in turn: a search of years of blocks keeps neither pools nor transactions waiting.
        found = await self._pools.search()
        admitted = await self._pools.admit_waiting()
        await self._pending.ask_pool()
        told = await self._sequence_hints()
        if await self._sequence_waiting() or told or found or admitted:
            return True
        return await self._pools.try_untraced_again() or await self._pools.try_tokens_again()

    async def _ask_head(self) -> None:
        feeds = self._feeds
        feeds.ask_head = False
        announced = feeds.newest
        try:
            header = await blocks.head(self._node)
        except NodeError:
            feeds.ask_head = True
            raise
        # A head that the feed announced meanwhile is newer than an answer that was under way: it must not be overwritten.
        if feeds.newest is announced:
            feeds.announce(header)

    async def _sequence_hints(self) -> bool:
        """Write some hints that wait. A group of their own: they need nothing of the node, and do not wait for what does."""
        drafts, hints = self._hints.drafts()
        if drafts:
            await self._ledger.commit(drafts)
            self._hints.written(hints)
        return bool(drafts)

    async def _sequence_waiting(self) -> bool:
        """Write what waits besides blocks as one group: all commands, then some pending transactions. False when there is nothing."""
        commands = self._commands.drafts()
        suspensions = self._pools.suspensions(commands)
        tip = self._state.tip.hash
        drafts, records = await self._pending.drafts(bool(commands))
        if commands or drafts:
            await self._ledger.commit([*commands, *suspensions, *drafts])
            self._pending.announced(records, tip)
        if commands:
            self._pools.obeyed(commands, suspensions)
            await self._commands.written()
        return bool(commands or drafts)

    # ---------------------------------------------------------------- start

    async def _open(self) -> None:
        """Take over the log, and read where it ends."""
        kafka = self._config.kafka
        await asyncio.to_thread(probe_broker, kafka)
        name = f"{kafka.topic_prefix}ingest.{self._chain}"
        self._ledger.open(await asyncio.to_thread(TransactionalWriter, kafka, name))
        tail = await asyncio.to_thread(read_log_tail, kafka, self._chain, self._config.ingest.max_pending)
        try:
            self._state.resume(tail.next_seq, tail.blocks, tail.pools)
            self._pools.resume(tail)
        except LogBroken as error:
            raise IngestStopped(f"the log of chain {self._chain} cannot be continued: {error}") from None
        self._pending.resume(tail, self._carried)
        self._hints.resume(tail)
        await self._commands.open(tail)
        self._feeds.ask_head = True
        self._feeds.ask_pool = self._config.ingest.pending
        if not self._state.fresh:
            log.info("resuming after seq %d, block %d", tail.next_seq - 1, self._state.tip.number)

    # ---------------------------------------------------------------- what it tells

    def _report(self) -> None:
        if self._state.fresh:
            return
        tip, newest = self._state.tip.number, self._feeds.newest
        lag = max(0, newest.number - tip) if newest is not None else 0
        progress = IngestProgress(
            block=tip,
            lag=lag,
            pending=len(self._book),
            pools=len(self._state.pools),
            next_seq=self._state.next_seq,
            waiting=len(self._state.to_admit),
            discovered=self._pools.discovered,
        )
        for gauge, value in (
            (metrics.HEAD, tip),
            (metrics.LAG, lag),
            (metrics.PENDING, progress.pending),
            (metrics.POOLS, progress.pools),
            (metrics.POOLS_WAITING, progress.waiting),
            (metrics.NODE_REQUESTS, self._node.requests),
        ):
            gauge.labels(str(self._chain)).set(value)
        if self._on_progress is not None:
            self._on_progress(progress)


async def pause(drain: Drain, seconds: float) -> None:
    """Wait, but no longer than until drained."""
    await asyncio.to_thread(drain.wait, seconds)
