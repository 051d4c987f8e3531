"""`sluice demo`: the main job, on a chain and a Kafka of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import EXIT_FAILED, Json, answer, err, out, progress

if TYPE_CHECKING:
    from flows.world import World
    from infra.devnet.builder import BuiltBlock


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", rich_help_panel="Try it")(demo)


def demo(
    blocks: Annotated[int, typer.Option(min=1, help="Blocks of traffic.")] = 80,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two blocks.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Market, users and traffic; our keys are new in each run.")] = 1,
    folder: Annotated[Path, typer.Option(help="Logs, keys and data; emptied first.")] = Path(".sluice/run/demo"),
    as_json: Json = False,
) -> None:
    """Run the whole loop on this machine: chain, users, Kafka, ingest, search, builder, settlement; then replay every decision.

    Everything is real but the money: Apache Kafka, a node with the deployed Uniswap contracts, signed bundles over HTTP to a builder
    that simulates and orders them. Nothing leaves this machine. Exit status 1 when a promise is not kept.
    """
    from flows.cli.replay import replay_as_json
    from flows.cli.report_view import render
    from flows.collect import collect_report
    from flows.demo import broken_promises, replay_all, settle_all
    from flows.world import World

    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()

    def say(line: str) -> None:
        err.print(f"{time.monotonic() - started:6.1f} s  {line}", highlight=False, soft_wrap=True)

    with World(folder.resolve(), seed=seed, second_anchor=True).start(say) as world:
        say("flows: ingest, search and settle, each a process of its own")
        world.start_flows()
        say(f"traffic: {blocks} blocks, one every {interval:g} s; users trade, the flows react, the builder builds")
        _trade(world, blocks, interval, as_json, say)
        say("settling: empty blocks until every decision has its end")
        settle_all(world)
        world.flows.stop()
        report = collect_report(world.config)
        say("replaying every decision from the log, alone, spread over processes, and in other batches")
        replays = replay_all(world.config_path, say)
    broken = broken_promises(report, list(replays.values()), blocks)
    if as_json:
        shown = {name: replay_as_json(result) for name, result in replays.items()}
        answer({**report.as_json(), "replays": shown, "broken_promises": broken})
    else:
        render(report, out)
        for name, result in replays.items():
            out.print(f"replay, {name}: {result.equal} of {result.decisions} decisions equal byte for byte")
        for line in broken:
            out.print(f"[red]not kept: {line}[/red]")
    say(f"done; logs, configuration and data are in {folder}")
    if broken:
        raise typer.Exit(EXIT_FAILED)


def _trade(world: World, blocks: int, interval: float, quiet: bool, say: Callable[[str], None]) -> None:
    from flows.demo import run_traffic

    sent = included = built = 0
    with progress(quiet) as shown:
        task = shown.add_task("blocks", total=blocks)

        def on_block(block: BuiltBlock) -> None:
            nonlocal sent, included, built
            built += 1
            sent += len(block.outcomes)
            included += sum(outcome.included for outcome in block.outcomes)
            line = f"block {block.number}: {sent} bundles at the builder so far, {included} included"
            shown.update(task, advance=1, description=line)
            # Without a terminal there is no bar to watch.
            if shown.disable and not quiet and built % 10 == 0:
                say(line)

        run_traffic(world, blocks, interval, on_block)
