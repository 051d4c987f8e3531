"""`sluice config`: whether a configuration file is right, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import EXIT_FAILED, Json, answer, config_of, config_path, err, out, say
from schemas.config import Config, ConfigError, SecretRef, dump_config, load_config


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Check and show the configuration.")
    group.command("check")(check)
    group.command("show")(show)
    app.add_typer(group, name="config", rich_help_panel="Set up")


def secrets_of(config: Config) -> Iterator[tuple[str, SecretRef]]:
    """Every reference to a secret, with its key."""
    for name in ("owner_key", "relay_identity_key"):
        if (ref := getattr(config.submit, name)) is not None:
            yield f"submit.{name}", ref
    for name, ref in config.kafka.client_secrets.items():
        yield f"kafka.client_secrets.{name}", ref


def problems_of(path: Path) -> list[str]:
    """What is wrong with a configuration file, one sentence each: keys, values, and secrets that lead nowhere."""
    # Only here: the families' arithmetic takes a while to load.
    from flows.families import check_families

    try:
        config = load_config(path)
        check_families(config)
    except ConfigError as error:
        return str(error).splitlines()
    problems = []
    for key, ref in secrets_of(config):
        try:
            ref.resolve()
        except ConfigError as error:
            problems.append(f"{key}: {error}")
    return problems


def warnings_of(config: Config) -> list[str]:
    """What can be meant, but hardly is."""
    # The example's placeholders; below 0x0100 are the chain's own precompiled contracts.
    warnings = [
        f"executor.{name} is a placeholder: no transaction of ours can come from it"
        for name in ("address", "owner")
        if int.from_bytes(getattr(config.executor, name), "big") < 0x100
    ]
    if not config.ingest.factories and not config.ingest.pools:
        warnings.append("ingest has neither factories nor pools: there is nothing to trade")
    return warnings


def check(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="By default the file of --config.")] = None,
    as_json: Json = False,
) -> None:
    """Read a configuration file and say what is wrong with it, key by key. Secrets are read, never shown."""
    file = path or config_path(ctx)
    problems = problems_of(file)
    warnings = [] if problems else warnings_of(load_config(file))
    for line in warnings:
        say(f"warning: {line}")
    if as_json:
        answer({"path": str(file), "valid": not problems, "problems": problems, "warnings": warnings})
    elif not problems:
        say(f"{file} is valid")
    else:
        for line in problems:
            err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
        say("sluice.example.toml explains every key")
    if problems:
        raise typer.Exit(EXIT_FAILED)


def show(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the configuration with all defaults filled in, as TOML; secrets stay references."""
    config = config_of(ctx)
    if as_json:
        answer(config.model_dump(mode="json"))
    else:
        out.print(dump_config(config), markup=False, highlight=False, soft_wrap=True, end="")
