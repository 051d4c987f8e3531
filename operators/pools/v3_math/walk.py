"""The swap of a whole amount: from range to range, crossing ticks (`UniswapV3Pool.swap`, `Pool.swap` of V4 core).

The contract looks for the next tick within one bitmap word (256 multiples of the tick spacing) and takes a step to the word's end where
there is none. Each step rounds, so those stops are part of the result and are made here as well. Only where there is no liquidity, and so
nothing to round, are they passed over.
"""

from __future__ import annotations

from typing import NamedTuple

from operators.pools.v3_math.swap_math import step_exact_in, step_exact_out
from operators.pools.v3_math.tick_math import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at,
    tick_at,
)
from operators.pools.v3_math.ticks import UINT128_MAX, Ticks


class Walked(NamedTuple):
    """Where a swap ended: what went in (fee included) and out, price, tick and liquidity after it, ticks crossed, steps made."""

    amount_in: int
    amount_out: int
    sqrt_price: int
    tick: int
    liquidity: int
    crossed: int
    steps: int


class LiquidityError(ValueError):
    """The liquidity of a range would be below zero or above uint128: these are no ticks of a pool."""


def price_limit(zero_for_one: bool) -> int:
    """The furthest price that a swap may be given as its limit."""
    return MIN_SQRT_PRICE + 1 if zero_for_one else MAX_SQRT_PRICE - 1


def walk(
    ticks: Ticks,
    tick_spacing: int,
    fee_pips: int,
    start: tuple[int, int, int],
    zero_for_one: bool,
    amount: int,
    exact_out: bool,
    limit: int,
) -> Walked:
    """Swap `amount` (above zero: of the input, or of the output if `exact_out`) from `start`, (sqrt price, tick, liquidity).

    Ends when the amount is used up or the price is at `limit`, which must lie ahead. Raises `LiquidityError`.
    """
    price, tick, liquidity = start
    step = step_exact_out if exact_out else step_exact_in
    index = ticks.index
    # The next tick that is initialised in the direction of the swap, as a position in `index`.
    position = ticks.below(tick) + (not zero_for_one)
    remaining, total_in, total_out, crossed, steps = amount, 0, 0, 0, 0
    while remaining and price != limit:
        steps += 1
        if zero_for_one:
            ahead = index[position] if position >= 0 else None
            stop = max((tick // tick_spacing >> 8 << 8) * tick_spacing, MIN_TICK)
            initialised = ahead is not None and ahead >= stop
        else:
            ahead = index[position] if position < len(index) else None
            stop = min(((tick // tick_spacing + 1 >> 8 << 8) + 255) * tick_spacing, MAX_TICK)
            initialised = ahead is not None and ahead <= stop
        if initialised:
            stop = ahead  # type: ignore[assignment]
        elif not liquidity:
            skip = _over_nothing(ahead, limit, zero_for_one)
            if skip is not None:
                price, stop = skip
                if price == limit:
                    tick = stop
                    break
                initialised = True
        stop_price = sqrt_price_at(stop)
        started = price
        if liquidity:
            target = max(stop_price, limit) if zero_for_one else min(stop_price, limit)
            price, amount_in, amount_out, fee = step(price, target, liquidity, remaining, fee_pips)
            total_in += amount_in + fee
            total_out += amount_out
            remaining -= amount_out if exact_out else amount_in + fee
        else:
            price = max(stop_price, limit) if zero_for_one else min(stop_price, limit)
        if price == stop_price:
            if initialised:
                net = ticks.net(position)
                liquidity += -net if zero_for_one else net
                if not 0 <= liquidity <= UINT128_MAX:
                    raise LiquidityError(f"crossing tick {stop} would leave a liquidity of {liquidity}")
                position += -1 if zero_for_one else 1
                crossed += 1
            tick = stop - 1 if zero_for_one else stop
        elif price != started:
            tick = tick_at(price)
    return Walked(total_in, total_out, price, tick, liquidity, crossed, steps)


def _over_nothing(ahead: int | None, limit: int, zero_for_one: bool) -> tuple[int, int] | None:
    """Where to go on when there is no liquidity: (price, tick) of the next initialised tick, or of the limit before it.

    None where the limit is the exact price of a tick: then the tick that the contract ends in depends on the words on the way.
    """
    if ahead is not None:
        price = sqrt_price_at(ahead)
        if price >= limit if zero_for_one else price <= limit:
            return (price, ahead) if price != limit else None
    end = tick_at(limit)
    return (limit, end) if sqrt_price_at(end) != limit else None


def first_price(ticks: Ticks, start: tuple[int, int, int], zero_for_one: bool) -> int | None:
    """The square-root price at which the first unit would be traded from `start`; None where no liquidity lies ahead."""
    price, tick, liquidity = start
    position = ticks.below(tick) + (not zero_for_one)
    while 0 <= position < len(ticks):
        ahead = sqrt_price_at(ticks.index[position])
        if liquidity and ahead != price:
            return price
        price = ahead
        liquidity += -ticks.net(position) if zero_for_one else ticks.net(position)
        position += -1 if zero_for_one else 1
    return price if liquidity and price != (MIN_SQRT_PRICE if zero_for_one else MAX_SQRT_PRICE) else None
