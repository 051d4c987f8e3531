"""`python -m tests.acceptance DIR [SUITE ...] [--json]`: exit 0 if nothing is wrong, 1 if a case is, 2 on wrong use."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.acceptance import registry
from tests.acceptance.files import UnreadableFile, recorded
from tests.acceptance.result import SuiteResult


def main(arguments: list[str] | None = None) -> int:
    """Run suites and print what they found. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options.folder, options.suites)
    errors = Console(stderr=True)
    results: dict[str, SuiteResult] = {}
    for name in dict.fromkeys(options.suites or registry.names()):
        run, description = registry.load(name)
        errors.print(f"[bold]{name}[/]: {description}", soft_wrap=True)
        try:
            results[name] = run(options.folder)
        except UnreadableFile as error:
            parser.error(str(error))
        for failure in results[name].failures:
            errors.print(f"  wrong: {failure}", markup=False, highlight=False, soft_wrap=True)
    if options.json:
        print(json.dumps({name: result.to_json() for name, result in results.items()}))
    else:
        Console().print(_table(results))
    return 1 if any(result.wrong for result in results.values()) else 0


def _parser() -> argparse.ArgumentParser:
    suites = "\n".join(f"  {name:12} {registry.load(name)[1]}" for name in registry.names())
    parser = argparse.ArgumentParser(
        prog="python -m tests.acceptance",
        description="Hold Sluice against recorded chain data.",
        epilog=f"suites (all, if none is named):\n{suites}\n\nexit: 0 nothing wrong, 1 a case is wrong, 2 wrong use",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder laid out like the shared data folder")
    parser.add_argument("suites", metavar="SUITE", nargs="*", help="which suites to run")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    return parser


def _check(parser: argparse.ArgumentParser, folder: Path, suites: list[str]) -> None:
    """End with exit code 2, saying what to do, where the command cannot be run as given."""
    known = registry.names()
    unknown = [name for name in suites if name not in known]
    if unknown:
        parser.error(f"unknown suite {', '.join(unknown)}; known: {', '.join(known)}")
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder")
    if not recorded(folder):
        parser.error(f"{folder} holds no recorded data (*.json, *.json.xz, *.jsonl.xz): is it the folder of the data?")


def _table(results: dict[str, SuiteResult]) -> Table:
    table = Table("suite", "cases", "exact", "refused", "wrong")
    for name, result in results.items():
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(result.refused.items())) or "0"
        table.add_row(
            name, str(result.cases), str(result.exact), refused, f"[red]{result.wrong}[/]" if result.wrong else "0"
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
