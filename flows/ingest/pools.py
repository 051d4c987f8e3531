"""The pools' part of the sequencer: the past of the factories searched, new announcements heard, what was found admitted in batches."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from flows.ingest.admission import Admission, Admitter, PoolRefusal, gone
from flows.ingest.candidates import found_of
from flows.ingest.desk import Desk
from flows.ingest.discovery import Discovery, journals_of
from flows.ingest.tokens import Holding
from infra.chain.blocks import Header
from infra.ingest import metrics
from infra.ingest.block_events import witness_record
from infra.ingest.log_tail import LogTail
from operators.ingest.drafts import Draft
from operators.ingest.held import subject_of, suspension, unanswered
from operators.ingest.log_state import found_in
from operators.pools import FAMILIES
from operators.pools.base import AdmissionReason, AdmissionRefused, BadState, Found
from operators.pools.records import pool_of
from schemas.blocks import BlockRecord
from schemas.control import Command, ControlRecord
from schemas.logs import Log
from schemas.pools import PoolRecord
from schemas.tokens import TRADABLE

log = logging.getLogger("sluice.ingest")

#: Tokens that are tried again at once, where nothing else waits.
_TOKENS_AT_ONCE = 4
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
        self._admitter = Admitter(desk.node, config, desk.reads.touched)
        self._judge = self._admitter.judge
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
        """Admit a batch of the pools that were found; False when none waits for this block."""
        state, header = self._desk.state, self._desk.head
        waiting = (found for key, found in state.to_admit.items() if state.doubts.due(key, header.number))
        batch = list(islice(waiting, self._batch))
        if not batch:
            return False
        started = time.monotonic()
        admissions = [a for a in await self._admissions(batch, header) if not self._kept(a)]
        self._pace(len(batch), time.monotonic() - started)
        if admissions:
            await self._desk.ledger.commit(self.drafts(admissions, header))
            self.admitted(admissions)
        return True

    def _kept(self, admission: Admission) -> bool:
        """Whether a pool that the log has stays as it is because the node contradicted itself about it: it is read again before that is
        believed. Its logs are followed meanwhile; all that it may lack is the state of slots its price moved to."""
        address, state = admission.record.address, self._desk.state
        return address in state.doubts and (address in state.pools or address in state.held)

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
                reading = family.announced(mine, factory)
                (pools,) = await self._admitter.reader.drive([reading], header.hash, AdmissionRefused)
                if isinstance(pools, AdmissionRefused):
                    log.warning("factory %s announced something in block %d: %s", factory.name, header.number, pools)
                    metrics.POOLS_REFUSED.labels(pools.reason.value).inc()
                else:
                    found |= {pool.address: pool for pool in pools}
        return await self._admissions([pool for pool in found.values() if not self._stands(pool, header)], header)

    def _stands(self, pool: Found, header: Header) -> bool:
        """Whether the log has the pool from before this block: a factory may say again what it said. One that it has from this height on
        is about to be reverted."""
        if pool.address in self._desk.state.held:
            return True
        known = self._desk.state.pools.get(pool.address)
        return known is not None and bool(known.state) and known.block_number < header.number

    async def _admissions(self, pools: Sequence[Found], header: Header) -> list[Admission]:
        if not pools:
            return []
        found = await self._admitter.admit(pools, header, self._desk.state.interval)
        admissions = [gone(self._desk.state.pools.get(a.record.address), a) for a in found]
        for admission in admissions:
            self._weigh(admission.record)
        return admissions

    def _weigh(self, record: PoolRecord) -> None:
        """Note whether the node contradicted itself about a pool."""
        if record.refusal == AdmissionReason.BAD_STATE:
            self._desk.state.doubts.doubt(record.address, record.block_number)
            if record.address in self._desk.state.doubts:
                log.warning("read again at a later block: %s", record.detail)
                metrics.POOLS_DOUBTED.inc()
        else:
            self._desk.state.doubts.sound(record.address)

    def drafts(self, admissions: Sequence[Admission], header: Header) -> list[Draft]:
        """The admissions as events, with what was found out of tokens for them."""
        drafts = [self._draft(admission, header) for admission in admissions]
        if drafts:
            drafts[0] = replace(drafts[0], beside=self._judge.unwritten)
        return drafts

    def _draft(self, admission: Admission, header: Header) -> Draft:
        if admission.state is None:
            return Draft((admission.record,))
        witness = witness_record(self._desk.chain, header.number, header.hash, admission.state)
        return Draft((admission.record, witness), admission.state.codes)

    def admitted(self, admissions: Sequence[Admission]) -> None:
        """The events were written."""
        if admissions:
            self._judge.written(self._judge.unwritten)
        for admission in admissions:
            record: PoolRecord = admission.record
            self._desk.state.admitted(record)
            if record.refusal:
                metrics.POOLS_REFUSED.labels(record.refusal).inc()
            if record.address in self._desk.state.doubts:
                self._desk.state.readmit(record.address)

    # ---------------------------------------------------------------- tokens

    async def try_tokens_again(self) -> bool:
        """Try some of the tokens again that were last tried long ago; False when there is none. Where a token is not what it was, its pools
        are admitted anew."""
        header = self._desk.head
        due = self._judge.due(header.number)[:_TOKENS_AT_ONCE]
        if not due:
            return False
        holders = {record.token: self._holders(record.token) for record in due}
        self._judge.forget(token for token, pools in holders.items() if not pools)
        holdings = [Holding(token, holder) for token, pools in holders.items() for holder in pools.values()]
        records = await self._judge.judge(holdings, header, self._desk.state.interval)
        if records:
            await self._desk.ledger.note(records)
        before = {record.token: record.quality in TRADABLE for record in due}
        self._judge.remember(records)
        for record in records:
            if before[record.token] != (record.quality in TRADABLE):
                log.info("token 0x%s is %s now: its pools are admitted anew", record.token.hex(), record.quality.value)
                for address in holders[record.token]:
                    self._desk.state.readmit(address)
        return True

    def _holders(self, token: bytes) -> dict[bytes, bytes]:
        """The pools of the log that hold a token, each with the contract that holds it for them."""
        out: dict[bytes, bytes] = {}
        for address, record in self._desk.state.pools.items():
            if record.state and any(info.address == token for info in record.tokens):
                with contextlib.suppress(BadState):
                    out[address] = pool_of(record).holder
        return out

    async def try_untraced_again(self) -> bool:
        """Try some of the pools again whose reads the node did not trace; False when it is not time. Only what is traced now is written."""
        header, state = self._desk.head, self._desk.state
        due = state.untraced.due(header.number)
        if not due:
            return False
        try:
            found = await self._admissions([found_in(state.pools[address]) for address in due], header)
            admissions = [a for a in found if a.record.refusal != PoolRefusal.UNTRACEABLE]
            if admissions:
                log.info("%d of %d pools that could not be traced are admitted anew", len(admissions), len(due))
                await self._desk.ledger.commit(self.drafts(admissions, header))
                self.admitted(admissions)
        finally:
            state.untraced.tried(due, header.number)
        return True

    # ---------------------------------------------------------------- commands

    def resume(self, tail: LogTail) -> None:
        """Take over what the log's tail says of tokens, and of readmissions that were asked for and did not come."""
        self._judge.remember(tail.tokens)
        for address in unanswered(tail.control, tail.pools):
            self._desk.state.readmit(address)

    def suspensions(self, commands: Sequence[Draft]) -> list[Draft]:
        """The pool events that these commands ask for."""
        number = self._desk.state.tip.number
        found: dict[bytes, PoolRecord] = {}
        for command in _about_pools(commands, Command.SUSPEND_POOL):
            address = subject_of(command)
            known = self._desk.state.pools.get(address) if address is not None else None
            if known is not None:
                found[known.address] = suspension(known, number, command)
            else:
                log.warning("asked to suspend %s, which is no pool of the log", command.subject)
        return [Draft((record,)) for record in found.values()]

    def obeyed(self, commands: Sequence[Draft], suspensions: Sequence[Draft]) -> None:
        """Commands and suspensions were written."""
        self.suspended([r for draft in suspensions for r in draft.records if isinstance(r, PoolRecord)])
        for command in _about_pools(commands, Command.READMIT_POOL):
            address = subject_of(command)
            if address is None or not self._desk.state.readmit(address):
                log.warning("asked to readmit %s, which is no pool of the log", command.subject)
            else:
                self._judge.forget(self._tokens_of(address))
        for command in _about_pools(commands, Command.REQUEST_WITNESS):
            address = subject_of(command)
            # A pool that is held or gone stays so: what is asked for is its state, not that it be traded.
            if address in self._desk.state.pools:
                self._desk.state.readmit(address)
                metrics.WITNESSES_REQUESTED.inc()

    def _tokens_of(self, address: bytes) -> list[bytes]:
        record = self._desk.state.pools.get(address) or self._desk.state.held.get(address)
        return [] if record is None else [info.address for info in record.tokens]

    def held_behind(self, reverts: Sequence[BlockRecord]) -> list[PoolRecord]:
        """Suspensions that go with these blocks and are to be said again right behind their reverts."""
        return self._desk.state.held.undone_by(min(old.number for old in reverts)) if reverts else []

    def suspended(self, records: Sequence[PoolRecord]) -> None:
        """These suspensions were written."""
        for record in records:
            self._desk.state.admitted(record)
            metrics.POOLS_REFUSED.labels(record.refusal).inc()


def _about_pools(commands: Sequence[Draft], command: Command) -> list[ControlRecord]:
    records = [record for draft in commands for record in draft.records]
    return [r for r in records if isinstance(r, ControlRecord) and r.command is command]
