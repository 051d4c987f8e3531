"""The pools of a replay bundle in their states before its first block and after its last, both read from the chain's own storage.

Of a pool of concentrated liquidity the ticks that its logs change or cross are known, which is what its logs need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra.chain.keccak import keccak
from operators.pools.base import BadLog, BadState, Pool
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.pools.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, SWAP_TOPIC, V3Pool
from operators.pools.v3_math.tick_math import tick_at
from schemas.logs import Log
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_swaps import unhex
from tests.acceptance.result import SuiteResult

#: keccak256("Swap(address,uint256,uint256,uint256,uint256,address)"): a V2 pair's, beside the Sync that tells its reserves.
_V2_SWAP_TOPIC = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")
_V2_FEE_PIPS = 3000  # of no effect: reserves come from logs
_TICKS_SLOT = 5
_SWAP_LENGTH = 160
_UNKNOWN = 3000, 1  # fee and spacing where they were not recorded; of no effect on what logs say


class Recorded(NamedTuple):
    """A pool ("v2" or "v3") before the blocks, with its logs in them, and (reserves) or (sqrt price, tick, liquidity, protocol fee) after them;
    or why there is none."""

    kind: str
    address: bytes
    before: Pool | None
    after: tuple[int, ...]
    logs: Sequence[Log]
    refusal: str = ""


def block_logs(bundle: Mapping[str, Any]) -> Iterator[tuple[int, tuple[Log, ...]]]:
    """(Number, logs in order) of each block of a bundle, in order."""
    numbered = sorted(
        zip(bundle["blocks"], bundle["receipts"], strict=True), key=lambda pair: int(pair[0]["number"], 16)
    )
    for block, receipts in numbered:
        ordered = sorted(receipts, key=lambda receipt: int(receipt["transactionIndex"], 16))
        yield int(block["number"], 16), tuple(_log(log) for receipt in ordered for log in receipt["logs"])


def _log(log: Mapping[str, Any]) -> Log:
    topics = tuple(unhex(topic) for topic in log["topics"])
    tx_index, log_index = int(log["transactionIndex"], 16), int(log["logIndex"], 16)
    return Log(unhex(log["address"]), topics, unhex(log["data"]), tx_index, log_index)


def recorded_pools(bundle: Mapping[str, Any], logs: Iterable[Log]) -> list[Recorded]:
    """Every pool of a bundle's `pool_truth`, by address."""
    truth = {unhex(address): state for address, state in bundle["pool_truth"].items()}
    by_pool: dict[bytes, list[Log]] = {address: [] for address in truth}
    for log in logs:
        if log.address in by_pool and log.topics:
            by_pool[log.address].append(log)
    return [_recorded(address, truth[address], by_pool[address], bundle["prestate"]) for address in sorted(truth)]


def state_of(pool: Pool) -> tuple[int, ...]:
    """What `Recorded.after` holds of a pool."""
    if isinstance(pool, V2Pool):
        return pool.reserve0, pool.reserve1
    assert isinstance(pool, V3Pool)
    return pool.sqrt_price, pool.tick, pool.liquidity, pool.protocol_fee


def check_logs(data: Path, kind: str, result: SuiteResult) -> int:
    """Feed every pool of one kind its logs, and hold it against what storage has after them. Returns the number of bundles."""
    bundles = 0
    for path, bundle in replay_bundles(data):
        bundles += 1
        for pool in recorded_pools(bundle, (log for _, logs in block_logs(bundle) for log in logs)):
            if pool.kind != kind:
                continue
            if pool.before is None:
                result.refuse(pool.refusal)
                continue
            try:
                found = state_of(_fed(pool.before, pool.logs))
            except BadLog as error:
                result.refuse(f"bad_log_{error.reason}")
                continue
            where = f"{path.name} 0x{pool.address.hex()}"
            result.check(found == pool.after, f"{where}: {found} after {len(pool.logs)} logs, storage has {pool.after}")
    return bundles


def _fed(pool: Pool, logs: Iterable[Log]) -> Pool:
    for log in logs:
        if log.topics[0] in pool.LOG_TOPICS:
            pool = pool.apply(log)
    return pool


def _recorded(address: bytes, truth: Mapping[str, Any], logs: Sequence[Log], prestate: Mapping[str, Any]) -> Recorded:
    before, after = truth.get("pre"), truth.get("post")
    if before is None or after is None:
        # Its storage is laid out otherwise than the protocol's own, so nobody could read what is true.
        return Recorded(truth["kind"], address, None, (), logs, "no_truth")
    make = _v2 if truth["kind"] == "v2" else _v3
    try:
        return make(address, truth, logs, prestate)
    except BadState:
        return Recorded(truth["kind"], address, None, (), logs, "bad_state")


def _v2(address: bytes, truth: Mapping[str, Any], logs: Sequence[Log], prestate: Mapping[str, Any]) -> Recorded:
    topics = {log.topics[0] for log in logs}
    if SYNC_TOPIC not in topics and _V2_SWAP_TOPIC in topics:
        return Recorded("v2", address, None, (), logs, "not_a_v2_pair")
    # Tokens are not known for every recorded pool and have no part in this; two different ones make a valid state.
    tokens = [
        unhex(truth[name]) if truth.get(name) else bytes([number]) * 20
        for number, name in ((1, "token0"), (2, "token1"))
    ]
    reserves = [(int(truth[when]["reserve0"]), int(truth[when]["reserve1"])) for when in ("pre", "post")]
    pool = V2Pool.from_plain((address, *tokens, _V2_FEE_PIPS, *reserves[0], ""))
    return Recorded("v2", address, pool, reserves[1], logs)


def _v3(address: bytes, truth: Mapping[str, Any], logs: Sequence[Log], prestate: Mapping[str, Any]) -> Recorded:
    names = ("sqrtPriceX96", "tick", "liquidity", "feeProtocol")
    price, tick, liquidity, fee_protocol = (int(truth["pre"][name]) for name in names)
    if not _plausible(price, tick):
        return Recorded("v3", address, None, (), logs, "not_a_v3_pool")
    pool = V3Pool.from_parts(
        address=address, token0=b"\1" * 20, token1=b"\2" * 20, fee_pips=_UNKNOWN[0], tick_spacing=_UNKNOWN[1],
        sqrt_price=price, tick=tick, liquidity=liquidity, ticks=_ticks(address, tick, logs, prestate),
        protocol_fee=fee_protocol,
    )  # fmt: skip
    return Recorded("v3", address, pool, tuple(int(truth["post"][name]) for name in names), logs)


def _plausible(price: int, tick: int) -> bool:
    """Whether price and tick belong together, as they do where storage is laid out as UniswapV3Pool's."""
    try:
        return tick_at(price) in (tick, tick + 1)
    except ValueError:
        return False


def _ticks(address: bytes, start: int, logs: Sequence[Log], prestate: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(tick, net, gross) before the blocks of every tick that they changed or crossed, as far as it was initialised."""
    storage = {int(slot, 16): int(value, 16) for slot, value in prestate["0x" + address.hex()]["storage"].items()}
    named = {
        int.from_bytes(topic, "big", signed=True)
        for log in logs
        if log.topics[0] in (MINT_TOPIC, BURN_TOPIC)
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
    return log.topics[0] == SWAP_TOPIC and len(log.data) == _SWAP_LENGTH
