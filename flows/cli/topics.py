"""`sluice topics`: the topic table, made and checked on a cluster."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table

from flows.cli.console import EXIT_FAILED, Json, answer, config_of, err, out, say
from schemas.topics import DAY_MS, MIB, TOPICS, Topic


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="The topics: list, create, check.")
    group.command("list")(list_topics)
    group.command("create")(create)
    group.command("check")(check)
    app.add_typer(group, name="topics", rich_help_panel="Set up")


def _as_json(row: Topic) -> dict[str, Any]:
    return {
        "name": row.name,
        "record": row.record.__name__,
        "version": row.version,
        "sequenced": row.sequenced,
        "partitions": row.partitions,
        "cleanup": row.cleanup.value,
        "retention_ms": row.retention_ms,
        "max_bytes": row.max_bytes,
        "key": row.key,
        "purpose": row.purpose,
    }


def list_topics(as_json: Json = False) -> None:
    """The topic table: what is kept where, how, and for how long. Names get kafka.topic_prefix in front on a cluster."""
    if as_json:
        answer({"topics": [_as_json(row) for row in TOPICS]})
        return
    table = Table(title="Topics", title_justify="left")
    table.add_column("topic", no_wrap=True)
    table.add_column("parts", justify="right")
    table.add_column("kept, of at most")
    table.add_column("key")
    table.add_column("version", justify="right")
    table.add_column("what")
    for row in TOPICS:
        kept = "for ever" if row.retention_ms < 0 else f"{row.retention_ms // DAY_MS} days"
        kept += ", the last per key" if row.cleanup.value == "compact" else ""
        name = f"[bold]{row.name}[/bold]" if row.sequenced else row.name
        kept += f", {row.max_bytes // MIB} MiB"
        table.add_row(name, str(row.partitions), kept, row.key, str(row.version), row.purpose)
    out.print(table)
    out.print("[bold]Bold[/bold]: the sequenced topics, the truth that a replay starts from.")


def create(ctx: typer.Context, as_json: Json = False) -> None:
    """Create the topics that the cluster lacks. Never changes one that is there; says so if one is not as it should be."""
    from infra.kafka.admin import ensure_topics
    from infra.runtime.probe import probe_broker

    kafka = config_of(ctx).kafka
    probe_broker(kafka)
    created = ensure_topics(kafka)
    if as_json:
        answer({"created": created, "present": [n for r in TOPICS if (n := kafka.topic(r.name)) not in created]})
    else:
        say(f"created {len(created)} of {len(TOPICS)} topics on {kafka.bootstrap_servers}; the others were there")


def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Compare the cluster's topics with the table. Exits with 1 if they differ."""
    from infra.kafka.admin import check_topics
    from infra.runtime.probe import probe_broker

    kafka = config_of(ctx).kafka
    probe_broker(kafka)
    differences = check_topics(kafka)
    if as_json:
        answer({"equal": not differences, "differences": differences})
    elif differences:
        for line in differences:
            err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
        say("`sluice topics create` makes those that are missing")
    else:
        say(f"all {len(TOPICS)} topics on {kafka.bootstrap_servers} are as the table says")
    if differences:
        raise typer.Exit(EXIT_FAILED)
