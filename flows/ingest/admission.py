"""Admission: a pool that was found becomes a record with its whole state at one block, and the state that simulations through it read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from flows.ingest.candidates import UNKNOWN_FAMILY, Candidate, Outcome, best, candidates
from flows.ingest.tokens import TokenJudge
from infra.chain.blocks import Header
from infra.chain.errors import RpcError
from infra.chain.needs import Holders, Needs, Touching, Traced, trace_needs, union
from infra.chain.node import Node
from infra.chain.prestate import AccountChange, State, state_of
from infra.chain.readings import Reader
from infra.chain.token_facts import read_tokens
from infra.chain.tracing import At
from infra.ingest.call_reads import CallReads
from operators.ingest.held import GONE
from operators.ingest.tracked_state import as_needs, as_slots
from operators.ingest.untraced import UNTRACEABLE
from operators.pools.base import AdmissionReason, AdmissionRefused, Found, Pool
from operators.pools.records import packed_state
from schemas.codec import BadRecord
from schemas.config import Config
from schemas.pools import PoolOp, PoolRecord, TokenInfo
from schemas.topics import topic

_DETAIL = 500


class PoolRefusal(StrEnum):
    """Why a pool is tracked but not traded, besides what its family says of it (`AdmissionReason`, `Pool.refusal`)."""

    #: What a trade through it reads cannot be found out.
    UNTRACEABLE = UNTRACEABLE
    #: Its record would not fit the topic.
    OVERSIZED = "oversized"


@dataclass(frozen=True)
class Admission:
    """A pool's record, and the state its simulations need (None for one that is not traded)."""

    record: PoolRecord
    state: State | None


@dataclass(frozen=True)
class _Read:
    """A pool as it was read, before its simulations' needs are known."""

    candidate: Candidate
    pool: Pool


class Admitter:
    """Admits pools at a block. Keeps token metadata, which is asked once per token."""

    def __init__(self, node: Node, config: Config, touching: Touching | None = None) -> None:
        """`touching` tells what calls read; by default a way of its own."""
        self._touching = touching or CallReads(node, lambda _: frozenset()).touched
        self._chain = config.chain.id
        self._factories = config.ingest.factories
        self._owner = config.executor.owner
        self._executor = config.executor.address
        self._tokens: dict[bytes, TokenInfo] = {}
        self.reader = Reader(node)
        self.judge = TokenJudge(node, self.reader, config)

    async def admit(self, wanted: Sequence[Found], header: Header, interval: int) -> list[Admission]:
        """One admission per pool, as of the end of the block. `interval` is the seconds to the next block, for the traces.

        Raises `HeadMoved` when the block is gone.
        """
        ways = [candidates(found, self._factories) for found in wanted]
        chosen = [best(tried) for tried in await self._tried(ways, header)]
        read = [_Read(candidate, outcome) for candidate, outcome in chosen if not isinstance(outcome, AdmissionRefused)]
        await self._learn_tokens([token for each in read for token in each.pool.tokens], header.hash)
        sound = [each.pool for each in read if not each.pool.refusal]
        await self.judge.learn(sound, header, interval)
        traded = [pool for pool in sound if not self.judge.refusal(pool)[0]]
        needs = await self._needs(traded, At.after(header, interval), header.miner)
        read_by_all = union(n for n in needs.values() if not isinstance(n, RpcError))
        values = await self.reader.accounts(read_by_all, header.hash)
        out = []
        for found, (candidate, outcome) in zip(wanted, chosen, strict=True):
            if isinstance(outcome, AdmissionRefused):
                out.append(self._refused(found, candidate, outcome, header.number))
            else:
                pool_needs = needs.get(outcome.address, {})
                out.append(self._admission(candidate, outcome, pool_needs, values, header.number))
        return out

    # ---------------------------------------------------------------- what the chain says

    async def _tried(
        self, ways: Sequence[Sequence[Candidate]], header: Header
    ) -> list[list[tuple[Candidate, Outcome]]]:
        flat = [candidate for each in ways for candidate in each]
        readings = [candidate.reading(header.timestamp) for candidate in flat]
        outcomes: Iterator[Outcome] = iter(await self.reader.drive(readings, header.hash, AdmissionRefused))
        return [[(candidate, next(outcomes)) for candidate in each] for each in ways]

    async def _learn_tokens(self, tokens: Iterable[bytes], block_hash: bytes) -> None:
        unknown = [t for t in dict.fromkeys(tokens) if t not in self._tokens]
        for info in await read_tokens(self.reader, unknown, block_hash):
            self._tokens[info.address] = info

    async def _needs(self, pools: Sequence[Pool], at: At, coinbase: bytes) -> dict[bytes, Needs | RpcError]:
        who = Holders(self._executor, self._owner, coinbase)
        traced = [Traced(p.holder, p.tokens, p.probes(), union(as_slots((s,)) for s in p.slots())) for p in pools]
        found = await trace_needs(self._touching, traced, who, at)
        return {pool.address: need for pool, need in zip(pools, found, strict=True)}

    # ---------------------------------------------------------------- records

    def _refused(self, found: Found, candidate: Candidate, refused: AdmissionRefused, number: int) -> Admission:
        family = candidate.family.FAMILY if found.family else UNKNOWN_FAMILY
        record = self._record(found._replace(family=family), (), b"", refused.reason.value, refused.detail, number, {})
        return Admission(record, None)

    def _admission(
        self,
        candidate: Candidate,
        pool: Pool,
        needs: Needs | RpcError,
        values: Mapping[bytes, AccountChange],
        number: int,
    ) -> Admission:
        refusal, detail = (pool.refusal, "") if pool.refusal else self.judge.refusal(pool)
        known = needs
        if isinstance(known, RpcError):
            refusal, detail, known = PoolRefusal.UNTRACEABLE.value, str(known), {}
        tokens = tuple(self._tokens[token] for token in pool.tokens)
        record = self._record(candidate.found, tokens, packed_state(pool), refusal, detail, number, known)
        try:
            topic(record.TOPIC).codec.encode(record)
        except BadRecord as error:
            refusal = PoolRefusal.OVERSIZED.value
            return Admission(self._record(candidate.found, tokens, b"", refusal, str(error), number, {}), None)
        return Admission(record, None if refusal else state_of(_restricted(values, known)))

    def _record(
        self,
        found: Found,
        tokens: tuple[TokenInfo, ...],
        state: bytes,
        refusal: str,
        detail: str,
        number: int,
        needs: Needs,
    ) -> PoolRecord:
        return PoolRecord(
            chain=self._chain,
            seq=0,
            part=0,
            parts=0,
            op=PoolOp.ADD,
            family=found.family,
            address=found.address,
            factory=found.factory,
            tokens=tokens,
            state=state,
            seed=found.seed,
            block_number=number,
            refusal=refusal,
            detail=detail[:_DETAIL],
            needs=as_needs(needs),
        )


def gone(known: PoolRecord | None, admission: Admission) -> Admission:
    """The admission, or the end of a pool of the log that is no pool any more: it went with its reverted block."""
    record = admission.record
    if known is None or not known.state or record.refusal != AdmissionReason.NOT_THIS_FAMILY:
        return admission
    suspended = msgspec.structs.replace(
        known,
        op=PoolOp.SUSPEND,
        block_number=record.block_number,
        refusal=GONE,
        detail="the block that created it was reverted",
    )
    return Admission(suspended, None)


def _restricted(values: Mapping[bytes, AccountChange], needs: Needs) -> dict[bytes, AccountChange]:
    """One pool's part of what was read for several."""
    return {
        account: AccountChange(
            values[account].nonce,
            values[account].balance,
            values[account].code,
            {k: values[account].slots[k] for k in keys},
        )
        for account, keys in needs.items()
    }
