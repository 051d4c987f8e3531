"""`sluice replay`: the recorded decisions again, from the log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import EXIT_FAILED, Json, answer, config_of, config_path, err, out

if TYPE_CHECKING:
    from flows.replay import Difference, ReplayResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", rich_help_panel="Look")(replay)


def replay(
    ctx: typer.Context,
    from_block: Annotated[int, typer.Option(min=0, help="First head whose decisions are compared.")] = 0,
    to_block: Annotated[int | None, typer.Option(min=0, help="Last head; by default the newest.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that the replaying flow is spread over.")
    ] = 1,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Events read at once; must make no difference.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Replay with this engine (revm, pyrevm) and compare the decisions without the engine's name."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the search flow over the recorded events again and compare its decisions byte for byte.

    The flow starts at the beginning of the log, writes nothing to Kafka and can reach no relay. Exit status 1 when a decision differs.
    """
    from flows.replay import run_replay

    config_of(ctx)
    last = 2**63 - 1 if to_block is None else to_block
    with err.status("replaying the log"):
        result = run_replay(config_path(ctx), from_block, last, processes, batch_size, engine)
    if as_json:
        answer(replay_as_json(result))
    else:
        show_replay(result)
    if result.different:
        raise typer.Exit(EXIT_FAILED)


def replay_as_json(result: ReplayResult) -> dict[str, Any]:
    """The machine-readable answer."""
    first = result.first_difference
    return {
        "decisions": result.decisions,
        "equal": result.equal,
        "different": result.different,
        "first_difference": None if first is None else _difference(first),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    from schemas.border import to_json

    recorded, replayed = difference.recorded, difference.replayed
    return {
        "seq": difference.seq,
        "recorded": None if recorded is None else to_json(recorded),
        "replayed": None if replayed is None else to_json(replayed),
    }


def show_replay(result: ReplayResult) -> None:
    """The same for people."""
    out.print(f"{result.equal} of {result.decisions} decisions equal byte for byte")
    if result.first_difference is not None:
        out.print(f"[red]first difference at event {result.first_difference.seq}[/red]")
        out.print_json(data=_difference(result.first_difference))
