"""The pools' part of the sequencer: the past of the factories searched, new announcements heard, what was found admitted in batches."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flows.ingest.admission import Admission, Admitter, gone
from flows.ingest.candidates import found_of
from flows.ingest.desk import Desk
from flows.ingest.discovery import Discovery, journals_of
from infra.chain.blocks import Header
from infra.ingest import metrics
from infra.ingest.block_events import witness_record
from operators.ingest.drafts import Draft
from operators.pools import FAMILIES
from operators.pools.base import Found
from schemas.logs import Log
from schemas.pools import PoolRecord

#: Pools of a batch, at first and at most; how long one should take, in seconds: a new head waits for the batch under way.
_FIRST_BATCH = 64
_MOST_AT_ONCE = 512
_BATCH_S = (0.5, 2.0)


class PoolIntake:
    """Finds pools and admits them."""

    def __init__(self, desk: Desk) -> None:
        """Does nothing before it is asked to."""
        self._desk = desk
        config = desk.config
        self._factories = config.ingest.factories
        self._admitter = Admitter(
            desk.node, desk.chain, self._factories, config.executor.owner, config.executor.address
        )
        self._discovery = Discovery(desk.node, self._admitter.reader, desk.chain, self._factories, journals_of(config))
        self._begun = False
        self._batch = _FIRST_BATCH

    @property
    def discovered(self) -> bool:
        """Whether the factories' past is searched."""
        return self._begun and self._discovery.complete

    def close(self) -> None:
        """Let others have the journals."""
        self._discovery.close()

    # ---------------------------------------------------------------- the past

    async def search(self) -> bool:
        """One step of the search; False when there is none."""
        if not self._begun:
            await self._begin()
            return True
        if self._discovery.complete:
            return False
        self._desk.state.discover(await self._discovery.step())
        return True

    async def _begin(self) -> None:
        """Configured pools, and what earlier searches found. Blocks after this one are heard of as they come."""
        self._desk.state.discover(found_of(pool) for pool in self._desk.config.ingest.pools)
        self._desk.state.discover(await self._discovery.begin(self._desk.head))
        self._begun = True

    async def admit_waiting(self) -> bool:
        """Admit a batch of the pools that were found; False when none waits."""
        waiting = self._desk.state.to_admit
        if not waiting:
            return False
        batch = list(waiting.values())[: self._batch]
        header = self._desk.head
        started = time.monotonic()
        admissions = await self._admissions(batch, header)
        self._pace(len(batch), time.monotonic() - started)
        await self._desk.ledger.commit([self.draft(a, header) for a in admissions])
        self.admitted(admissions)
        return True

    def _pace(self, count: int, seconds: float) -> None:
        if seconds > _BATCH_S[1]:
            self._batch = max(1, count // 2)
        elif seconds < _BATCH_S[0] and count == self._batch:
            self._batch = min(_MOST_AT_ONCE, 2 * self._batch)

    # ---------------------------------------------------------------- the present

    async def announced(self, logs: Sequence[Log], header: Header) -> list[Admission]:
        """The pools that factories announce in a block, admitted as of its end."""
        found: dict[bytes, Found] = {}
        for factory in self._factories:
            family = FAMILIES[factory.family]
            mine = [entry for entry in logs if entry.address == factory.address and entry.topics[:1]]
            mine = [entry for entry in mine if entry.topics[0] in family.FACTORY_TOPICS]
            if mine:
                (pools,) = await self._admitter.reader.drive([family.announced(mine, factory)], header.hash, ())
                found |= {pool.address: pool for pool in pools}
        return await self._admissions([pool for pool in found.values() if not self._stands(pool, header)], header)

    def _stands(self, pool: Found, header: Header) -> bool:
        """Whether the log has the pool from before this block: a factory may say again what it said. One that it has from this height on
        is about to be reverted."""
        known = self._desk.state.pools.get(pool.address)
        return known is not None and bool(known.state) and known.block_number < header.number

    async def _admissions(self, pools: Sequence[Found], header: Header) -> list[Admission]:
        if not pools:
            return []
        found = await self._admitter.admit(pools, header, self._desk.state.interval)
        return [gone(self._desk.state.pools.get(a.record.address), a) for a in found]

    def draft(self, admission: Admission, header: Header) -> Draft:
        """The admission as an event."""
        if admission.state is None:
            return Draft((admission.record,))
        witness = witness_record(self._desk.chain, header.number, header.hash, admission.state)
        return Draft((admission.record, witness), admission.state.codes)

    def admitted(self, admissions: Sequence[Admission]) -> None:
        """The events were written."""
        for admission in admissions:
            record: PoolRecord = admission.record
            self._desk.state.admitted(record)
            if record.refusal:
                metrics.POOLS_REFUSED.labels(record.refusal).inc()
