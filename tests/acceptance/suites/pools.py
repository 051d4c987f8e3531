"""Every pool family's arithmetic against recorded swaps, vectors and on-chain answers.

Each file in `pool_checks/` holds one protocol, or one kind of recording, against what was recorded. A refusal's reason names the check before it.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance import pool_checks
from tests.acceptance.checks import run_checks
from tests.acceptance.result import SuiteResult


def run(data: Path) -> SuiteResult:
    """Run every check over `data`; the count of each goes to stderr."""
    return run_checks(pool_checks, data)
