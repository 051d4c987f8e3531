"""The whole pipeline over recorded blocks (`sluice block`): reserves in the flow, and every included bundle to the wei.

Each V2 pool that a block touched is one case: after the block as it was, its reserves in the running flow must be those of the chain's
own state. Each included bundle is one more: what it brought must be what was predicted; where it is not, the settlement's reason is
counted as refused, and no reason is wrong. Refused besides: `not_a_pair` (the flow found that the address is no V2 pair), `no_v2_pools`, `many_blocks` (a file with several blocks has no single
state before it), `blob_transaction_left_out` (a node takes none without its blobs), `unplayable` (no node with the block's rules).

Needs the local broker and node. `SLUICE_ACCEPTANCE_BLOCKS=N` takes N files spread over the folder, for a short run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.processes import FlowDied, FlowProcesses
from flows.recorded_block import BlockError, BlockRun, RecordedBlock
from infra.devnet.builder import BuilderError
from infra.devnet.genesis import BadBundle, UnplayableBlock
from infra.kafka.broker import LocalBroker
from schemas.config import load_config
from schemas.settlements import Outcome, SettlementRecord
from tests.acceptance.files import replay_bundles
from tests.acceptance.result import SuiteResult, absent

LIMIT = "SLUICE_ACCEPTANCE_BLOCKS"


def run(data: Path) -> SuiteResult:
    """Run every replay bundle of one block under `data` through the pipeline."""
    result = SuiteResult()
    runnable: list[Path] = []
    bundles = 0
    for path, bundle in replay_bundles(data):
        bundles += 1
        reason = _why_not(bundle)
        if reason:
            result.refuse(reason)
        else:
            runnable.append(path)
    if not bundles:
        return absent()
    chosen = _spread(runnable, int(os.environ.get(LIMIT, "0")))
    with TemporaryDirectory(prefix="sluice-blocks-") as folder, LocalBroker(Path(folder) / "kafka") as broker:
        for number, path in enumerate(chosen, 1):
            print(f"blocks: {number} of {len(chosen)}: {path.name}", file=sys.stderr)
            _run_one(result, path, Path(folder) / path.name, broker)
    return result


def _why_not(bundle: Mapping[str, Any]) -> str:
    if len(bundle["blocks"]) != 1:
        return "many_blocks"
    pools = (truth for truth in bundle["pool_truth"].values() if truth["kind"] == "v2" and truth.get("post"))
    return "" if any(pools) else "no_v2_pools"


def _spread(paths: list[Path], limit: int) -> list[Path]:
    """`limit` of the paths, evenly spread; all of them for 0."""
    if not limit or limit >= len(paths):
        return paths
    return [paths[index * len(paths) // limit] for index in range(limit)]


def _run_one(result: SuiteResult, path: Path, folder: Path, broker: LocalBroker) -> None:
    try:
        with RecordedBlock(path, folder, broker) as block:
            run = block.run()
            rows = FlowProcesses.settlements(load_config(block.config_path)).values()
    except UnplayableBlock:
        result.refuse("unplayable")
        return
    except (FlowDied, BlockError, BuilderError, BadBundle) as error:
        result.fail(f"{path.name}: {error}")
        return
    _judge_pools(result, path.name, run)
    for row in rows:
        if row.outcome in (Outcome.INCLUDED, Outcome.REVERTED):
            _judge_bundle(result, path.name, row)


def _judge_pools(result: SuiteResult, name: str, run: BlockRun) -> None:
    for check in run.pools:
        if check.refusal:
            result.refuse(check.refusal)
        elif check.equal and run.digests_agree:
            result.right()
        elif run.left_out:
            result.refuse("blob_transaction_left_out")
        else:
            result.fail(f"{name} pool 0x{check.pool.hex()}: flow {check.flow}, chain {check.chain}")


def _judge_bundle(result: SuiteResult, name: str, row: SettlementRecord) -> None:
    if row.error == 0 and row.outcome is Outcome.INCLUDED:
        result.right()
    elif row.reason:
        result.refuse(row.reason)
    else:
        result.fail(f"{name} decision 0x{row.decision_id.hex()}: off by {row.error} wei, and no reason")
