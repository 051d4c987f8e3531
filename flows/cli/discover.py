"""`sluice discover`: which pools the configured factories made, and which of them could be traded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from flows.cli.console import Json, answer, config_of, err, out, progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.discover import Discovered
    from flows.ingest.discovery import FactorySearch


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("discover", rich_help_panel="Run the flows")(discover)


def discover(
    ctx: typer.Context,
    search_only: Annotated[
        bool, typer.Option("--search-only", help="Only find the pools; do not read their states.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search the factories' past for pools and read them at the node's head: found, admitted and refused by family.

    What is found is kept under runtime.state_dir: a run that is ended goes on where it was, and `sluice ingest` starts with it. Nothing is
    written to Kafka.
    """
    from flows.discover import Watcher, run_discovery

    config = config_of(ctx)
    if not config.ingest.factories and not config.ingest.pools:
        say("ingest has neither factories nor pools: there is nothing to find")
    with progress(as_json) as display:
        shown = _Shown(display)
        found = run_discovery(config, Watcher(shown.searched, shown.read), read=not search_only)
    if as_json:
        answer(_as_json(found, read=not search_only))
    else:
        out.print(_table(found, read=not search_only))
        for name, source in found.sources.items():
            if source != "logs":
                err.print(f"factory {name}: the node tells no logs of the past; source: {source}", style="yellow")


class _Shown:
    """The progress display: a line a factory, and one for the reading."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._tasks: dict[str, TaskID] = {}

    def searched(self, searches: Sequence[FactorySearch]) -> None:
        for search in searches:
            self._update(f"blocks of {search.factory.name}", search.done, search.total)

    def read(self, done: int, total: int) -> None:
        self._update("pools read", done, total)

    def _update(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._display.add_task(name, total=total)
        self._display.update(self._tasks[name], completed=done, total=total)


def _as_json(found: Discovered, *, read: bool) -> dict[str, object]:
    families: dict[str, object] = {}
    for family, count in sorted(found.families.items()):
        told: dict[str, object] = {"found": count.found}
        if read:
            told |= {"admitted": count.admitted, "refused": dict(sorted(count.refused.items()))}
        families[family or "unknown"] = told
    return {"block": found.block, "families": families, "sources": found.sources, "requests": found.requests}


def _table(found: Discovered, *, read: bool) -> Table:
    table = Table(title=f"pools at block {found.block:,}")
    table.add_column("family")
    for name in ("found", "admitted", "refused") if read else ("found",):
        table.add_column(name, justify="right")
    if read:
        table.add_column("reasons")
    for family, count in sorted(found.families.items()):
        row = [family or "unknown", f"{count.found:,}"]
        if read:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in count.refused.most_common())
            row += [f"{count.admitted:,}", f"{count.refused.total():,}", reasons]
        table.add_row(*row)
    return table
