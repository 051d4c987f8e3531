"""`sluice factories`: the pool factories that are known, ready for the configuration."""

from __future__ import annotations

from typing import Annotated, Any

import tomli_w
import typer

from flows.cli.console import EXIT_FAILED, Json, answer, err
from schemas.known import FACTORIES, POOLS


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("factories", rich_help_panel="Set up")(factories)


def factories(
    chain: Annotated[int, typer.Option("--chain", help="The chain's id.")] = 1,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="Only of this pool family; may be given several times.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the known factories of a chain as TOML, to be copied into the configuration: `sluice factories --family uniswap_v3 >> sluice.toml`.

    Pools that no factory announces stand in a comment: they go into ingest.pools.
    """
    known = [f for f in FACTORIES.get(chain, ()) if family is None or f.family in family]
    pools = [p for p in POOLS.get(chain, ()) if family is None or p.family in family]
    if not known and not pools:
        err.print(f"no factory of chain {chain}{' and these families' if family else ''} is known", style="red")
        raise typer.Exit(EXIT_FAILED)
    tables: list[dict[str, Any]] = [f.model_dump(mode="json", exclude_none=True, exclude_defaults=True) for f in known]
    listed = [p.model_dump(mode="json", exclude_none=True) for p in pools]
    if as_json:
        answer({"chain": chain, "factories": tables, "pools": listed})
        return
    for table in tables:
        typer.echo(f"[[ingest.factories]]\n{tomli_w.dumps(table)}")
    if listed:
        shown = ", ".join(f'{{ address = "{p["address"]}", family = "{p["family"]}" }}' for p in listed)
        typer.echo(f"# [ingest]\n# pools = [{shown}]")
