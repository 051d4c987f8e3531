"""Recorded blocks through the graph's shards: applied, all reverted, applied again.

Every pool of every replay bundle is a case: after the blocks it holds what the chain's storage holds, after their revert what it held before, and
after they were applied once more the whole graph has the digest that it had. Refused as in `tests.acceptance.recorded_pools`, and
`bad_log_…` where a pool was suspended over one of its logs.
"""

from __future__ import annotations

from pathlib import Path

from operators.graph.journal import DEPTH
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_pools import Recorded, block_logs, recorded_pools, state_of
from tests.acceptance.result import SuiteResult
from tests.unit.graph.graph import Graph


def run(data: Path, result: SuiteResult) -> None:
    """Every pool of every replay bundle."""
    for path, bundle in replay_bundles(data):
        blocks = [logs for _, logs in block_logs(bundle)]
        pools = recorded_pools(bundle, (log for logs in blocks for log in logs))
        _check(path.name, pools, blocks, result)


def _check(name: str, pools: list[Recorded], blocks: list[tuple[object, ...]], result: SuiteResult) -> None:
    graph = Graph(pools=[pool.before for pool in pools if pool.before is not None])
    before = graph.state()
    for logs in blocks:
        graph.block(*logs)  # type: ignore[arg-type]
    tracked, after = graph.tracked, graph.state()
    # The journal undoes so many blocks and no more.
    undone = min(len(blocks), DEPTH)
    for _ in range(undone):
        graph.revert()
    restored = graph.state() == before if undone == len(blocks) else True
    for logs in blocks[len(blocks) - undone :]:
        graph.block(*logs)  # type: ignore[arg-type]
    same = graph.state() == after
    for pool in pools:
        if pool.before is None:
            result.refuse(pool.refusal)
            continue
        now = tracked[pool.address]
        if now.reason:
            result.refuse(now.reason.replace(":", "_"))
            continue
        where = f"{name} 0x{pool.address.hex()}"
        if not (restored and same):
            result.fail(f"{where}: the graph is another after a revert of {undone} blocks and their return")
            continue
        found = state_of(now.pool)
        result.check(found == pool.after, f"{where}: {found} after {len(blocks)} blocks, storage has {pool.after}")
