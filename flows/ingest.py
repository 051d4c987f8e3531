"""The ingest flow, the sequencer: from a node's feeds to one order of events per chain, written in Kafka transactions.

One loop does everything that has an order: it advances the chain, admits pools, sequences commands and announces pending transactions, and
changes what it remembers only after a commit. After any doubt about a commit it forgets everything and reads the log's tail, which is
also how it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from infra.chain import blocks, hexes
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, LieReason, NodeError, NodeLied, NodeUnavailable, RpcError
from infra.chain.keccak import check_backends
from infra.chain.needs import Holders, trace_own
from infra.chain.node import Node
from infra.chain.prestate import State
from infra.chain.storage import nonces
from infra.chain.tracing import At
from infra.chain.transactions import TransactionRefused, decode_raw
from infra.chain.v2_pairs import all_pairs, created_pairs
from infra.ingest import metrics
from infra.ingest.block_events import Watch, block_records, gather_block, gather_start, revert_record, witness_record
from infra.ingest.command_reader import CommandReader
from infra.ingest.feeds import Feeds
from infra.ingest.log_tail import LogTail, read_log_tail
from infra.ingest.pending_events import pending_record, pool_content, raw_transactions, trace_pending
from infra.ingest.pool_events import Admission, Admitter, PoolRefusal
from infra.kafka.errors import Fenced, KafkaLayerError
from infra.kafka.transactional import TransactionalWriter
from infra.runtime.drain import Drain
from infra.runtime.probe import probe_broker
from operators.ingest.commands import CommandFilter, already_sequenced
from operators.ingest.drafts import Draft, stamp, without_witness
from operators.ingest.head_tracker import Advance, Broken, Link, NeedHeaders, Stale, TooDeep
from operators.ingest.log_state import OURSELVES, LogState
from operators.ingest.pending_book import PendingBook
from operators.ingest.resume import LogBroken
from schemas.blocks import BlockOp, BlockRecord
from schemas.codec import BadRecord
from schemas.config import Config, ConfigError, load_config
from schemas.control import CommandRecord, ControlRecord
from schemas.event import kind_of
from schemas.pending import PendingRecord
from schemas.pools import PoolOp, PoolRecord
from schemas.topics import topic

log = logging.getLogger("sluice.ingest")

T = TypeVar("T")

#: Exit codes of `main`: wrong arguments or configuration; another sequencer took over; the chain, the node or the log cannot be followed.
EXIT_USAGE = 2
EXIT_FENCED = 3
EXIT_STOPPED = 4

_IDLE_S = 0.1
_MAX_WAIT_S = 5.0
_REFUSALS_BEFORE_STOP = 5
_POOLS_AT_ONCE = 32
_PENDING_AT_ONCE = 32
_PENDING_BYTES = 256 << 20
#: Blocks whose headers are fetched at once while catching up.
_CATCH_UP = 64


class IngestStopped(Exception):
    """The sequencer cannot go on and says why; nothing half-done is in the log."""


@dataclass(frozen=True)
class IngestProgress:
    """Where the sequencer is: newest block in the log, how many blocks the node is ahead, transactions pending, pools tracked, next seq."""

    block: int
    lag: int
    pending: int
    pools: int
    next_seq: int


def run_ingest(config: Config, drain: Drain, *, on_progress: Callable[[IngestProgress], None] | None = None) -> None:
    """Run the sequencer of `config.chain` until drained.

    Raises `Fenced` when another sequencer of the chain takes over, `IngestStopped` when it cannot go on. A node or broker that is away
    is waited for.
    """
    check_backends()
    # One line per request would drown everything else, and the node's address in it may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_run(config, drain, on_progress))


async def _run(config: Config, drain: Drain, on_progress: Callable[[IngestProgress], None] | None) -> None:
    feeds = Feeds(config.chain, pending=config.ingest.pending, max_waiting=config.ingest.max_pending)
    async with Node(config.chain.http_url, config.chain.request_timeout_s) as node:
        feeds.start()
        carried: list[PendingRecord] = []
        wait_s = _IDLE_S
        try:
            while not drain.is_set():
                session = Session(config, node, feeds, drain, on_progress, carried)
                try:
                    await session.run()
                except Fenced:
                    raise
                except KafkaLayerError as error:
                    log.error("Kafka: %s; trying again in %.1f s", error, wait_s)
                    carried = session.unannounced()
                    wait_s = _IDLE_S if session.committed else min(_MAX_WAIT_S, 2 * wait_s)
                    await _pause(drain, wait_s)
        finally:
            await feeds.stop()


async def _pause(drain: Drain, seconds: float) -> None:
    await asyncio.to_thread(drain.wait, seconds)


class Session:
    """The sequencer between two readings of the log's tail."""

    def __init__(
        self,
        config: Config,
        node: Node,
        feeds: Feeds,
        drain: Drain,
        on_progress: Callable[[IngestProgress], None] | None,
        carried: Sequence[PendingRecord],
    ) -> None:
        """`carried` are pending transactions an earlier session had taken in but not written."""
        self._config = config
        self._chain = config.chain.id
        self._node = node
        self._feeds = feeds
        self._drain = drain
        self._on_progress = on_progress
        self._carried = carried
        self._owner, self._executor = config.executor.owner, config.executor.address
        self._factories = config.ingest.factories
        self._state = LogState(config.ingest.reorg_depth, self._executor, self._owner)
        self._book = PendingBook(config.ingest.max_pending, _PENDING_BYTES)
        self._filter = CommandFilter()
        self._admitter = Admitter(node, self._chain, self._factories, self._owner, self._executor)
        self._writer: TransactionalWriter | None = None
        self._commands: CommandReader | None = None
        self._command_backlog: list[CommandRecord] = []
        self._introduced = False
        self._discovered = False
        self._refusals = 0
        self.committed = False

    def unannounced(self) -> list[PendingRecord]:
        """Pending transactions taken in but not in the log."""
        return self._book.unannounced(self._config.ingest.max_pending)

    # ---------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Until drained. Raises `KafkaLayerError` when the log has to be read again."""
        try:
            await self._open()
            wait_s = _IDLE_S
            while not self._drain.is_set():
                self._check_feeds()
                try:
                    busy = await self._step()
                    self._refusals, wait_s = 0, _IDLE_S
                except HeadMoved as error:
                    log.info("the head moved: %s", error)
                    self._feeds.ask_head = True
                    await asyncio.sleep(0.02)
                    continue
                except NodeUnavailable as error:
                    log.warning("node: %s; trying again in %.1f s", error, wait_s)
                    self._feeds.ask_head = True
                    await _pause(self._drain, wait_s)
                    wait_s = min(_MAX_WAIT_S, 2 * wait_s)
                    continue
                except (NodeLied, RpcError) as error:
                    await self._on_refusal(error)
                    continue
                self._report()
                if not busy:
                    await self._idle()
        finally:
            for client in (self._commands, self._writer):
                if client is not None:
                    await asyncio.to_thread(client.close)

    def _check_feeds(self) -> None:
        self._feeds.ask_if_silent()
        try:
            self._feeds.check()
        except RpcError as error:
            raise IngestStopped(f"the node gives no feed of new heads: {error}") from None

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._feeds.wake.wait(), _IDLE_S)

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
        await _pause(self._drain, _IDLE_S * 2**self._refusals)

    async def _step(self) -> bool:
        """Do the most urgent thing; False when there is none. Blocks first: everything else is said relative to the head."""
        feeds = self._feeds
        feeds.wake.clear()
        if self._state.fresh:
            await self._begin()
            return True
        if feeds.ask_head:
            await self._ask_head()
        feeds.head_came.clear()
        if feeds.newest is not None and await self._advance(feeds.newest):
            return True
        if not self._discovered:
            await self._discover()
            return True
        if self._state.to_admit:
            await self._admit_waiting()
            return True
        if feeds.ask_pool:
            feeds.ask_pool = False
            for tx_hash, raw in await pool_content(self._node):
                feeds.sight(tx_hash, raw)
        return await self._sequence_waiting()

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

    # ---------------------------------------------------------------- start

    async def _open(self) -> None:
        """Take over the log, and read where it ends."""
        kafka = self._config.kafka
        await asyncio.to_thread(probe_broker, kafka)
        name = f"{kafka.topic_prefix}ingest.{self._chain}"
        self._writer = await asyncio.to_thread(TransactionalWriter, kafka, name)
        tail = await asyncio.to_thread(read_log_tail, kafka, self._chain, self._config.ingest.max_pending)
        try:
            self._state.resume(tail.next_seq, tail.blocks, tail.pools)
        except LogBroken as error:
            raise IngestStopped(f"the log of chain {self._chain} cannot be continued: {error}") from None
        self._resume_pending(tail)
        self._commands = await asyncio.to_thread(CommandReader, kafka, self._chain)
        backlog = await asyncio.to_thread(self._commands.backlog)
        for record in tail.control:
            self._filter.take(record)
        done = already_sequenced([r.id for r in tail.control], [c.id for c in backlog])
        self._command_backlog = backlog[done:]
        self._feeds.ask_head = True
        self._feeds.ask_pool = self._config.ingest.pending
        if not self._state.fresh:
            log.info("resuming after seq %d, block %d", tail.next_seq - 1, self._state.tip.number)

    def _resume_pending(self, tail: LogTail) -> None:
        for block in tail.blocks:
            (self._book.mined if block.op is BlockOp.APPLY else self._book.unmined)(block.tx_hashes)
        newest_block_seq = max((b.seq for b in tail.blocks), default=0)
        for record in tail.pending:
            if not self._book.seen(record.hash):
                self._book.add(msgspec.structs.replace(record, refresh=False))
            if record.hash in self._book:
                current = record.seq > newest_block_seq and not self._state.fresh
                self._book.announced(record.hash, self._state.tip.hash if current else b"")
        for record in self._carried:
            if not self._book.seen(record.hash):
                self._book.add(record)

    async def _check_chain(self) -> None:
        chain = hexes.quantity(await self._node.call(str, "eth_chainId"))
        if chain != self._chain:
            raise NodeLied(LieReason.WRONG_CHAIN, f"the node is on chain {chain}, the configuration says {self._chain}")

    async def _begin(self) -> None:
        """The first event of a log: the block it starts with, with the state of our own accounts."""
        await self._check_chain()
        wanted = self._config.ingest.start_block
        at = await blocks.head(self._node) if wanted is None else await blocks.header_by_number(self._node, wanted)
        if at is None:
            raise IngestStopped(f"ingest.start_block is {wanted}, which the node does not have yet")
        header = await blocks.header_by_hash(self._node, at.hash)
        await self._know_ourselves(header)
        facts = await gather_start(self._node, header, self._watch(header))
        records = block_records(self._chain, facts, frozenset(), self._feeds.first_seen(header.hash))
        await self._commit([Draft(records, facts.state.codes)])
        self._applied(records[0])

    async def _know_ourselves(self, header: Header) -> None:
        """Find out what our own calls of the anchor token read, so that it is kept fresh."""
        who = Holders(self._executor, self._owner, header.miner)
        needs = {self._owner: frozenset[bytes](), self._executor: frozenset((bytes(32),))}
        found = await trace_own(self._node, self._config.chain.anchor, who, At.after(header))
        if isinstance(found, RpcError):
            log.warning("the node does not trace (%s): the anchor token's state is not kept", found)
        else:
            needs |= {account: keys | needs.get(account, frozenset()) for account, keys in found.items()}
        self._state.tracked.put(OURSELVES, needs)

    def _watch(self, header: Header) -> Watch:
        named = self._state.tracked.known_slots
        ours = {self._owner, self._executor, *self._own_accounts()}
        return Watch(
            owner=self._owner,
            executor=self._executor,
            log_sources=self._log_sources(),
            tracked=self._state.tracked.accounts,
            named=named,
            # Once per session: what is tracked of ourselves depends on the configuration, which may have changed.
            whole={} if self._introduced else {a: named(a) for a in sorted(ours)},
        )

    def _own_accounts(self) -> frozenset[bytes]:
        return self._state.tracked.accounts_of(OURSELVES)

    def _log_sources(self) -> Set[bytes]:
        return self._state.log_sources | {f.address for f in self._factories}

    # ---------------------------------------------------------------- blocks

    async def _advance(self, newest: Header) -> bool:
        """Bring the log to a new head of the node; False when it is there. Raises `HeadMoved` to be called with a newer one."""
        plan = await self._plan(newest)
        if isinstance(plan, Stale):
            return await self._retreat(_link(newest))
        reverts = [self._state.block(link) for link in plan.revert]
        for link in plan.apply:
            await self._apply(link, reverts)
            reverts = []
            self._report()
            if self._drain.is_set():
                break
        return True

    async def _retreat(self, end: Link) -> bool:
        """Take off what is above the node's head, if the node has forgotten it (a rolled-back development node, a restored one).

        A node that is merely behind still knows the log's head, or will: then there is nothing to do.
        """
        above = self._state.tracker.above(end)
        if not above:
            return False
        with contextlib.suppress(HeadMoved):
            await blocks.header_by_hash(self._node, above[0].hash)
            return False
        if await blocks.header_by_number(self._node, end.number + 1) is not None:
            raise HeadMoved(f"block {end.number} is not the node's head any more")
        now = time.time_ns()
        reverts = [self._state.block(link) for link in above]
        await self._commit([Draft((revert_record(old, now),)) for old in reverts])
        for old in reverts:
            self._reverted(old)
        return True

    async def _plan(self, newest: Header) -> Advance | Stale:
        tracker = self._state.tracker
        branch = [newest]
        while True:
            plan = tracker.plan([_link(h) for h in branch])
            if isinstance(plan, Advance | Stale):
                return plan
            if isinstance(plan, Broken):
                raise HeadMoved(f"the headers around block {plan.number} do not link")
            if isinstance(plan, TooDeep):
                raise IngestStopped(
                    f"the node's chain leaves the log's below block {plan.floor} (the log's head is {plan.tip}): a reorg deeper than "
                    f"{self._config.ingest.reorg_depth} blocks or than the log is long, or a node of another chain. Nothing was written; check the node, or start "
                    "a new log with another kafka.topic_prefix"
                )
            assert isinstance(plan, NeedHeaders)
            if plan.last - plan.first >= _CATCH_UP:
                # Far behind: go on in steps, each to a canonical block in between.
                branch = await blocks.headers_by_number(self._node, plan.first, plan.first + _CATCH_UP - 1)
            else:
                branch = await blocks.headers_by_number(self._node, plan.first, plan.last) + branch

    async def _apply(self, link: Link, reverts: Sequence[BlockRecord]) -> None:
        """Write the reverts, one block, and the pools created in it, as one transaction."""
        header = await blocks.header_by_hash(self._node, link.hash)
        if _link(header) != link:
            raise NodeLied(LieReason.PARENT_MISMATCH, f"block {header.number} told two parents")
        if not self._introduced:
            await self._check_chain()
            await self._know_ourselves(header)
        seen = self._feeds.first_seen(link.hash)
        facts = await gather_block(self._node, header, self._watch(header))
        records = block_records(self._chain, facts, self._log_sources(), seen)
        drafts = [Draft((revert_record(old, seen),)) for old in reverts]
        drafts.append(Draft(records, facts.state.codes))
        every_log = [entry for mined in facts.mined for entry in mined.logs]
        created = list(dict.fromkeys(created_pairs(every_log, self._factories)))
        # Right behind the block that creates them; in a pool's life its first swap is the best one.
        admissions = await self._admissions(created, header, self._state.interval)
        drafts += [self._pool_draft(a, header) for a in admissions]
        await self._commit(drafts)
        for old in reverts:
            self._reverted(old)
        self._applied(records[0])
        self._admitted(admissions)
        await self._forget_overtaken(header, sorted({m.receipt.sender for m in facts.mined}))

    def _applied(self, block: object) -> None:
        assert isinstance(block, BlockRecord)
        self._introduced = True
        self._state.applied(block)
        self._book.mined(block.tx_hashes)

    def _reverted(self, block: BlockRecord) -> None:
        metrics.REVERTS.labels(str(self._chain)).inc()
        self._state.reverted(block)
        self._book.unmined(block.tx_hashes)
        if self._config.ingest.pending:
            # What the node takes back into its pool is pending again; what it does not know any more is dropped when asked for.
            for tx_hash in block.tx_hashes:
                self._feeds.sight(tx_hash, None)

    async def _forget_overtaken(self, header: Header, senders: list[bytes]) -> None:
        waiting = self._book.senders_among(senders)
        try:
            for sender, nonce in zip(waiting, await nonces(self._node, header.hash, waiting), strict=True):
                self._book.overtaken(sender, nonce)
        except HeadMoved:
            # The block went again; the next one that holds anything of these senders settles it.
            log.debug("block %d went before its senders' nonces were read", header.number)

    # ---------------------------------------------------------------- pools

    async def _discover(self) -> None:
        """Find the pools that exist already: configured ones, and all of the factories'."""
        at = self._state.tip.hash
        self._state.discover(self._config.ingest.pools)
        for factory in self._factories:
            self._state.discover(await all_pairs(self._node, factory.address, at))
        await self._drop_dead_pending()
        self._discovered = True

    async def _admit_waiting(self) -> None:
        header = _header_of(self._state.tip)
        addresses = list(self._state.to_admit)[:_POOLS_AT_ONCE]
        admissions = await self._admissions(addresses, header, self._state.interval)
        await self._commit([self._pool_draft(a, header) for a in admissions])
        self._admitted(admissions)

    async def _admissions(self, addresses: Sequence[bytes], header: Header, interval: int) -> list[Admission]:
        if not addresses:
            return []
        return [self._judged(a) for a in await self._admitter.admit(addresses, header, interval)]

    def _judged(self, admission: Admission) -> Admission:
        """A pool of the log that is no pair any more went with its reverted block."""
        old = self._state.pools.get(admission.record.address)
        if old is None or admission.record.refusal != PoolRefusal.NOT_A_PAIR or old.refusal == PoolRefusal.NOT_A_PAIR:
            return admission
        gone = msgspec.structs.replace(
            old,
            op=PoolOp.SUSPEND,
            block_number=admission.record.block_number,
            refusal="gone",
            detail="the block that created it was reverted",
        )
        return Admission(gone, None, {})

    def _pool_draft(self, admission: Admission, header: Header) -> Draft:
        if admission.state is None:
            return Draft((admission.record,))
        witness = witness_record(self._chain, header.number, header.hash, admission.state)
        return Draft((admission.record, witness), admission.state.codes)

    def _admitted(self, admissions: Sequence[Admission]) -> None:
        for admission in admissions:
            record: PoolRecord = admission.record
            self._state.admitted(record)
            if record.refusal:
                metrics.POOLS_REFUSED.labels(record.refusal).inc()

    # ---------------------------------------------------------------- commands and pending transactions

    async def _sequence_waiting(self) -> bool:
        """Write what waits besides blocks as one group: all commands, then some pending transactions. False when there is nothing."""
        drafts = self._command_drafts()
        commands = len(drafts)
        announced: list[tuple[PendingRecord, State | None]] = []
        if self._config.ingest.pending:
            await self._take_sighted()
            announced = await self._next_pending(bool(drafts))
        tip = self._state.tip
        drafts += [self._pending_draft(record, state, tip) for record, state in announced]
        if drafts:
            await self._commit(drafts)
            for record, _ in announced:
                self._book.announced(record.hash, tip.hash)
        if commands and self._commands is not None:
            await asyncio.to_thread(self._commands.done)
        return bool(drafts)

    def _command_drafts(self) -> list[Draft]:
        assert self._commands is not None
        waiting = self._command_backlog + self._commands.waiting()
        self._command_backlog = []
        now = time.time_ns()
        return [Draft((_control_record(c, now),)) for c in waiting if self._filter.take(c)]

    async def _take_sighted(self) -> None:
        """Move sighted transactions into the book, decoded; those of which only the hash is known are fetched."""
        taken = [s for s in self._feeds.take_sighted(_PENDING_AT_ONCE) if not self._book.seen(s[0])]
        bare = [tx_hash for tx_hash, raw, _ in taken if raw is None]
        try:
            fetched = dict(zip(bare, await raw_transactions(self._node, bare), strict=True))
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
            transaction = decode_raw(raw, self._chain)
        except TransactionRefused as refused:
            metrics.PENDING_SKIPPED.labels(refused.reason.value).inc()
            return
        if transaction.sender == self._owner:
            metrics.PENDING_SKIPPED.labels("own").inc()
        elif not self._book.seen(transaction.hash):
            metrics.PENDING_EVICTED.inc(self._book.add(pending_record(self._chain, transaction, first_seen_ns)))

    async def _next_pending(self, hurry: bool) -> list[tuple[PendingRecord, State | None]]:
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
        at = At.after(_header_of(self._state.tip), self._state.interval)
        states = await self._unless_head(trace_pending(self._node, records, at))
        return [] if states is None else list(zip(records, states, strict=True))

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

    def _pending_draft(self, record: PendingRecord, state: State | None, tip: BlockRecord) -> Draft:
        if state is None:
            return Draft((record,))
        return Draft((record, witness_record(self._chain, tip.number, tip.hash, state)), state.codes)

    async def _drop_dead_pending(self) -> None:
        """After a restart: forget what was overtaken while nobody looked."""
        senders = self._book.senders()
        for sender, nonce in zip(senders, await nonces(self._node, self._state.tip.hash, senders), strict=True):
            self._book.overtaken(sender, nonce)

    # ---------------------------------------------------------------- writing

    async def _commit(self, drafts: Sequence[Draft]) -> None:
        """Write events as one transaction, and only then count them."""
        assert self._writer is not None
        stamped = stamp(drafts, self._state.next_seq, self._state.published)
        try:
            await asyncio.to_thread(self._writer.commit, stamped.records)
        except BadRecord:
            fitting = [d for d in map(_fitting, drafts) if d is not None]
            stamped = stamp(fitting, self._state.next_seq, self._state.published)
            if stamped.records:
                await asyncio.to_thread(self._writer.commit, stamped.records)
        self.committed = True
        self._state.next_seq = stamped.next_seq
        self._state.publish(stamped.published)
        for draft in drafts:
            metrics.EVENTS.labels(str(self._chain), kind_of(draft.records[0]).value).inc()

    def _report(self) -> None:
        if self._state.fresh:
            return
        tip, newest = self._state.tip.number, self._feeds.newest
        lag = max(0, newest.number - tip) if newest is not None else 0
        progress = IngestProgress(tip, lag, len(self._book), len(self._state.pools), self._state.next_seq)
        for gauge, value in (
            (metrics.HEAD, tip),
            (metrics.LAG, lag),
            (metrics.PENDING, progress.pending),
            (metrics.POOLS, progress.pools),
        ):
            gauge.labels(str(self._chain)).set(value)
        if self._on_progress is not None:
            self._on_progress(progress)


def _link(header: Header) -> Link:
    return Link(header.number, header.hash, header.parent_hash)


def _header_of(block: BlockRecord) -> Header:
    """A block record as the header it came from."""
    return Header(
        block.number,
        block.hash,
        block.parent_hash,
        block.timestamp,
        block.base_fee,
        block.gas_limit,
        block.gas_used,
        block.miner,
        block.prevrandao,
        block.difficulty,
        block.excess_blob_gas,
        block.tx_hashes,
    )


def _control_record(command: CommandRecord, first_seen_ns: int) -> ControlRecord:
    return ControlRecord(
        chain=command.chain,
        seq=0,
        part=0,
        parts=1,
        id=command.id,
        command=command.command,
        subject=command.subject,
        until_block=command.until_block,
        reason=command.reason,
        issuer=command.issuer,
        first_seen_ns=first_seen_ns,
    )


def _fitting(draft: Draft) -> Draft | None:
    """The event as far as its topics take it: a pending transaction may lose its witness, or be left out. Raises `IngestStopped` for an
    event that is none and does not fit: a log without it would not be the chain's."""
    head = draft.records[0]
    for candidate in (draft, without_witness(draft)):
        try:
            for record in stamp([candidate], 0, frozenset()).records:
                topic(record.TOPIC).codec.encode(record)
            return candidate
        except BadRecord as error:
            if not isinstance(head, PendingRecord):
                raise IngestStopped(f"an event does not fit its topic: {error}") from None
    metrics.PENDING_SKIPPED.labels("oversized").inc()
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m flows.ingest CONFIG`: run until SIGTERM or SIGINT. Exit codes: 0 drained, 2 wrong use, 3 fenced, 4 stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m flows.ingest CONFIG", file=sys.stderr)
        return EXIT_USAGE
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    drain = Drain()
    drain.install_signal_handlers()
    try:
        run_ingest(load_config(Path(arguments[0])), drain)
    except ConfigError as error:
        print(f"sluice ingest: {error}", file=sys.stderr)
        return EXIT_USAGE
    except Fenced as error:
        print(f"sluice ingest: stopped: {error}", file=sys.stderr)
        return EXIT_FENCED
    except IngestStopped as error:
        print(f"sluice ingest: stopped: {error}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
