"""The command line `sluice`.

A group of commands is one file with `register(app)`; to add one, import it here and list it.
"""

from __future__ import annotations

from importlib.metadata import version as package_version
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from flows.cli import (
    block,
    broker,
    config,
    control,
    dead_letters,
    demo,
    discover,
    factories,
    flow,
    gas,
    init,
    replay,
    report,
    show,
    topics,
)
from flows.cli.console import DEFAULT_CONFIG
from flows.cli.failures import FriendlyGroup

#: In the order in which help shows them.
GROUPS: tuple[ModuleType, ...] = (
    *(demo, block, init, config, broker, topics, factories, discover, flow),
    *(report, gas, replay, show, dead_letters, control),
)

_HELP = """
[bold]Sluice[/bold]: an open stream pipeline for searchers.

[bold]The loop[/bold]
  node > [cyan]ingest[/cyan] > Kafka > [cyan]search[/cyan] > bundles to relays; decisions to Kafka
  Kafka > [cyan]settle[/cyan] > every decision's end, predicted beside realised > [cyan]report[/cyan]

[bold]First steps[/bold]
  sluice demo            the whole loop on this machine, with a chain and a Kafka of its own; nothing leaves it
  sluice init            write a commented sluice.toml, then edit it
  sluice config check    say what is wrong with it
  sluice broker run      a Kafka on this machine, for those who have none
  sluice topics create   make the topics
  sluice factories       the pool factories that are known, for the configuration
  sluice ingest          and [cyan]search[/cyan], and [cyan]settle[/cyan], each in a terminal of its own
  sluice report          what came of it

Nothing is sent to anybody unless the configuration says
[bold]submit.live = true[/bold]. Ctrl-C (or SIGTERM) drains a flow: what is under way
is finished and saved, and the next start goes on from there.
"""

app = typer.Typer(
    name="sluice",
    cls=FriendlyGroup,
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # Local variables may hold what no log should.
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sluice {package_version('sluice')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config_file: Annotated[
        Path, typer.Option("--config", "-c", envvar="SLUICE_CONFIG", help="The configuration file.")
    ] = DEFAULT_CONFIG,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What all commands share."""
    ctx.obj = config_file


for _group in GROUPS:
    _group.register(app)

if __name__ == "__main__":
    app()
