"""The sequencer's hand on the log: events are numbered, written as one transaction, and only then remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from flows.ingest.outcomes import IngestStopped
from infra.ingest import metrics
from infra.kafka.transactional import TransactionalWriter
from operators.ingest.drafts import Draft, stamp, without_witness
from operators.ingest.log_state import LogState
from schemas.codec import BadRecord
from schemas.event import kind_of
from schemas.pending import PendingRecord
from schemas.record import Record
from schemas.topics import topic


class Ledger:
    """Writes events of one chain."""

    def __init__(self, chain: int, state: LogState) -> None:
        """`open` it before anything is written."""
        self._chain = chain
        self._state = state
        self._writer: TransactionalWriter | None = None
        #: Whether anything was committed since it was opened.
        self.committed = False

    def open(self, writer: TransactionalWriter) -> None:
        """Write with this writer, which is closed with the ledger."""
        self._writer = writer

    async def commit(self, drafts: Sequence[Draft]) -> None:
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

    async def note(self, records: Sequence[Record]) -> None:
        """Write records that have no place in the order of events."""
        assert self._writer is not None
        await asyncio.to_thread(self._writer.commit, records)

    async def close(self) -> None:
        """Leave the cluster."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)


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
