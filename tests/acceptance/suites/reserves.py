"""V2 reserves kept by the logs of recorded blocks, against the reserves in the chain's own storage.

Each V2 pool of a replay bundle's `pool_truth` is one case: from its `pre` state the Sync logs of the bundle's blocks, in order,
must lead to its `post` state. Both were read from storage, independently of logs. Refused: `no_truth` where storage could not be
read as a pair's, `not_a_v2_pair` where the contract swapped without the Sync that every UniswapV2Pair emits (Solidly forks have an
event of their own), `bad_log_…` and `bad_state` where the family refuses.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.recorded_pools import check_logs
from tests.acceptance.result import SuiteResult, absent


def run(data: Path) -> SuiteResult:
    """Check every V2 pool of every replay bundle under `data`."""
    result = SuiteResult()
    return result if check_logs(data, "v2", result) else absent()
