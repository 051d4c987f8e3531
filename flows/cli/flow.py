"""`sluice ingest`, `search`, `settle`, `tripwire`, `audit`: the flows, each until SIGTERM or Ctrl-C drains it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import EXIT_USAGE, config_of, config_path, fail, log_to_stderr
from schemas.config import Config

Processes = Annotated[int, typer.Option(min=1, max=64, help="Spread the flow over so many processes of this machine.")]
# What one of several processes is told by the process that starts them.
ProcessId = Annotated[int | None, typer.Option(hidden=True)]
Addresses = Annotated[str | None, typer.Option(hidden=True)]
RunFolder = Annotated[Path | None, typer.Option(hidden=True)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, search, settle, tripwire, audit):
        app.command(command.__name__, rich_help_panel="Run the flows")(command)


def ingest(ctx: typer.Context) -> None:
    """The sequencer: a node's blocks, logs, pools and pending transactions, in one order, into Kafka.

    One per chain: a second one takes over, and the first stops with exit code 3. Exit code 4: the node cannot be followed.
    """
    from flows.ingest import EXIT_FENCED, EXIT_STOPPED, IngestStopped, run_ingest
    from infra.kafka.errors import Fenced
    from infra.runtime.drain import Drain

    config = config_of(ctx)
    log_to_stderr()
    drain = Drain()
    drain.install_signal_handlers()
    try:
        run_ingest(config, drain)
    except Fenced as error:
        fail(f"ingest stopped: {error}", EXIT_FENCED)
    except IngestStopped as error:
        fail(f"ingest stopped: {error}", EXIT_STOPPED)


def search(
    ctx: typer.Context,
    processes: Processes = 1,
    trace: Annotated[
        Path | None, typer.Option(help="Append a line of JSON per stage and event: when the stage was done with it.")
    ] = None,
    process_id: ProcessId = None,
    addresses: Addresses = None,
) -> None:
    """The searcher: events in, decisions out, bundles to the relays. A dry run unless submit.live is true."""
    from flows.run_search import run_search
    from infra.runtime.drain import Drain
    from infra.runtime.stages import trace_file

    config = config_of(ctx)
    log_to_stderr()
    drain = Drain()
    drain.install_signal_handlers()
    trace = trace_file(trace)
    if processes > 1:
        more = ["--trace", str(trace)] if trace else []
        _spread(ctx, config, drain, "search", processes, more)
    else:
        run_search(config, drain, process_id=process_id, addresses=_listed(process_id, addresses), trace=trace)


def settle(
    ctx: typer.Context,
    processes: Processes = 1,
    process_id: ProcessId = None,
    addresses: Addresses = None,
    run_folder: RunFolder = None,
) -> None:
    """The accountant: every decision joined with what the chain did, predicted beside realised."""
    from tempfile import TemporaryDirectory

    from flows.run_settle import run_settle
    from infra.runtime.drain import Drain

    config = config_of(ctx)
    log_to_stderr()
    drain = Drain()
    drain.install_signal_handlers()
    if processes > 1:
        with TemporaryDirectory(prefix="sluice-settle-") as folder:
            _spread(ctx, config, drain, "settle", processes, ["--run-folder", folder])
    else:
        listed = _listed(process_id, addresses)
        run_settle(config, drain, process_id=process_id, addresses=listed, run_folder=run_folder)


def tripwire(ctx: typer.Context) -> None:
    """The watchdog: pools of the log compared with the chain, each within a day; one that differs is suspended.

    What it finds is on the topic `findings`. Only `sluice control readmit` takes a suspended pool in again.
    """
    from flows.tripwire import run_tripwire
    from infra.runtime.drain import Drain

    config = config_of(ctx)
    log_to_stderr()
    drain = Drain()
    drain.install_signal_handlers()
    run_tripwire(config, drain)


def audit(ctx: typer.Context) -> None:
    """The second judge: a sample of the opportunities executed on a node as well, success, gas and profit compared.

    What comes of it is on the topic `audits`. Too many differences raise an alarm, and pause the search where audit.pause_on_alarm is set.
    """
    from flows.audit import run_audit
    from infra.runtime.drain import Drain

    config = config_of(ctx)
    log_to_stderr()
    drain = Drain()
    drain.install_signal_handlers()
    run_audit(config, drain)


def _spread(ctx: typer.Context, config: Config, drain: object, name: str, count: int, more: list[str]) -> None:
    from flows.cluster import run_processes, this_program
    from infra.runtime.drain import Drain

    assert isinstance(drain, Drain)
    command = this_program("--config", str(config_path(ctx)), name, *more)
    run_processes(name, command, count, config.runtime.state_dir / "logs", drain)


def _listed(process_id: int | None, addresses: str | None) -> list[str] | None:
    if (process_id is None) != (addresses is None):
        fail("--process-id and --addresses go together; use --processes", EXIT_USAGE)
    return addresses.split(",") if addresses else None
