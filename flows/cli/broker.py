"""`sluice broker`: a Kafka on this machine, for people without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import Json, answer, config_path, fail, log_to_stderr, say
from infra.toolchain.layout import HOME

_DEFAULT_PORT = 9092
_LOCAL = ("127.0.0.1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="A Kafka broker on this machine.")
    group.command("run")(run)
    app.add_typer(group, name="broker", rich_help_panel="Set up")


def configured_port(path: Path) -> int:
    """The port at which the configuration expects a broker on this machine; Kafka's usual one without a configuration."""
    from schemas.config import load_config

    if not path.exists():
        return _DEFAULT_PORT
    servers = load_config(path).kafka.bootstrap_servers
    host, _, port = servers.partition(",")[0].rpartition(":")
    if host not in _LOCAL or not port.isdigit():
        fail(
            f"{path}: kafka.bootstrap_servers is {servers}, which is not this machine; use that cluster, or give --port"
        )
    return int(port)


def run(
    ctx: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="By default the port in kafka.bootstrap_servers; 0 for a free one."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Data and log; kept, so that the next start goes on.")] = HOME / "broker",
    as_json: Json = False,
) -> None:
    """Run one Kafka broker (KRaft, one node) in the foreground until Ctrl-C."""
    from infra.kafka.broker import LocalBroker
    from infra.runtime.drain import Drain
    from infra.runtime.ports import accepts

    log_to_stderr()
    wanted = configured_port(config_path(ctx)) if port is None else port
    if wanted and accepts(wanted):
        fail(
            f"port {wanted} is taken already: a broker may be running. `sluice topics check` asks it; --port takes another"
        )
    drain = Drain()
    drain.install_signal_handlers()
    broker = LocalBroker(folder)
    if wanted:
        broker.port = wanted
    say(f"starting Kafka, data and log in {folder}")
    with broker.start():
        if as_json:
            answer({"bootstrap_servers": broker.bootstrap_servers, "pid": broker.pid, "folder": str(folder)})
        say(
            f"Kafka answers at {broker.bootstrap_servers}. Next, in another terminal: sluice topics create. Ctrl-C stops it"
        )
        while not drain.wait(0.2):
            if not broker.running:
                fail(f"the broker ended by itself; the end of its log:\n{broker.log_tail()}")
    say("Kafka stopped; its data is kept")
