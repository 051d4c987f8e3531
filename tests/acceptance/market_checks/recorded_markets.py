"""Whole recorded markets: every pool loads and agrees with itself, and every block's changes follow from one log of the pool each.

A pool of a recording is a case: its state is one of its family (concentrated liquidity: price, tick, liquidity and ticks agree, and each tick's
price is the recorded one to the bit), and comes back from its record unchanged. A changed pool is a case more: applying the log that its
contract would have written leads from the state before to the recorded one (`positions_changed`: no single log does that), and a swap to
the recorded price ends with the recorded liquidity and tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.pools import pancake_v3, uniswap_v3
from operators.pools.base import BadLog, BadState, Pool, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.records import packed_state
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.pools.v3_math.tick_math import sqrt_price_at
from schemas.logs import Log
from schemas.plain import unpack_plain
from tests.acceptance.market_recordings import Recording, market_recordings
from tests.acceptance.result import SuiteResult

_MOST = (1 << 127) - 1


def run(data: Path, result: SuiteResult) -> None:
    """Every pool of every update of every recording."""
    for recording in market_recordings(data):
        _check(recording, result)


def _check(recording: Recording, result: SuiteResult) -> None:
    for protocol, count in sorted(recording.unmodelled.items()):
        for _ in range(count):
            result.refuse(f"not_modelled_{protocol}")
    known: dict[bytes, Pool] = {}
    for update in recording.updates:
        for pool in update.pools:
            where = f"{recording.path.name} block {update.block} 0x{pool.address.hex()}"
            result.check(not (wrong := _state(pool, update.raw[pool.address])), f"{where}: {wrong}")
            before = known.get(pool.address)
            if before is not None:
                _advance(where, before, pool, result)
            known[pool.address] = pool


def _state(pool: Pool, raw: Mapping[str, Any]) -> str:
    """What is wrong with a state by itself, empty if nothing."""
    try:
        again = type(pool).from_plain(unpack_plain(packed_state(pool)))
    except (BadState, ValueError) as error:
        return str(error)
    if again != pool or again.digest_entry() != pool.digest_entry():
        return "another state comes back from its record"
    if isinstance(pool, ConcentratedPool):
        if wrong := pool.audit():
            return wrong
        for tick in raw["ticks"]["ticks"]:
            if sqrt_price_at(tick["index"]) != int(tick["sqrt_price"], 16):
                return f"tick {tick['index']} has another price"
    return ""


def _advance(where: str, before: Pool, after: Pool, result: SuiteResult) -> None:
    """The way from one recorded state to the next."""
    if isinstance(after, ConcentratedPool) and isinstance(before, ConcentratedPool) and before.ticks != after.ticks:
        result.refuse("positions_changed")
        return
    try:
        found = before.apply(_log(after))
    except BadLog as error:
        result.fail(f"{where}: {error}")
        return
    wrong = "" if found == after else "its log leads to another state"
    if not wrong and isinstance(before, ConcentratedPool) and isinstance(after, ConcentratedPool):
        wrong = _moved(before, after)
    result.check(not wrong, f"{where}: {wrong}")


def _moved(before: ConcentratedPool, after: ConcentratedPool) -> str:
    """A swap up to the recorded price must end as recorded."""
    if before.sqrt_price == after.sqrt_price:
        return ""
    try:
        state = before.swap(after.sqrt_price < before.sqrt_price, _MOST, after.sqrt_price).state
    except QuoteRefused as error:
        return f"no swap leads to its price: {error}"
    # Coming down to the price of a tick, the contract stops on either side of it, as the amount allows.
    same = (state.sqrt_price, state.liquidity) == (after.sqrt_price, after.liquidity) and state.tick == after.tick
    on_a_tick = sqrt_price_at(max(state.tick, after.tick)) == after.sqrt_price and abs(state.tick - after.tick) <= 1
    return "" if same or on_a_tick else f"a swap to its price ends at tick {state.tick}, liquidity {state.liquidity}"


def _log(pool: Pool) -> Log:
    """The log by which the contract would have announced the state."""
    if isinstance(pool, V2Pool):
        return Log(pool.address, (SYNC_TOPIC,), _words(pool.reserve0, pool.reserve1), 0, 0)
    assert isinstance(pool, ConcentratedPool)
    data = _words(0, 0, pool.sqrt_price, pool.liquidity, pool.tick)
    data += _words(0, 0) if isinstance(pool, PancakeV3Pool) else b""
    return Log(pool.address, (_swap_topic(pool), bytes(32), bytes(32)), data, 0, 0)


def _swap_topic(pool: ConcentratedPool) -> bytes:
    return pancake_v3.SWAP_TOPIC if isinstance(pool, PancakeV3Pool) else uniswap_v3.SWAP_TOPIC


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big", signed=value < 0) for value in values)
