"""Uniswap V3: the state kept by the logs of recorded blocks, against the state in the chain's own storage after them.

Each V3 pool of a replay bundle's `pool_truth` is one case. The ticks that its logs change or cross are first read from the recorded storage.
Refused: `no_truth` and `not_a_v3_pool` (storage laid out otherwise, so nobody could read what is true), `bad_log_…`.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.recorded_pools import check_logs
from tests.acceptance.result import SuiteResult


def run(data: Path, result: SuiteResult) -> None:
    """Every V3 pool of every replay bundle."""
    check_logs(data, "v3", result)
