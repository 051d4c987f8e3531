"""Amounts between two prices, and the price that an amount leads to: `SqrtPriceMath` of Uniswap V3 core.

Amounts are base units, prices square-root prices with 96 fractional bits, liquidity is L of x * y = L**2. Every rounding is the
contract's: against the trader. Callers give prices of at least `MIN_SQRT_PRICE`.
"""

from __future__ import annotations

_UINT256 = 1 << 256


def amount0_delta(lower: int, upper: int, liquidity: int, round_up: bool) -> int:
    """`getAmount0Delta`: token0 between two prices, `lower <= upper`. Rounding twice as the contract does equals rounding once."""
    numerator = (liquidity << 96) * (upper - lower)
    denominator = upper * lower
    return -(-numerator // denominator) if round_up else numerator // denominator


def amount1_delta(lower: int, upper: int, liquidity: int, round_up: bool) -> int:
    """`getAmount1Delta`: token1 between two prices, `lower <= upper`."""
    product = liquidity * (upper - lower)
    return -(-product >> 96) if round_up else product >> 96


def next_price_from_input(price: int, liquidity: int, amount: int, zero_for_one: bool) -> int:
    """`getNextSqrtPriceFromInput`: where the price goes when `amount` (after fee) comes in; `liquidity` must be above zero."""
    if not zero_for_one:
        return price + (amount << 96) // liquidity
    if amount == 0:
        return price
    numerator = liquidity << 96
    product = amount * price
    if product < _UINT256 and numerator + product < _UINT256:
        return -(-numerator * price // (numerator + product))
    # Where the exact formula would leave 256 bits, the contract takes one that is a little less precise.
    return -(-numerator // (numerator // price + amount))


def next_price_from_output(price: int, liquidity: int, amount: int, zero_for_one: bool) -> int:
    """`getNextSqrtPriceFromOutput`: where the price goes when `amount` is paid, which must be less than the range holds."""
    if zero_for_one:
        return price - -(-(amount << 96) // liquidity)
    numerator = liquidity << 96
    return -(-numerator * price // (numerator - amount * price))
