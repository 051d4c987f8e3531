"""Every pool family's arithmetic against recorded swaps, vectors and on-chain answers.

Each file in `pool_checks/` holds one protocol, or one kind of recording, against what was recorded. A refusal's reason names the check before it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.acceptance import pool_checks
from tests.acceptance.result import SuiteResult, absent


def run(data: Path) -> SuiteResult:
    """Run every check over `data`; the count of each goes to stderr."""
    total = SuiteResult()
    table = Table("check", "cases", "exact", "refused", "wrong")
    for name in sorted(module.name for module in pkgutil.iter_modules(pool_checks.__path__)):
        result = SuiteResult()
        importlib.import_module(f"{pool_checks.__name__}.{name}").run(data, result)
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
