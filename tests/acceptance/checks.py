"""A suite made of checks, one file each, found by their files."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

from tests.acceptance.result import SuiteResult, absent


def run_checks(checks: ModuleType, data: Path) -> SuiteResult:
    """Run every module of the package `checks` over `data`; the count of each goes to stderr."""
    total = SuiteResult()
    table = Table("check", "cases", "exact", "refused", "wrong")
    for name in sorted(module.name for module in pkgutil.iter_modules(checks.__path__)):
        result = SuiteResult()
        importlib.import_module(f"{checks.__name__}.{name}").run(data, result)
        _add(total, name, result)
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(result.refused.items())) or "0"
        table.add_row(name, str(result.cases), str(result.exact), refused, str(result.wrong))
    Console(file=sys.stderr).print(table)
    return total if total.cases else absent()


def _add(total: SuiteResult, name: str, result: SuiteResult) -> None:
    total.cases += result.cases
    total.exact += result.exact
    total.wrong += result.wrong
    for reason, count in result.refused.items():
        total.refused[f"{name}: {reason}"] += count
    total.failures += [f"{name}: {failure}" for failure in result.failures]
