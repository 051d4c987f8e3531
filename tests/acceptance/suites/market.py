"""The market kept in step with the chain: whole recorded markets block by block, and recorded blocks applied, reverted and applied again.

Each file in `market_checks/` holds one kind of recording. A refusal's reason names the check before it.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance import market_checks
from tests.acceptance.checks import run_checks
from tests.acceptance.result import SuiteResult


def run(data: Path) -> SuiteResult:
    """Run every check over `data`; the count of each goes to stderr."""
    return run_checks(market_checks, data)
