"""One step of a swap, within a range of constant liquidity: `SwapMath.computeSwapStep`.

V3 core and V4 core write it differently and give the same price, the same sum of input and fee, and the same output.
"""

from __future__ import annotations

from operators.pools.v3_math.sqrt_price_math import (
    amount0_delta,
    amount1_delta,
    next_price_from_input,
    next_price_from_output,
)

#: Fees are millionths of the input.
PIPS = 1_000_000


def step_exact_in(price: int, target: int, liquidity: int, remaining: int, fee_pips: int) -> tuple[int, int, int, int]:
    """A step towards `target` that takes at most `remaining` (above zero), fee included.

    Returns (price after it, input without fee, output, fee). The direction is that of `target`; `fee_pips` is in [0, 1,000,000].
    """
    zero_for_one = price >= target
    left = remaining * (PIPS - fee_pips) // PIPS
    if zero_for_one:
        amount_in = amount0_delta(target, price, liquidity, True)
    else:
        amount_in = amount1_delta(price, target, liquidity, True)
    if left >= amount_in:
        reached = target
        # With the whole input taken as fee nothing is left, so a target is only reached where it costs nothing.
        fee = -(-amount_in * fee_pips // (PIPS - fee_pips)) if fee_pips != PIPS else 0
    else:
        reached = next_price_from_input(price, liquidity, left, zero_for_one)
        if zero_for_one:
            amount_in = amount0_delta(reached, price, liquidity, True)
        else:
            amount_in = amount1_delta(price, reached, liquidity, True)
        # The target is not reached, so what the price did not need is fee as well.
        fee = remaining - amount_in
    if zero_for_one:
        return reached, amount_in, amount1_delta(reached, price, liquidity, False), fee
    return reached, amount_in, amount0_delta(price, reached, liquidity, False), fee


def step_exact_out(price: int, target: int, liquidity: int, remaining: int, fee_pips: int) -> tuple[int, int, int, int]:
    """A step towards `target` that pays at most `remaining` (above zero). Returns as `step_exact_in`; `fee_pips` is below 1,000,000."""
    zero_for_one = price >= target
    if zero_for_one:
        amount_out = amount1_delta(target, price, liquidity, False)
    else:
        amount_out = amount0_delta(price, target, liquidity, False)
    if remaining >= amount_out:
        reached = target
    else:
        reached, amount_out = next_price_from_output(price, liquidity, remaining, zero_for_one), remaining
    if zero_for_one:
        amount_in = amount0_delta(reached, price, liquidity, True)
    else:
        amount_in = amount1_delta(price, reached, liquidity, True)
    return reached, amount_in, amount_out, -(-amount_in * fee_pips // (PIPS - fee_pips))
