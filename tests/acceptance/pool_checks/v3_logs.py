"""Uniswap V3: the state kept by the logs of recorded blocks, against the state in the chain's own storage after them.

Each V3 pool of a replay bundle's `pool_truth` is one case. The ticks that its logs change or cross are first read from the recorded storage.
Refused: `no_truth` and `not_a_v3_pool` (storage laid out otherwise, so nobody could read what is true), `bad_log_…`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.chain.keccak import keccak
from operators.pools.base import BadLog, BadState
from operators.pools.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, SWAP_TOPIC, V3Pool
from operators.pools.v3_math.tick_math import tick_at
from schemas.logs import Log
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_swaps import logs_in_order, unhex
from tests.acceptance.result import SuiteResult

_TICKS_SLOT = 5
_SWAP_LENGTH = 160
_UNKNOWN = 3000, 1  # fee and spacing where they were not recorded; of no effect on what logs say


def run(data: Path, result: SuiteResult) -> None:
    """Every V3 pool of every replay bundle."""
    for path, bundle in replay_bundles(data):
        truth = {unhex(pool): state for pool, state in bundle["pool_truth"].items() if state["kind"] == "v3"}
        logs: dict[bytes, list[Log]] = {address: [] for address in truth}
        for log in logs_in_order(bundle):
            if log.address in logs:
                logs[log.address].append(log)
        for address, state in truth.items():
            _check(f"{path.name} 0x{address.hex()}", address, state, logs[address], bundle["prestate"], result)


def _check(
    where: str,
    address: bytes,
    truth: Mapping[str, Any],
    logs: list[Log],
    prestate: Mapping[str, Any],
    result: SuiteResult,
) -> None:
    before, after = truth.get("pre"), truth.get("post")
    if before is None or after is None:
        result.refuse("no_truth")
        return
    if not _plausible(before):
        result.refuse("not_a_v3_pool")
        return
    try:
        pool = _pool(address, before, _ticks(address, int(before["tick"]), logs, prestate))
        for log in logs:
            if log.topics and log.topics[0] in V3Pool.LOG_TOPICS:
                pool = pool.apply(log)
    except (BadLog, BadState) as error:
        result.refuse(f"bad_log_{error.reason}" if isinstance(error, BadLog) else "bad_state")
        return
    found = pool.sqrt_price, pool.tick, pool.liquidity, pool.protocol_fee
    recorded = tuple(int(after[name]) for name in ("sqrtPriceX96", "tick", "liquidity", "feeProtocol"))
    result.check(found == recorded, f"{where}: {found} after {len(logs)} logs, storage has {recorded}")


def _plausible(state: Mapping[str, Any]) -> bool:
    """Whether price and tick belong together, as they do where storage is laid out as UniswapV3Pool's."""
    price, tick = int(state["sqrtPriceX96"]), int(state["tick"])
    try:
        return tick_at(price) in (tick, tick + 1)
    except ValueError:
        return False


def _pool(address: bytes, state: Mapping[str, Any], ticks: list[tuple[int, int, int]]) -> V3Pool:
    return V3Pool.from_parts(
        address=address,
        token0=b"\1" * 20,
        token1=b"\2" * 20,
        fee_pips=_UNKNOWN[0],
        tick_spacing=_UNKNOWN[1],
        sqrt_price=int(state["sqrtPriceX96"]),
        tick=int(state["tick"]),
        liquidity=int(state["liquidity"]),
        ticks=ticks,
        protocol_fee=int(state["feeProtocol"]),
    )


def _ticks(address: bytes, start: int, logs: list[Log], prestate: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(tick, net, gross) before the blocks of every tick that they changed or crossed, as far as it was initialised."""
    storage = {int(slot, 16): int(value, 16) for slot, value in prestate["0x" + address.hex()]["storage"].items()}
    named = {
        int.from_bytes(topic, "big", signed=True)
        for log in logs
        if log.topics and log.topics[0] in (MINT_TOPIC, BURN_TOPIC)
        for topic in log.topics[2:4]
    }
    visited = [start, *(int.from_bytes(log.data[128:160], "big", signed=True) for log in logs if _is_swap(log))]
    ticks = []
    for tick in sorted(named.union(range(min(visited), max(visited) + 1))):
        key = tick.to_bytes(32, "big", signed=True) + _TICKS_SLOT.to_bytes(32, "big")
        packed = storage.get(int.from_bytes(keccak(key), "big"), 0)
        net, gross = packed >> 128, packed & (1 << 128) - 1
        if gross:
            ticks.append((tick, net - (net >> 127 << 128), gross))
    return ticks


def _is_swap(log: Log) -> bool:
    return bool(log.topics) and log.topics[0] == SWAP_TOPIC and len(log.data) == _SWAP_LENGTH
