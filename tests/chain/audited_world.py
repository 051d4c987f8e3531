"""A world that was searched under traffic, and the audit flow run over its log in this process, with any node in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bytewax.testing import TestingSink, TestingSource, run_main

from flows import audit
from infra.kafka.reading import read_events, read_records
from schemas.audits import AuditRecord
from schemas.codec import BadRecord
from schemas.config import AuditConfig, Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.opportunities import OpportunityRecord
from schemas.record import Record


def records_of(config: Config, *topics: str) -> list[Record]:
    """All records of some topics, one topic after the other."""
    found: list[Record] = []
    for topic in topics:
        for _, record in read_records(config.kafka, topic):
            assert not isinstance(record, BadRecord), record
            found.append(record)
    return found


def opportunities_of(config: Config) -> dict[bytes, OpportunityRecord]:
    """The opportunities of a log by id."""
    found = records_of(config, OpportunityRecord.TOPIC)
    return {o.id: o for o in found if isinstance(o, OpportunityRecord)}


def audits_of(config: Config) -> dict[bytes, AuditRecord]:
    """The last audit of each opportunity."""
    return {a.opportunity_id: a for a in records_of(config, AuditRecord.TOPIC) if isinstance(a, AuditRecord)}


def audited(
    config: Config,
    tamper: Callable[[Record], Record] = lambda record: record,
    events: Sequence[Event] | None = None,
    **settings: Any,
) -> list[Record]:
    """What the audit flow says of a whole log, with `audit` settings of one's own; `tamper` is laid over what the search said."""
    own = config.model_copy(update={"audit": AuditConfig(**{"rate": 1.0, "request_timeout_s": 60.0, **settings})})
    said: Iterable[Record] = map(tamper, records_of(config, DecisionRecord.TOPIC, OpportunityRecord.TOPIC))
    events = list(read_events(config.kafka, config.chain.id)) if events is None else events
    # Fewer events at a time than records: what waits for a node is tried again at the next head, so heads must keep coming.
    said_by_topic = [(record.TOPIC, record) for record in said]
    out: list[tuple[str, Record]] = []
    run_main(
        audit.build(own, TestingSource(events, 4), TestingSource(said_by_topic, 16), TestingSink(out), audit.Pace())
    )
    return [record for _, record in out]
