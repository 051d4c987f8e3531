"""`sluice gas`: how well the search reckons with gas, and the settings that would do better."""

from __future__ import annotations

import typer
from rich.table import Table

from flows.cli.console import Json, answer, config_of, fail, out


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gas", rich_help_panel="Look")(gas)


def gas(ctx: typer.Context, as_json: Json = False) -> None:
    """Fit search.gas_per_route and search.gas_corrections to what simulations of the log's opportunities measured.

    Estimates decide only which routes are worth a simulation; a route that is chosen is always held to its measured gas. The settings are
    part of what decides, so they change with the configuration, not by themselves: a replay of older decisions needs the older ones.
    """
    from flows.gas_fit import fit
    from infra.kafka.reading import read_records
    from schemas.opportunities import OpportunityRecord

    config = config_of(ctx)
    records = (record for _, record in read_records(config.kafka, OpportunityRecord.TOPIC))
    ours = (r for r in records if isinstance(r, OpportunityRecord) and r.chain == config.chain.id)
    found = fit(ours, config.search)
    if found is None:
        fail("no opportunity in the log was simulated to its end: there is nothing to measure")
    if as_json:
        answer(found._asdict())
        return
    table = Table(title=f"Gas of {found.routes:,} simulated routes", title_justify="left")
    for column in ("term", "hops", "setting that fits"):
        table.add_column(column, justify="left" if column == "term" else "right")
    table.add_row("gas_per_route", "", f"{found.gas_per_route:,}")
    for family, correction in found.corrections.items():
        table.add_row(f"gas_corrections.{family}", f"{found.hops[family]:,}", f"{correction:+,}")
    out.print(table)
    out.print(f"mean error {found.error_before:,.0f} gas as configured, {found.error_after:,.0f} with these settings")
