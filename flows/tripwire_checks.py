"""The tripwire's look at the chain: samples read anew from the node, differences looked into, findings made of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from infra.chain import blocks
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, NodeError, NodeLied, NodeUnavailable, RpcError
from infra.chain.node import Node
from infra.chain.past_logs import PastLog, logs_between
from infra.chain.readings import Reader
from infra.runtime import tripwire_metrics as metrics
from operators.graph.digest import entry_digest
from operators.pools import FAMILIES
from operators.pools.base import AdmissionReason, AdmissionRefused, BadState, Pool
from operators.tripwire.about import about
from operators.tripwire.backlog import Backlog
from operators.tripwire.classify import Elsewhere, Evidence, classify
from operators.tripwire.messages import Sample, Sampled, TakenOff
from operators.tripwire.tally import Compared, compare, tally_of
from schemas.config import Config, FactoryConfig
from schemas.control import Command, CommandRecord
from schemas.findings import FindingRecord
from schemas.ids import with_id
from schemas.record import Record
from schemas.types import ZERO_HASH

log = logging.getLogger("sluice.tripwire")

#: Blocks before and after a sampled one that are looked at for our state.
_NEARBY = 4
#: Blocks of one request for logs; halved where the node refuses.
_LOG_BLOCKS = 4096
_LEAST_LOG_BLOCKS = 16
#: More logs of one pool than this are not held against ours.
_MOST_LOGS = 200_000

#: A pool, or why there is none: `AdmissionRefused`, `BadState`.
Outcome = Pool | ValueError
#: What was found, each with the sampled pool that it is about.
Found = list[tuple[Sampled, FindingRecord]]


class _Logs(NamedTuple):
    """A pool's logs on the chain; None where the node does not tell."""

    past: list[PastLog] | None


class Checker:
    """Compares samples with a node's chain. Used from one thread; the node's answers are waited for."""

    def __init__(self, config: Config, state: tuple[Any, ...] | None = None) -> None:
        """Connects when first used."""
        self._config = config
        self._chain = config.chain.id
        self._factories: dict[tuple[str, bytes], FactoryConfig] = {
            (f.family, f.address): f for f in config.ingest.factories
        }
        self._backlog = Backlog(config.tripwire.patience_blocks, state)
        self._loop = asyncio.new_event_loop()
        self._node = Node(config.chain.http_url, config.chain.request_timeout_s)
        self._reader = Reader(self._node)
        #: Below this block the node is not asked: it no longer has the state.
        self._from_block = 0

    def snapshot(self) -> tuple[Any, ...]:
        """What waits, as plain data."""
        return self._backlog.snapshot()

    def close(self) -> None:
        """Let go of the node."""
        self._wait(self._node.__aexit__(None, None, None))
        self._loop.close()

    def _wait(self, work: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(work)

    def check(self, messages: Sequence[Sample | TakenOff]) -> list[Record]:
        """Compare what waits with the chain. A finding and the command that suspends its pool for each difference.

        What cannot be compared now waits; what will not be comparable any more is counted and passed over. Never raises for the node.
        """
        due, surplus = self._backlog.take(messages)
        for sample in surplus:
            self._skip(sample, "overrun")
        out: list[Record] = []
        for sample in due:
            for sampled, finding in self._wait(self._checked(sample)):
                self._backlog.found(sampled, finding.block_number)
                log.error(
                    "pool 0x%s at block %d: %s: %s", finding.pool.hex(), finding.block_number, finding.difference.value,
                    finding.detail,
                )  # fmt: skip
                metrics.FINDINGS.labels(finding.difference.value).inc()
                out += [finding, suspension(finding)]
        return out

    def _skip(self, sample: Sample, reason: str) -> Found:
        metrics.SKIPPED.labels(reason).inc(len(sample.pools))
        for sampled in sample.pools:
            self._backlog.skipped(sampled)
        return []

    def _later(self, sample: Sample, reason: str) -> Found:
        if self._backlog.expired(sample):
            return self._skip(sample, reason)
        self._backlog.keep(sample)
        return []

    async def _checked(self, sample: Sample) -> Found:
        if sample.number < self._from_block:
            return self._skip(sample, "no_state")
        try:
            return await self._compared(sample)
        except HeadMoved:
            return self._later(sample, "no_block")
        except NodeUnavailable as error:
            log.warning("node: %s", error)
            self._backlog.keep(sample)
            return []
        except RpcError as error:
            if error.no_state:
                await self._look_further(sample)
                return self._skip(sample, "no_state")
            log.warning("node: %s", error)
            return self._later(sample, "node_refused")
        except NodeLied as error:
            log.warning("node: %s", error)
            return self._later(sample, "node_lied")

    async def _look_further(self, sample: Sample) -> None:
        """The node has pruned this state. On a long way to the head, look again half the way there, not at each block."""
        try:
            newest = (await blocks.head(self._node)).number
        except NodeError:
            return
        self._from_block = sample.number + max(1, (newest - sample.number) // 2)
        log.warning(
            "the node no longer has the state of block %d: %d pools not compared, next try at block %d", sample.number,
            len(sample.pools), self._from_block,
        )  # fmt: skip

    # ---------------------------------------------------------------- comparing

    async def _compared(self, sample: Sample) -> Found:
        header = await blocks.header_by_number(self._node, sample.number)
        canonical = header is not None and header.hash == sample.block_hash
        if header is None or (not canonical and not self._backlog.expired(sample)):
            # A reorg that the log has still to hear of, or a node that is behind.
            return self._later(sample, "no_block")
        pools = [sampled for sampled in sample.pools if self._backlog.news(sampled)]
        outcomes = await self._read(pools, header)
        out: Found = []
        for sampled, theirs in zip(pools, outcomes, strict=True):
            if self._unreadable(sampled, theirs):
                metrics.SKIPPED.labels("unknown_factory").inc()
                self._backlog.skipped(sampled)
                continue
            equal = digest_of(theirs) == digest_of(sampled.pool)
            metrics.COMPARED.labels("equal" if equal else "different").inc()
            if not equal:
                out.append((sampled, await self._finding(sample, sampled, theirs, header, canonical)))
            self._backlog.compared(sampled)
        metrics.BLOCK.labels(str(self._chain)).set(sample.number)
        return out

    async def _read(self, pools: Sequence[Sampled], header: Header) -> list[Outcome]:
        readings = [FAMILIES[s.found.family].read(s.found, self._factory(s), header.timestamp) for s in pools]
        return await self._reader.drive(readings, header.hash, (AdmissionRefused, BadState))

    def _factory(self, sampled: Sampled) -> FactoryConfig | None:
        return self._factories.get((sampled.found.family, sampled.found.factory))

    def _unreadable(self, sampled: Sampled, theirs: Outcome) -> bool:
        """Whether a configuration other than the sequencer's keeps the pool from being read."""
        refused = isinstance(theirs, AdmissionRefused) and theirs.reason is AdmissionReason.UNKNOWN_FACTORY
        return refused and self._factory(sampled) is None

    # ---------------------------------------------------------------- a difference

    async def _finding(
        self, sample: Sample, sampled: Sampled, theirs: Outcome, header: Header, canonical: bool
    ) -> FindingRecord:
        mark = self._backlog.mark(sampled)
        (again,) = await self._read([sampled], header)
        to_block = await self._logs(sampled.pool, mark.number + 1, sample.number)
        to_head = await self._logs(sampled.pool, mark.number + 1, sample.head_number)
        elsewhere, where = await self._elsewhere(sample, sampled)
        ours = sampled.at_block.since(mark.tally)
        difference = classify(
            Evidence(
                canonical=canonical,
                repeatable=digest_of(again) == digest_of(theirs),
                at_block=_against(ours, to_block),
                at_head=_against(sampled.at_head.since(mark.tally), to_head),
                elsewhere=elsewhere,
            )
        )
        chain_logs = len(to_block.past or ())
        return with_id(
            FindingRecord(
                id=ZERO_HASH,
                chain=self._chain,
                seq=sample.seq,
                block_number=sample.number,
                block_hash=sample.block_hash,
                pool=sampled.found.address,
                family=sampled.found.family,
                difference=difference,
                ours=digest_of(sampled.pool),
                theirs=digest_of(theirs),
                since_block=mark.number,
                our_logs=ours.logs,
                chain_logs=chain_logs,
                detail=_told(theirs, to_block, ours.logs, mark.number, where),
            )
        )

    async def _logs(self, pool: Pool, first: int, last: int) -> _Logs:
        """The chain's logs of a pool, as the node tells them today."""
        found: list[PastLog] = []
        span = _LOG_BLOCKS
        start = first
        while start <= last:
            end = min(last, start + span - 1)
            try:
                each = [await logs_between(self._node, s, pool.LOG_TOPICS, start, end) for s in pool.log_sources]
            except RpcError:
                if span <= _LEAST_LOG_BLOCKS or start == end:
                    return _Logs(None)
                span //= 2
                continue
            found += [past for some in each for past in some]
            if len(found) > _MOST_LOGS:
                return _Logs(None)
            start = end + 1
        return _Logs([past for past in found if about(pool, past.log)])

    async def _elsewhere(self, sample: Sample, sampled: Sampled) -> tuple[Elsewhere, int]:
        """Whether our state is the chain's of a block nearby, the nearest first, and which one."""
        later = range(sample.number + 1, min(sample.head_number, sample.number + _NEARBY) + 1)
        earlier = range(sample.number - 1, max(-1, sample.number - _NEARBY - 1), -1)
        for number in (*later, *earlier):
            if await self._state_at(sampled, number) != digest_of(sampled.pool):
                continue
            if number > sample.number:
                return Elsewhere.LATER, number
            between = await self._logs(sampled.pool, number + 1, sample.number)
            return (Elsewhere.EARLIER_WITH_LOGS if between.past else Elsewhere.EARLIER_WITHOUT_LOGS), number
        return Elsewhere.NOWHERE, 0

    async def _state_at(self, sampled: Sampled, number: int) -> bytes:
        """The digest of the pool's state at a block of the chain; empty where the node does not have it."""
        try:
            header = await blocks.header_by_number(self._node, number)
            if header is None:
                return b""
            (outcome,) = await self._read([sampled], header)
        except (RpcError, HeadMoved):
            return b""
        return digest_of(outcome)


def digest_of(outcome: Outcome) -> bytes:
    """The hash of a state with its own refusal, as the graph's digest counts it; empty for what is no state of the family."""
    if isinstance(outcome, ValueError):
        return b""
    return entry_digest(outcome.digest_entry(), outcome.refusal).to_bytes(32, "big")


def _against(ours: Any, chain: _Logs) -> Compared:
    return compare(ours, None if chain.past is None else tally_of(past.log for past in chain.past))


def _told(theirs: Outcome, then: _Logs, ours: int, since: int, where: int) -> str:
    """The finding in a sentence or two."""
    parts = []
    if isinstance(theirs, ValueError):
        parts.append(f"the chain's is no such pool: {theirs}")
    if then.past is None:
        parts.append(f"the node does not tell the pool's logs after block {since}")
    else:
        parts.append(f"after block {since} the chain has {len(then.past)} logs of the pool, our log {ours}")
    if where:
        parts.append(f"our state is the chain's of block {where}")
    return "; ".join(parts)[:2000]


#: Who issues the tripwire's commands, and how the refusals that it gives begin.
ISSUER = "tripwire"


def suspension(finding: FindingRecord) -> CommandRecord:
    """The command that has the sequencer suspend the finding's pool."""
    return with_id(
        CommandRecord(
            id=ZERO_HASH,
            chain=finding.chain,
            command=Command.SUSPEND_POOL,
            subject="0x" + finding.pool.hex(),
            until_block=0,
            reason=f"{ISSUER}:{finding.difference.value} finding 0x{finding.id.hex()} at block {finding.block_number}",
            issuer=ISSUER,
        )
    )
