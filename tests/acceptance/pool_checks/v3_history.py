"""Uniswap V3: the whole life of a pool from its first price on, each swap made by us from the state that ours was in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.pools.base import BadLog, QuoteRefused
from operators.pools.uniswap_v3 import BURN_TOPIC, INITIALIZE_TOPIC, MINT_TOPIC, V3Pool
from operators.pools.v3_math.tick_math import tick_at
from schemas.logs import Log
from tests.acceptance.files import parse, read_all
from tests.acceptance.result import SuiteResult

_MINT = 1


def run(data: Path, result: SuiteResult) -> None:
    """Files with `pool_config`, `liquidity_events` and `swap_events`."""
    for path, raw in read_all(data, b'"liquidity_events"'):
        content = parse(path, raw)
        if isinstance(content, dict) and {"pool_config", "liquidity_events", "swap_events"} <= content.keys():
            _replay(path.name, content, result)


def _replay(where: str, content: dict[str, Any], result: SuiteResult) -> None:
    pool = _created(content)
    events = sorted((*content["liquidity_events"], *content["swap_events"]), key=_order)
    for event in events:
        at = f"{where} block {event['block_number']} log {event['log_index']}"
        if "tick_lower" not in event:
            pool = _swap(at, pool, event, result)
            continue
        try:
            pool = pool.apply(_position_log(pool, event))
        except BadLog as error:
            result.fail(f"{at}: {error}")
            return
        result.check(not pool.audit(), f"{at}: {pool.audit()}")


def _created(content: dict[str, Any]) -> V3Pool:
    config = content["pool_config"]
    token0, token1 = (bytes.fromhex(config[name].removeprefix("0x")) for name in ("token0", "token1"))
    address = bytes.fromhex(content["pool"].removeprefix("0x"))
    bare = V3Pool.from_parts(
        address=address,
        token0=token0,
        token1=token1,
        fee_pips=int(config["fee"]),
        tick_spacing=int(config["tick_spacing"]),
    )
    price = int(config["initial_sqrt_price_X96"])
    return bare.apply(Log(address, (INITIALIZE_TOPIC,), _word(price) + _word(tick_at(price)), 0, 0))


def _order(event: dict[str, Any]) -> tuple[int, int, int]:
    return event["block_number"], event["transaction_index"], event["log_index"]


def _position_log(pool: V3Pool, event: dict[str, Any]) -> Log:
    minted = event["type"] == _MINT
    ticks = _word(event["tick_lower"]), _word(event["tick_upper"])
    amounts = b"".join(_word(int(event[name])) for name in ("liquidity", "amount0", "amount1"))
    data = _word(0) + amounts if minted else amounts
    return Log(pool.address, (MINT_TOPIC if minted else BURN_TOPIC, _word(0), *ticks), data, 0, 0)


def _swap(where: str, pool: V3Pool, event: dict[str, Any], result: SuiteResult) -> V3Pool:
    """The swap as asked for; where the recording does not say the limit, it is the price that was reached."""
    recorded = tuple(int(event[name]) for name in ("amount0", "amount1", "sqrt_price_x96", "liquidity", "tick"))
    amount0, _, price, liquidity, tick = recorded
    found: tuple[int, ...] = ()
    for limit in (None, price):
        try:
            done = pool.swap(amount0 > 0, int(event["amount_specified"]), limit)
        except QuoteRefused as refused:
            result.fail(f"{where}: our pool refuses it: {refused}")
            break
        state = done.state
        found = done.amount0, done.amount1, state.sqrt_price, state.liquidity, state.tick
        if found == recorded:
            result.right()
            break
    else:
        result.fail(f"{where}: {found}, recorded {recorded}")
    return pool._moved(price, tick, liquidity)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=value < 0)
