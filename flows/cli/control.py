"""`sluice control`: commands to the running flows. They pass through the sequencer, so that a replay sees them too."""

from __future__ import annotations

import getpass
import time
from typing import Annotated

import typer

from flows.cli.console import EXIT_USAGE, Json, answer, config_of, fail, say
from schemas.config import Config
from schemas.control import Command, CommandRecord
from schemas.ids import with_id
from schemas.types import ZERO_HASH

Until = Annotated[int, typer.Option("--until-block", min=0, help="Last block it holds for; 0: until told otherwise.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the log later.")]
_NAME, _TEXT = 64, 2000


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Pause, resume, leave a pool alone, take it in again.")
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("cooldown")(cooldown)
    group.command("suspend")(suspend)
    group.command("readmit")(readmit)
    app.add_typer(group, name="control", rich_help_panel="Steer")


def pause(ctx: typer.Context, until_block: Until = 0, reason: Reason = "", as_json: Json = False) -> None:
    """Choose nothing any more. Events are still followed and decided on, with the reason "paused"."""
    send(config_of(ctx), Command.PAUSE, "", until_block, reason, as_json)


def resume(
    ctx: typer.Context,
    pool: Annotated[str, typer.Option(help="End the cooldown of this pool, too.")] = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Choose again."""
    send(config_of(ctx), Command.RESUME, _pool(pool) if pool else "", 0, reason, as_json)


def cooldown(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Its address, 0x and 40 hex digits.")],
    until_block: Annotated[int, typer.Option("--until-block", min=1, help="Last block it holds for.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Choose no route through a pool for a while."""
    send(config_of(ctx), Command.COOLDOWN, _pool(pool), until_block, reason, as_json)


def suspend(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Its address, 0x and 40 hex digits.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Trade a pool no more, until it is readmitted."""
    send(config_of(ctx), Command.SUSPEND_POOL, _pool(pool), 0, reason, as_json)


def readmit(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Its address, 0x and 40 hex digits.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Take a suspended or refused pool in again: its state and its tokens are read and tried anew."""
    send(config_of(ctx), Command.READMIT_POOL, _pool(pool), 0, reason, as_json)


def _pool(text: str) -> str:
    """A pool's address as commands name it: lower-case hex."""
    digits = text.lower().removeprefix("0x")
    if not text.lower().startswith("0x") or len(digits) != 40 or not set(digits) <= set("0123456789abcdef"):
        fail(f"{text!r} is no address: expected 0x and 40 hex digits", EXIT_USAGE)
    return "0x" + digits


def issuer(now_ns: int) -> str:
    """Who asks, and when: the same command given twice is two commands, so their ids must differ."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"cli:{user[:32]}:{now_ns}"[:_NAME]


def command_record(chain: int, command: Command, subject: str, until_block: int, reason: str, by: str) -> CommandRecord:
    """The record of one command."""
    return with_id(
        CommandRecord(
            id=ZERO_HASH,
            chain=chain,
            command=command,
            subject=subject,
            until_block=until_block,
            reason=reason[:_TEXT],
            issuer=by,
        )
    )


def send(config: Config, command: Command, subject: str, until_block: int, reason: str, as_json: bool) -> None:
    """Write the command and say that the cluster has it."""
    from infra.kafka.writer import CheckedWriter
    from infra.runtime.probe import probe_broker

    probe_broker(config.kafka)
    record = command_record(config.chain.id, command, subject, until_block, reason, issuer(time.time_ns()))
    with CheckedWriter(config.kafka, "control") as writer:
        writer.send(record)
    if as_json:
        answer({"id": "0x" + record.id.hex(), "command": command.value, "subject": subject, "until_block": until_block})
    else:
        say(
            f"{command.value} is asked for; it holds from the event that the sequencer makes of it (sluice show control)"
        )
