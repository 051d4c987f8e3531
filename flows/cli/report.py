"""`sluice report`: what the pipeline did and what it earned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import Json, answer, config_of, out, progress, say
from schemas.config import KafkaConfig
from schemas.decisions import DecisionRecord
from schemas.opportunities import OpportunityRecord
from schemas.record import Record
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord
from schemas.topics import SEQUENCED

OURS = (OpportunityRecord.TOPIC, DecisionRecord.TOPIC, SubmissionRecord.TOPIC, SettlementRecord.TOPIC)
# Of an event each part is on one of these, and part 0 decides which there is; the heavy topics add no event.
_HEADS = tuple(row.name for row in SEQUENCED if row.name in ("blocks", "pending", "hints", "pools", "control"))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", rich_help_panel="Look")(report)


def report(
    ctx: typer.Context,
    parquet: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write settlements.parquet and decisions.parquet there, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What was found, decided, sent and earned, predicted beside realised to the wei.

    Predicted and realised net are sums over included bundles. Amounts in --json are integers in wei of the anchor token.
    """
    from flows.cli.report_view import render
    from flows.report import Tally
    from infra.runtime.probe import probe_broker

    config = config_of(ctx)
    probe_broker(config.kafka)
    tally = Tally(config.chain.id)
    settlements: dict[bytes, SettlementRecord] = {}
    decisions: dict[bytes, DecisionRecord] = {}
    for record in _records(config.kafka, as_json):
        tally.add(record)
        if parquet is not None and getattr(record, "chain", None) == config.chain.id:
            if isinstance(record, SettlementRecord):
                settlements[record.decision_id] = record
            elif isinstance(record, DecisionRecord):
                decisions[record.id] = record
    found = tally.report()
    if as_json:
        answer(found.as_json())
    else:
        render(found, out)
    if parquet is not None:
        from flows.report_parquet import write_parquet

        for path in write_parquet(parquet, settlements.values(), decisions.values()):
            say(f"wrote {path}")


def _records(kafka: KafkaConfig, quiet: bool) -> Iterator[Record]:
    """Everything that is counted; unreadable records are, as everywhere, left to the dead letters."""
    from infra.kafka.reading import read_records
    from schemas.codec import BadRecord

    topics = (*_HEADS, *OURS)
    with progress(quiet) as shown:
        task = shown.add_task("reading", total=len(topics))
        for topic in topics:
            shown.update(task, description=f"reading {topic}")
            for _, record in read_records(kafka, topic):
                if not isinstance(record, BadRecord):
                    yield record
            shown.advance(task)
