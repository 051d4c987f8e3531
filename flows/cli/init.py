"""`sluice init`: a configuration file to begin with."""

from __future__ import annotations

import typer

from flows.cli.console import EXIT_FAILED, Json, answer, config_path, fail, say
from infra.toolchain.layout import ROOT

EXAMPLE = ROOT / "sluice.example.toml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", rich_help_panel="Set up")(init)


def init(ctx: typer.Context, as_json: Json = False) -> None:
    """Write a commented configuration file, ./sluice.toml or what --config names. Never overwrites one."""
    path = config_path(ctx)
    try:
        text = EXAMPLE.read_text()
    except OSError as error:
        fail(f"{EXAMPLE}: {error.strerror}; the commented example is part of the source tree")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path} exists and is not overwritten. Move it away, or write elsewhere: sluice --config PATH init")
    except OSError as error:
        fail(f"{path}: {error.strerror}", EXIT_FAILED)
    if as_json:
        answer({"path": str(path)})
        return
    say(f"wrote {path}. Set chain, executor and ingest.factories in it, then: sluice config check")
