"""Where words go: answers to stdout, everything else to stderr; and how a command ends that could not do its work."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.config import Config, load_config

out = Console()
err = Console(stderr=True)

DEFAULT_CONFIG = Path("sluice.toml")
#: Wrong use, as the command line library has it; and work that could not be done.
EXIT_USAGE, EXIT_FAILED = 2, 1

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


def config_path(ctx: typer.Context) -> Path:
    """The configuration file of this call."""
    path = ctx.find_root().obj
    return path if isinstance(path, Path) else DEFAULT_CONFIG


def config_of(ctx: typer.Context) -> Config:
    """The configuration of this call. Raises `ConfigError`; one that is not there ends the call with the way to get one."""
    path = config_path(ctx)
    if not path.exists():
        fail(f"{path}: no such file. `sluice init` writes one; `sluice --config PATH …` names another", EXIT_USAGE)
    return load_config(path)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """End the call with a message."""
    err.print(f"sluice: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def answer(value: dict[str, Any]) -> None:
    """The one object of a `--json` call."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """A line for people."""
    err.print(message, markup=False, highlight=False, soft_wrap=True)


def progress(quiet: bool) -> Progress:
    """A progress display on stderr; `quiet` (a `--json` call) or no terminal: none."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )


def log_to_stderr() -> None:
    """Logging of a flow that runs in the foreground."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line per request would drown the rest, and a node's address may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
