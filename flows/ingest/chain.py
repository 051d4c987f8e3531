"""The chain's part of the sequencer: blocks put on and taken off, as the node's head moves."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from flows.ingest.desk import Desk
from flows.ingest.outcomes import IngestStopped
from flows.ingest.pools import PoolIntake
from infra.chain import blocks, hexes
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, LieReason, NodeLied, RpcError
from infra.chain.header_hash import HeaderHashes
from infra.chain.needs import Holders, trace_own
from infra.chain.storage import nonces
from infra.chain.tracing import At
from infra.ingest import metrics
from infra.ingest.block_events import Watch, block_records, gather_block, gather_start, revert_record
from operators.ingest.drafts import Draft
from operators.ingest.head_tracker import Advance, Broken, Link, NeedHeaders, Stale, TooDeep
from operators.ingest.log_state import OURSELVES
from operators.ingest.untraced import TRY_EVERY
from schemas.anchors import anchors_of
from schemas.blocks import BlockRecord

log = logging.getLogger("sluice.ingest")

#: Blocks whose headers are fetched at once while catching up.
_CATCH_UP = 64


class ChainFollower:
    """Keeps the log's chain the node's."""

    def __init__(self, desk: Desk, pools: PoolIntake, report: Callable[[], None], ended: Callable[[], bool]) -> None:
        """`report` is called after each block; the follower stops between two when `ended`."""
        self._desk = desk
        self._node, self._feeds, self._state, self._ledger = desk.node, desk.feeds, desk.state, desk.ledger
        self._config = desk.config
        self._pools = pools
        self._report = report
        self._ended = ended
        self._owner, self._executor = desk.config.executor.owner, desk.config.executor.address
        self._introduced = False
        #: Anchor tokens that the node did not trace for us.
        self._untraced: list[bytes] = []
        self._hashes = HeaderHashes()

    async def _check_chain(self) -> None:
        chain = hexes.quantity(await self._node.call(str, "eth_chainId"))
        if chain != self._desk.chain:
            raise NodeLied(
                LieReason.WRONG_CHAIN, f"the node is on chain {chain}, the configuration says {self._desk.chain}"
            )

    async def begin(self) -> None:
        """The first event of a log: the block it starts with, with the state of our own accounts."""
        await self._check_chain()
        wanted = self._config.ingest.start_block
        at = await blocks.head(self._node) if wanted is None else await blocks.header_by_number(self._node, wanted)
        if at is None:
            raise IngestStopped(f"ingest.start_block is {wanted}, which the node does not have yet")
        header = await blocks.header_by_hash(self._node, at.hash, self._hashes.check)
        await self._know_ourselves(header)
        facts = await gather_start(self._node, header, self._watch(header))
        records = block_records(self._desk.chain, facts, (), self._feeds.first_seen(header.hash))
        await self._ledger.commit([Draft(records, facts.state.codes)])
        self._applied(records[0])

    async def _know_ourselves(self, header: Header) -> None:
        """Find out what our own calls of the anchor tokens read, so that it is kept fresh."""
        who = Holders(self._executor, self._owner, header.miner)
        needs = {self._owner: frozenset[bytes](), self._executor: frozenset((bytes(32),))}
        self._untraced.clear()
        for anchor in anchors_of(self._config):
            found = await trace_own(self._desk.reads.touched, anchor, who, At.after(header))
            if isinstance(found, RpcError):
                self._untraced.append(anchor)
                log.warning("anchor token 0x%s cannot be traced (%s): its state is not kept", anchor.hex(), found)
            else:
                needs |= {account: keys | needs.get(account, frozenset()) for account, keys in found.items()}
        self._state.tracked.put(OURSELVES, needs)

    def _watch(self, header: Header) -> Watch:
        named = self._state.tracked.known_slots
        ours = {self._owner, self._executor, *self._own_accounts()}
        return Watch(
            owner=self._owner,
            executor=self._executor,
            tracked=self._state.tracked.accounts,
            named=named,
            slots=self._state.tracked.size,
            # Once per session: what is tracked of ourselves depends on the configuration, which may have changed.
            whole={} if self._introduced else {a: named(a) for a in sorted(ours)},
        )

    def _own_accounts(self) -> frozenset[bytes]:
        return self._state.tracked.accounts_of(OURSELVES)

    # ---------------------------------------------------------------- blocks

    async def advance(self, newest: Header) -> bool:
        """Bring the log to a new head of the node; False when it is there. Raises `HeadMoved` to be called with a newer one."""
        plan = await self._plan(newest)
        if isinstance(plan, Stale):
            return await self._retreat(_link(newest))
        reverts = [self._state.block(link) for link in plan.revert]
        for link in plan.apply:
            await self._apply(link, reverts)
            reverts = []
            self._report()
            if self._ended():
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
        held = self._pools.held_behind(reverts)
        await self._ledger.commit(
            [Draft((record,)) for record in (*(revert_record(old, now) for old in reverts), *held)]
        )
        for old in reverts:
            self._reverted(old)
        self._pools.suspended(held)
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
        header = await blocks.header_by_hash(self._node, link.hash, self._hashes.check)
        if _link(header) != link:
            raise NodeLied(LieReason.PARENT_MISMATCH, f"block {header.number} told two parents")
        if not self._introduced:
            await self._check_chain()
            await self._know_ourselves(header)
        seen = self._feeds.first_seen(link.hash)
        facts = await gather_block(self._node, header, self._watch(header))
        sources = self._state.log_sources
        logs = tuple([entry for entry in facts.mined.logs_of(sources, sources.topics) if sources.wants(entry)])
        records = block_records(self._desk.chain, facts, logs, seen)
        held = self._pools.held_behind(reverts)
        drafts = [Draft((revert_record(old, seen),)) for old in reverts]
        drafts += [*(Draft((record,)) for record in held), Draft(records, facts.state.codes)]
        # Right behind the block that creates them; in a pool's life its first swap is the best one.
        admissions = await self._pools.announced(logs, header)
        drafts += self._pools.drafts(admissions, header)
        await self._ledger.commit(drafts)
        for old in reverts:
            self._reverted(old)
        self._pools.suspended(held)
        self._applied(records[0])
        self._state.logged(header.number, logs)
        self._pools.admitted(admissions)
        await self._forget_overtaken(header, [receipt.sender for receipt in facts.mined.receipts])

    def _applied(self, block: object) -> None:
        assert isinstance(block, BlockRecord)
        # Once more after a while where the node did not trace: it may again.
        self._introduced = not (self._untraced and block.number % TRY_EVERY == 0)
        self._state.applied(block)
        self._desk.book.mined(block.tx_hashes)

    def _reverted(self, block: BlockRecord) -> None:
        metrics.REVERTS.labels(str(self._desk.chain)).inc()
        self._state.reverted(block)
        self._desk.book.unmined(block.tx_hashes)
        if self._config.ingest.pending:
            # What the node takes back into its pool is pending again; what it does not know any more is dropped when asked for.
            for tx_hash in block.tx_hashes:
                self._feeds.sight(tx_hash, None)

    async def _forget_overtaken(self, header: Header, senders: list[bytes]) -> None:
        waiting = self._desk.book.senders_among(senders)
        try:
            for sender, nonce in zip(waiting, await nonces(self._node, header.hash, waiting), strict=True):
                self._desk.book.overtaken(sender, nonce)
        except HeadMoved:
            # The block went again; the next one that holds anything of these senders settles it.
            log.debug("block %d went before its senders' nonces were read", header.number)


def _link(header: Header) -> Link:
    return Link(header.number, header.hash, header.parent_hash)
