"""Recorded blocks executed: after each block every pool that logged in it is what its own code says, back through the reverts and forth again.

A case is a pool and a block. Refused: `not_recorded` (the record lacks what the pool's views read), `not_this_family`, `executed_otherwise` (the execution made
other logs of the pool than the chain), `unexecutable` (the engine cannot begin the block), `revm_not_built` (the extension is not built), `bad_log_…` where the pool was suspended over one of its logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from operators.graph.journal import DEPTH
from operators.simulation.revm_engine import RevmEngine, SystemCallRefused, available
from tests.acceptance.executed_pools import ExecutedPool, executed_pools
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_pools import block_logs
from tests.acceptance.result import SuiteResult
from tests.unit.graph.graph import Graph


def run(data: Path, result: SuiteResult) -> None:
    """Every pool and block of every replay bundle."""
    for path, bundle in replay_bundles(data):
        if not available():
            result.refuse("revm_not_built")
            continue
        try:
            pools = executed_pools(RevmEngine(), bundle)
        except SystemCallRefused:
            result.refuse("unexecutable")
            continue
        _check(path.name, pools, bundle, result)


def _check(name: str, pools: Sequence[ExecutedPool], bundle: Mapping[str, Any], result: SuiteResult) -> None:
    graph = Graph(pools=[pool.before for pool in pools if pool.before is not None])
    blocks = list(block_logs(bundle))
    states = [graph.state()]
    for number, logs in blocks:
        graph.block(*logs)
        states.append(graph.state())
        _judge(name, number, pools, graph, result)
    for pool in pools:
        if pool.before is None:
            result.refuse(pool.refusal)
    # The journal undoes so many blocks and no more.
    undone = blocks[-DEPTH:]
    for back in range(1, len(undone) + 1):
        graph.revert()
        if graph.state() != states[-1 - back]:
            result.fail(f"{name}: after {back} reverts the graph is not what it was before those blocks")
    for _, logs in undone:
        graph.block(*logs)
    result.check(
        graph.state() == states[-1],
        f"{name}: the graph is another after a revert of {len(undone)} blocks and their return",
    )


def _judge(name: str, number: int, pools: Sequence[ExecutedPool], graph: Graph, result: SuiteResult) -> None:
    tracked = graph.tracked
    for pool in pools:
        if number not in pool.after:
            continue
        now, told = tracked[pool.address], pool.after[number]
        if now.reason:
            result.refuse(now.reason.replace(":", "_"))
        elif told is None:
            result.refuse("executed_otherwise")
        else:
            found = pool.facts_of(now.pool)
            result.check(
                found == told, f"{name} block {number} 0x{pool.address.hex()}: {found}, the contract says {told}"
            )
