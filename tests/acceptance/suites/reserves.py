"""V2 reserves kept by the logs of recorded blocks, against the reserves in the chain's own storage.

Each V2 pool of a replay bundle's `pool_truth` is one case: from its `pre` state the Sync logs of the bundle's blocks, in order,
must lead to its `post` state. Both were read from storage, independently of logs. Refused: `no_truth` where storage could not be
read as a pair's, `not_a_v2_pair` where the contract swapped without the Sync that every UniswapV2Pair emits (Solidly forks have an
event of their own), `bad_log_…` and `bad_state` where the family refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from operators.pools.base import BadLog, BadState
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from schemas.logs import Log
from tests.acceptance.files import replay_bundles
from tests.acceptance.result import SuiteResult, absent

_FEE_PIPS = 3000  # of no effect here: reserves come from logs
#: keccak256("Swap(address,uint256,uint256,uint256,uint256,address)")
_SWAP_TOPIC = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")


def run(data: Path) -> SuiteResult:
    """Check every V2 pool of every replay bundle under `data`."""
    result = SuiteResult()
    bundles = 0
    for path, bundle in replay_bundles(data):
        bundles += 1
        truth = {_bytes(address): pool for address, pool in bundle["pool_truth"].items() if pool["kind"] == "v2"}
        logs = _logs_of(bundle, truth)
        for address, pool in truth.items():
            _check(result, f"{path.name} 0x{address.hex()}", address, pool, logs[address])
    return result if bundles else absent()


def _check(result: SuiteResult, where: str, address: bytes, truth: Mapping[str, Any], logs: list[Log]) -> None:
    if truth.get("pre") is None or truth.get("post") is None:
        # Its storage is laid out otherwise than UniswapV2Pair's, so nobody could read what is true.
        result.refuse("no_truth")
        return
    syncs = [log for log in logs if log.topics[0] == SYNC_TOPIC]
    if not syncs and any(log.topics[0] == _SWAP_TOPIC for log in logs):
        result.refuse("not_a_v2_pair")
        return
    try:
        pool = _pool(address, truth)
        for log in syncs:
            pool = pool.apply(log)
    except (BadState, BadLog) as error:
        result.refuse(f"bad_log_{error.reason}" if isinstance(error, BadLog) else "bad_state")
        return
    found, expected = (pool.reserve0, pool.reserve1), _reserves(truth["post"])
    result.check(found == expected, f"{where}: reserves {found} after {len(syncs)} logs, storage has {expected}")


def _pool(address: bytes, truth: Mapping[str, Any]) -> V2Pool:
    # Tokens are not known for every recorded pool and have no part in this; two different ones make a valid state.
    tokens = [
        _bytes(truth[name]) if truth.get(name) else bytes([number]) * 20
        for number, name in ((1, "token0"), (2, "token1"))
    ]
    return V2Pool.from_plain((address, *tokens, _FEE_PIPS, *_reserves(truth["pre"]), ""))


def _reserves(state: Mapping[str, Any]) -> tuple[int, int]:
    return int(state["reserve0"]), int(state["reserve1"])


def _logs_of(bundle: Mapping[str, Any], pools: Mapping[bytes, Any]) -> dict[bytes, list[Log]]:
    """The logs of each pool, in the order of the chain."""
    logs: dict[bytes, list[Log]] = {address: [] for address in pools}
    for log in _in_order(bundle):
        if log.address in logs and log.topics:
            logs[log.address].append(log)
    return logs


def _in_order(bundle: Mapping[str, Any]) -> Iterator[Log]:
    numbered = sorted(
        zip(bundle["blocks"], bundle["receipts"], strict=True), key=lambda pair: int(pair[0]["number"], 16)
    )
    for _, receipts in numbered:
        for receipt in sorted(receipts, key=lambda receipt: int(receipt["transactionIndex"], 16)):
            for log in receipt["logs"]:
                topics = tuple(_bytes(topic) for topic in log["topics"])
                tx_index, log_index = int(log["transactionIndex"], 16), int(log["logIndex"], 16)
                yield Log(_bytes(log["address"]), topics, _bytes(log["data"]), tx_index, log_index)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
