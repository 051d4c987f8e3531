"""PancakeSwap V3: every swap in recorded blocks, made from what the pool's storage held before the block and its logs since.

Fee and tick spacing are asked of the recorded code of the pool. Refused: `no_storage` (the pool's storage or code was not recorded),
`ticks_not_recorded` (the way leads over words of the bitmap that the block did not touch), `bad_log_…`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyrevm

from infra.chain.keccak import keccak
from operators.pools.base import BadLog
from operators.pools.pancake_v3 import BURN_TOPIC, MINT_TOPIC, SWAP_TOPIC, PancakeV3Pool
from schemas.logs import Log
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_swaps import difference, logs_in_order, words_between
from tests.acceptance.result import SuiteResult

_CALLER = "0x" + "44" * 20
_LIQUIDITY_SLOT, _TICKS_SLOT, _BITMAP_SLOT = 5, 6, 7


def run(data: Path, result: SuiteResult) -> None:
    """Every contract of a replay bundle that emits this protocol's Swap."""
    for path, bundle in replay_bundles(data):
        logs: dict[bytes, list[Log]] = {}
        for log in logs_in_order(bundle):
            if log.topics:
                logs.setdefault(log.address, []).append(log)
        for address, its in logs.items():
            if any(_is_swap(log) for log in its):
                _check(f"{path.name} 0x{address.hex()}", address, its, bundle, result)


def _check(where: str, address: bytes, logs: list[Log], bundle: Mapping[str, Any], result: SuiteResult) -> None:
    account = bundle["prestate"].get("0x" + address.hex(), {})
    storage = {int(slot, 16): int(value, 16) for slot, value in account.get("storage", {}).items()}
    code = bundle["codes"].get(account.get("code_hash"))
    swaps = [log for log in logs if _is_swap(log)]
    if code is None or 0 not in storage or _LIQUIDITY_SLOT not in storage:
        for _ in swaps:
            result.refuse("no_storage")
        return
    fee, spacing = (_asked(code, question) for question in ("fee()", "tickSpacing()"))
    start = _signed(storage[0] >> 160, 24)
    visited = [start, *(int.from_bytes(log.data[128:160], "big", signed=True) for log in swaps)]
    named = {_tick(topic) for log in logs if log.topics[0] in (MINT_TOPIC, BURN_TOPIC) for topic in log.topics[2:4]}
    words, ticks = _ticks(storage, spacing, visited, named)
    pool = PancakeV3Pool.from_parts(
        address=address,
        token0=b"\1" * 20,
        token1=b"\2" * 20,
        fee_pips=fee,
        tick_spacing=spacing,
        sqrt_price=storage[0] & (1 << 160) - 1,
        tick=start,
        liquidity=storage[_LIQUIDITY_SLOT],
        ticks=ticks,
    )
    for log in logs:
        try:
            after = pool.apply(log) if log.topics[0] in pool.LOG_TOPICS else pool
        except BadLog as error:
            result.refuse(f"bad_log_{error.reason}")
            return
        if _is_swap(log):
            _compare(where, pool, after, log, words, result)
        pool = after


def _compare(
    where: str, pool: PancakeV3Pool, after: PancakeV3Pool, log: Log, words: set[int], result: SuiteResult
) -> None:
    amount0, amount1 = (int.from_bytes(log.data[at : at + 32], "big", signed=True) for at in (0, 32))
    zero_for_one = amount0 > 0
    if not words.issuperset(words_between(pool.tick, after.tick, pool.tick_spacing, zero_for_one)):
        result.refuse("ticks_not_recorded")
        return
    wrong = difference(pool, zero_for_one, (amount0, amount1, after.sqrt_price, after.tick, after.liquidity))
    result.check(not wrong, f"{where} log {log.log_index}: {wrong}")


def _ticks(
    storage: Mapping[int, int], spacing: int, visited: list[int], named: set[int]
) -> tuple[set[int], list[tuple[int, int, int]]]:
    """The words of the bitmap that were recorded around the visited ticks, and (tick, net, gross) of what is initialised in them."""
    lowest, highest = min(visited) // spacing >> 8, (max(visited) // spacing + 1) >> 8
    words = {
        word: storage[slot] for word in range(lowest, highest + 1) if (slot := _mapped(word, _BITMAP_SLOT)) in storage
    }
    there = {(word * 256 + bit) * spacing for word, bits in words.items() for bit in range(256) if bits >> bit & 1}
    ticks = []
    for tick in sorted(there | named):
        packed = storage.get(_mapped(tick, _TICKS_SLOT))
        if packed:
            ticks.append((tick, _signed(packed >> 128, 128), packed & (1 << 128) - 1))
        elif tick in there:
            ticks.append(
                (tick, 0, 1)
            )  # not crossed in these blocks, so what it holds was not recorded and is of no effect
    return set(words), ticks


def _asked(code: str, question: str) -> int:
    """What the deployed code answers to a question about its constants."""
    evm = pyrevm.EVM(spec_id="Cancun")
    account = "0x" + "11" * 20
    evm.insert_account_info(account, pyrevm.AccountInfo(code=bytes.fromhex(code.removeprefix("0x"))))
    answer = evm.message_call(caller=_CALLER, to=account, calldata=keccak(question.encode())[:4])
    return int.from_bytes(bytes(answer), "big")


def _is_swap(log: Log) -> bool:
    return log.topics[0] == SWAP_TOPIC


def _mapped(key: int, slot: int) -> int:
    return int.from_bytes(keccak(key.to_bytes(32, "big", signed=True) + slot.to_bytes(32, "big")), "big")


def _tick(topic: bytes) -> int:
    return int.from_bytes(topic, "big", signed=True)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)
