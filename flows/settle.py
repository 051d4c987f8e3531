"""The settlement flow: blocks, decisions and submissions in, one settlement row per decision out."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.outputs import Sink

from operators.settlement.core import SettlementSettings
from operators.settlement.facts import BlockFacts, block_facts
from operators.settlement.step import settlement_join
from schemas.anchors import anchors_of
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.record import Record
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord

FLOW_ID = "settle"


def settlement_settings(config: Config) -> SettlementSettings:
    """What settlement takes from the configuration."""
    return SettlementSettings(config.chain.id, config.settle.patience_blocks, config.settle.history_blocks)


def build(
    config: Config,
    events: Source[Event],
    decisions: Source[tuple[str, Record]],
    submissions: Source[tuple[str, Record]],
    sink: Sink[tuple[str, Record]],
) -> Dataflow:
    """The flow. Decisions and submissions come as (topic, record)."""
    anchors, accounts = anchors_of(config), frozenset((config.executor.owner, config.executor.address))

    def facts_of(event: Event) -> BlockFacts | None:
        return block_facts(event, anchors, accounts)

    def of_our_chain(item: tuple[str, Record]) -> DecisionRecord | SubmissionRecord | None:
        record = item[1]
        if isinstance(record, DecisionRecord | SubmissionRecord) and record.chain == config.chain.id:
            return record
        return None

    def keyed(item: tuple[str, SettlementRecord]) -> tuple[str, Record]:
        return item[1].decision_id.hex(), item[1]

    flow = Dataflow(FLOW_ID)
    blocks = op.filter_map("block_facts", op.input("events", flow, events), facts_of)
    decided = op.filter_map("our_decisions", op.input("decisions", flow, decisions), of_our_chain)
    submitted = op.filter_map("our_submissions", op.input("submissions", flow, submissions), of_our_chain)
    records: Stream[DecisionRecord | SubmissionRecord] = op.merge("records", decided, submitted)
    rows = settlement_join("settlement_join", blocks, records, config.settle.shards, settlement_settings(config))
    op.output("settlements", op.map("to_records", rows, keyed), sink)
    return flow
