"""Uniswap V3: the vectors of v3-core for whole swaps, for prices of ticks and for single steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.pools.base import QuoteRefused
from operators.pools.concentrated import INT256_MAX
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.v3_math.swap_math import step_exact_in, step_exact_out
from operators.pools.v3_math.tick_math import sqrt_price_at, tick_at
from tests.acceptance.files import parse, read_all
from tests.acceptance.result import SuiteResult

_ADDRESS, _TOKENS = b"\1" * 20, (b"\2" * 20, b"\3" * 20)


def run(data: Path, result: SuiteResult) -> None:
    """Files with `poolBalance0` (pools and swaps) and with `computeSwapStep` (libraries)."""
    for path, raw in read_all(data, b'"amount0Delta"'):
        content = parse(path, raw)
        pools = {name: _pool(pool) for name, pool in content["pools"].items()}
        for vector in content["vectors"]:
            wrong = _swap(pools[vector["pool"]], vector["spec"], vector["expected"])
            result.check(not wrong, f"{path.name} {vector['pool']}: {vector['swap']}: {wrong}")
    for path, raw in read_all(data, b'"computeSwapStep"'):
        _libraries(path.name, parse(path, raw), result)


def _pool(recorded: dict[str, Any]) -> V3Pool:
    price = int(recorded["sqrtPriceX96"])
    ends: dict[int, list[int]] = {}
    liquidity = 0
    for position in recorded["positions"]:
        lower, upper, amount = int(position["tickLower"]), int(position["tickUpper"]), int(position["liquidity"])
        for tick, net in ((lower, amount), (upper, -amount)):
            held = ends.setdefault(tick, [0, 0])
            held[0] += net
            held[1] += amount
        if lower <= tick_at(price) < upper:
            liquidity += amount
    return V3Pool.from_parts(
        address=_ADDRESS,
        token0=_TOKENS[0],
        token1=_TOKENS[1],
        fee_pips=int(recorded["fee"]),
        tick_spacing=int(recorded["tickSpacing"]),
        sqrt_price=price,
        tick=tick_at(price),
        liquidity=liquidity,
        ticks=[(tick, net, gross) for tick, (net, gross) in ends.items()],
    )


def _swap(pool: V3Pool, spec: dict[str, Any], expected: dict[str, Any]) -> str:
    """What is otherwise with us, empty if nothing."""
    amount = INT256_MAX if spec["amount"] is None else int(spec["amount"])
    limit = None if spec["sqrtPriceLimitX96"] is None else int(spec["sqrtPriceLimitX96"])
    try:
        done = pool.swap(spec["zeroForOne"], amount if spec.get("exactIn", True) else -amount, limit)
    except QuoteRefused as refused:
        return "" if "swapError" in expected else f"our pool refuses it: {refused}"
    if "swapError" in expected:
        return f"ours trades, the contract reverts: {expected['swapError']}"
    found = done.amount0, done.amount1, done.state.tick
    recorded = tuple(int(expected[name]) for name in ("amount0Delta", "amount1Delta", "tickAfter"))
    return "" if found == recorded else f"{found}, recorded {recorded}"


def _libraries(where: str, content: dict[str, Any], result: SuiteResult) -> None:
    for tick, price in content.get("getSqrtRatioAtTick", {}).items():
        found = sqrt_price_at(int(tick))
        result.check(found == int(price), f"{where}: the price of tick {tick} is {found}, recorded {price}")
    for price, tick in content.get("getTickAtSqrtRatio", ()):
        found = tick_at(int(price))
        result.check(found == int(tick), f"{where}: the tick of price {price} is {found}, recorded {tick}")
    for step in content.get("computeSwapStep", ()):
        amount = int(step["amount"])
        compute = step_exact_in if amount >= 0 else step_exact_out
        reached, *amounts = compute(
            int(step["sqrtP"]), int(step["target"]), int(step["liquidity"]), abs(amount), int(step["fee"])
        )
        recorded = [int(step[name]) for name in ("amountIn", "amountOut", "feeAmount")]
        same = amounts == recorded and reached == int(step.get("sqrtQ", reached))
        result.check(same, f"{where}: step {step}: {reached}, {amounts}")
