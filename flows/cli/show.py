"""`sluice show`: the records of a topic, as people and other programs can read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from flows.cli.console import EXIT_USAGE, Json, answer, config_of, fail
from schemas.config import KafkaConfig
from schemas.topics import BY_NAME

_BATCH = 500
_WAIT_S = 0.2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show", rich_help_panel="Look")(show)


def show(
    ctx: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A name of the topic table, without prefix.")],
    start: Annotated[
        int, typer.Option("--from", help="The first offset in each partition; negative: so many before its end.")
    ] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Print the records of a topic, one JSON object per line: place, and the record or why it cannot be read.

    Bytes are 0x-hex, integers above 2**53 decimal strings. With --json, one object that holds them all.
    """
    if topic not in BY_NAME:
        fail(f"unknown topic {topic!r}; `sluice topics list` has them: {', '.join(BY_NAME)}", EXIT_USAGE)
    if follow and as_json:
        fail("--follow has no end, so there is no one object to print; leave out --json for lines", EXIT_USAGE)
    found = records(config_of(ctx).kafka, topic, start, limit, follow)
    if as_json:
        answer({"topic": topic, "records": list(found)})
        return
    for item in found:
        sys.stdout.write(json.dumps(item) + "\n")
        if follow:
            sys.stdout.flush()


def records(kafka: KafkaConfig, topic: str, start: int, limit: int | None, follow: bool) -> Iterator[dict[str, Any]]:
    """The records of a topic, JSON-ready; to the ends as of the call, or for ever."""
    from infra.kafka import clients
    from infra.kafka.layout import LogLayout, reached
    from infra.kafka.log_reader import LogReader
    from infra.runtime.drain import Drain
    from infra.runtime.probe import probe_broker

    probe_broker(kafka)
    drain = Drain()
    if follow:
        drain.install_signal_handlers()
    layout = LogLayout(kafka, clients.admin(kafka))
    partitions = layout.partitions([topic])
    lows, ends = layout.lows(partitions), layout.settled_ends(partitions)
    begin = {p: max(lows[p], start if start >= 0 else ends[p] + start) for p in partitions}
    left = limit
    with LogReader(kafka, "show", {p: min(offset, ends[p]) for p, offset in begin.items()}) as reader:
        while not drain.is_set() and (follow or not reached(reader.positions, ends)):
            for raw in reader.read(_BATCH, _WAIT_S):
                if not follow and raw.offset >= ends[raw.partition]:
                    continue
                if left is not None and left <= 0:
                    return
                left = None if left is None else left - 1
                yield readable(topic, raw.partition.number, raw.offset, raw.value)
            if left is not None and left <= 0:
                return


def readable(topic: str, partition: int, offset: int, value: bytes | None) -> dict[str, Any]:
    """One message, JSON-ready."""
    from infra.kafka.checked_reader import decode
    from schemas.border import to_json
    from schemas.codec import BadRecord

    place = {"topic": topic, "partition": partition, "offset": offset}
    try:
        return {**place, "record": to_json(decode(topic, value))}
    except BadRecord as error:
        return {**place, "unreadable": {"reason": error.reason.value, "detail": error.detail}}
