"""`sluice block FILE`: a real block in a box."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import EXIT_FAILED, Json, answer, out, say

if TYPE_CHECKING:
    from flows.recorded_block import BlockRun
    from flows.report import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("block", rich_help_panel="Try it")(block)


def block(
    file: Annotated[
        Path, typer.Argument(help="A recorded block: prestate, code, transactions, receipts (.json or .json.xz).")
    ],
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep logs, configuration and Kafka's data there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline on one recorded block, with a node that holds exactly the state before it.

    The block's transactions come in as pending; then the block is built as it was, and the reserves in the flow are held to the
    chain's own state; then the chain goes one block back and builds it again with the bundles that the flow has sent. Exit status 1
    when a pool's reserves differ.
    """
    from flows.collect import collect_report
    from flows.recorded_block import RecordedBlock
    from schemas.config import load_config

    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(TemporaryDirectory(prefix="sluice-block-")))
        world = stack.enter_context(RecordedBlock(file, folder.resolve()))
        run = world.run(say)
        report = collect_report(load_config(world.config_path))
    if as_json:
        answer(block_as_json(run, report))
    else:
        _show(run, report)
    if not run.ok:
        raise typer.Exit(EXIT_FAILED)


def block_as_json(run: BlockRun, report: Report) -> dict[str, Any]:
    """The machine-readable answer; wei as integers."""
    return {
        "block": run.block,
        "transactions": run.transactions,
        "transactions_left_out": run.left_out,
        "events": report.events,
        "pools_checked": sum(not check.refusal for check in run.pools),
        "pools_equal": sum(check.equal for check in run.pools),
        "pools_refused": {f"0x{check.pool.hex()}": check.refusal for check in run.pools if check.refusal},
        "state_digest_agrees": run.digests_agree,
        "opportunities": report.opportunities,
        "bundles_sent": report.bundles_sent,
        "bundles_included": report.bundles_included,
        "included_exact": report.included_exact,
        "predicted_net_wei": report.predicted_net_wei,
        "realised_net_wei": report.realised_net_wei,
        "rejections": report.rejections,
        "outcomes": report.outcomes,
    }


def _show(run: BlockRun, report: Report) -> None:
    for name, value in block_as_json(run, report).items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        out.print(f"{name.replace('_', ' '):24}{shown}", highlight=False)
    for check in run.pools:
        if not check.equal and not check.refusal:
            out.print(f"[red]pool 0x{check.pool.hex()}: the flow has {check.flow}, the chain {check.chain}[/red]")
