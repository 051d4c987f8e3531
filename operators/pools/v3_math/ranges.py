"""Ranges of constant liquidity, outwards from a price, and what lies between a price and the end of all prices.

Within a range a pool trades as a constant product: virtual reserves of `liquidity * 2**96 / price` of token0 and `liquidity * price / 2**96`
of token1. The contract also stops at the ends of bitmap words, where it rounds; ranges do not, so they are for bounds and for sizing.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import NamedTuple

from operators.pools.v3_math.sqrt_price_math import amount0_delta, amount1_delta
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.tick_math import TICKS_PER_E, sqrt_price_at
from operators.pools.v3_math.ticks import UINT128_MAX, Beyond, Ticks
from operators.pools.v3_math.walk import LiquidityError, price_limit


class Range(NamedTuple):
    """Prices over which the liquidity (above zero) is the same, from the one that a swap comes to first to the one where it leaves."""

    sqrt_from: int
    sqrt_to: int
    liquidity: int


def ranges(ticks: Ticks, start: tuple[int, int, int], zero_for_one: bool) -> Iterator[Range]:
    """The ranges ahead of `start`, (sqrt price, tick, liquidity), in the direction of a swap; gaps without liquidity are left out.

    The last one ends at the furthest price limit that a swap may have. Raises `LiquidityError`.
    """
    price, tick, liquidity = start
    index, end = ticks.index, price_limit(zero_for_one)
    position, step = (ticks.below(tick), -1) if zero_for_one else (ticks.below(tick) + 1, 1)
    while True:
        initialised = 0 <= position < len(index)
        stop = sqrt_price_at(index[position]) if initialised else end
        stop = max(stop, end) if zero_for_one else min(stop, end)
        if liquidity and (stop < price if zero_for_one else stop > price):
            yield Range(price, stop, liquidity)
        if not initialised or stop == end:
            return
        price = stop
        liquidity += step * ticks.net(position)
        if not 0 <= liquidity <= UINT128_MAX:
            raise LiquidityError(f"crossing tick {index[position]} would leave a liquidity of {liquidity}")
        position += step


def across(passed: Range, fee_pips: int, tick_spacing: int) -> tuple[int, int]:
    """What a swap over a whole range takes in at most, fee (below 1,000,000) included, and pays at least, whatever the stops within it.

    A stop rounds the input up and the output down, by less than a unit each: so the input without any is a lower bound of what the contract
    takes, and the output without any, less a unit for each possible stop, of what it pays.
    """
    sqrt_from, sqrt_to, liquidity = passed
    if sqrt_to < sqrt_from:
        amount_in = amount0_delta(sqrt_to, sqrt_from, liquidity, True)
        amount_out = amount1_delta(sqrt_to, sqrt_from, liquidity, False)
    else:
        amount_in = amount1_delta(sqrt_from, sqrt_to, liquidity, True)
        amount_out = amount0_delta(sqrt_from, sqrt_to, liquidity, False)
    words = abs(log(sqrt_to / sqrt_from)) * TICKS_PER_E / (256 * tick_spacing)
    return amount_in - (-amount_in * fee_pips // (PIPS - fee_pips)), max(0, amount_out - int(words) - 2)


def beyond(ticks: Ticks, fee_pips: int, tick_spacing: int, zero_for_one: bool) -> Beyond:
    """What lies beyond each tick of `ticks.index`, by `across`; worked out once for all states with the same ticks. Raises `LiquidityError`."""
    key = zero_for_one, fee_pips, tick_spacing
    if (known := ticks.beyond.get(key)) is not None:
        return known
    index, end = ticks.index, price_limit(zero_for_one)
    count = len(index)
    amounts_in, amounts_out = [0] * count, [0] * count
    total_in = total_out = 0
    following = end
    for position in range(count) if zero_for_one else range(count - 1, -1, -1):
        at = sqrt_price_at(index[position])
        # What is in range once the tick is crossed: below it going down, above it going up.
        liquidity = ticks.liquidity_from(position - 1 if zero_for_one else position)
        if not 0 <= liquidity <= UINT128_MAX:
            raise LiquidityError(f"next to tick {index[position]} the liquidity would be {liquidity}")
        if liquidity and (following < at if zero_for_one else following > at):
            into, out = across(Range(at, following, liquidity), fee_pips, tick_spacing)
            total_in += into
            total_out += out
        amounts_in[position], amounts_out[position] = total_in, total_out
        following = at
    ticks.beyond[key] = Beyond(amounts_in, amounts_out)
    return ticks.beyond[key]
