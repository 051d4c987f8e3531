"""The Kafka key of each record, as the topic table states it in words."""

from __future__ import annotations

from schemas.audits import AuditRecord
from schemas.control import CommandRecord
from schemas.dead_letter import DeadLetterRecord
from schemas.decisions import DecisionRecord
from schemas.findings import FindingRecord
from schemas.opportunities import OpportunityRecord
from schemas.record import Record, Sequenced
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord
from schemas.tokens import TokenRecord


def key_of(record: Record) -> bytes:
    """The message key of a record: records with one key share a partition, and so an order.

    Raises `TypeError` for a record of no topic.
    """
    if isinstance(record, Sequenced | CommandRecord):
        return str(record.chain).encode()
    if isinstance(record, SubmissionRecord | SettlementRecord):
        return record.decision_id
    if isinstance(record, OpportunityRecord | DecisionRecord):
        return record.id
    if isinstance(record, AuditRecord):
        return record.opportunity_id
    if isinstance(record, TokenRecord):
        return f"{record.chain}/0x{record.token.hex()}".encode()
    if isinstance(record, FindingRecord):
        return record.pool
    if isinstance(record, DeadLetterRecord):
        return f"{record.topic}/{record.partition}/{record.offset}".encode()
    raise TypeError(f"no key is defined for {type(record).__name__}")
