"""`sluice dead-letters`: the records that could not be read."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.cli.console import Json, answer, config_of, out, say
from schemas.dead_letter import DeadLetterRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dead-letters", rich_help_panel="Look")(dead_letters)


def dead_letters(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Show the newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the records that a flow could not read: where they are, why, and who met them. Each is counted once.

    The bytes are kept with them: sluice show dead_letter.
    """
    from infra.kafka.reading import read_records
    from infra.runtime.probe import probe_broker

    kafka = config_of(ctx).kafka
    probe_broker(kafka)
    found: dict[tuple[str, int, int], DeadLetterRecord] = {}
    for _, record in read_records(kafka, DeadLetterRecord.TOPIC):
        if isinstance(record, DeadLetterRecord):
            found[record.topic, record.partition, record.offset] = record
    letters = list(found.values())
    reasons = Counter(letter.reason for letter in letters)
    if as_json:
        answer(
            {
                "count": len(letters),
                "reasons": dict(reasons.most_common()),
                "records": [_plain(x) for x in letters[-limit:]],
            }
        )
        return
    if not letters:
        say("no record was unreadable")
        return
    table = Table(title=f"{len(letters):,} unreadable records", title_justify="left")
    for name in ("topic", "partition", "offset", "reason", "bytes", "met by", "detail"):
        table.add_column(name, justify="right" if name in ("partition", "offset", "bytes") else "left")
    for x in letters[-limit:]:
        table.add_row(x.topic, str(x.partition), str(x.offset), x.reason, str(len(x.value)), x.reader, x.detail)
    out.print(table)


def _plain(letter: DeadLetterRecord) -> dict[str, Any]:
    names = ("topic", "partition", "offset", "reason", "detail", "reader")
    return {**{name: getattr(letter, name) for name in names}, "bytes": len(letter.value)}
