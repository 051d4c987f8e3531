"""Ticks and square-root prices: `TickMath` of Uniswap V3 core (V4 core computes the same numbers).

A square-root price is sqrt(token1 per token0, in base units) as an unsigned fixed-point number with 96 fractional bits. Tick t stands
for the price 1.0001**t.
"""

from __future__ import annotations

from functools import lru_cache
from math import floor, log, log1p

MIN_TICK = -887_272
MAX_TICK = 887_272
#: The prices of the two end ticks. A pool's price is at least the first and below the second.
MIN_SQRT_PRICE = 4_295_128_739
MAX_SQRT_PRICE = 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342

#: Ticks whose price is kept. A walk reads the same few ticks of a pool again and again.
_KEPT = 1 << 15

_UINT256_MAX = (1 << 256) - 1

#: 1.0001**(-2**bit / 2) with 128 fractional bits, rounded to the nearest integer: the contract's constants.
_FACTORS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)

#: Ticks on the way over which the square root of a price grows by a factor of e. By log1p, because 1.0001 as a float is already off by what a
#: million ticks make of it.
TICKS_PER_E = 2 / log1p(0.0001)
_LOG_Q96 = 96 * log(2)
#: How far a logarithm in floats may be from where the contract has the end of a tick, in ticks: the logarithm is right to 1e-9; the
#: contract rounds a tick's price up to an integer, at the lowest prices by 2.4e-10 of it, which is 4.7e-6 of a tick.
_MARGIN = 1e-5


@lru_cache(maxsize=_KEPT)
def sqrt_price_at(tick: int) -> int:
    """`getSqrtRatioAtTick`: the price of a tick, rounded up. Raises `ValueError` outside of [MIN_TICK, MAX_TICK]."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise ValueError(f"tick {tick} is not in [{MIN_TICK}, {MAX_TICK}]")
    ratio = 1 << 128
    bits = abs(tick)
    bit = 0
    while bits:
        if bits & 1:
            ratio = ratio * _FACTORS[bit] >> 128
        bits >>= 1
        bit += 1
    if tick > 0:
        ratio = _UINT256_MAX // ratio
    return ratio + 0xFFFFFFFF >> 32


def tick_at(sqrt_price: int) -> int:
    """`getTickAtSqrtRatio`: the greatest tick whose price is at or below `sqrt_price`.

    A floating-point logarithm tells the tick, except so near the end of one that the exact prices have to decide. Raises `ValueError`
    for a price outside of [MIN_SQRT_PRICE, MAX_SQRT_PRICE).
    """
    if not MIN_SQRT_PRICE <= sqrt_price < MAX_SQRT_PRICE:
        raise ValueError(f"square-root price {sqrt_price} is not in [{MIN_SQRT_PRICE}, {MAX_SQRT_PRICE})")
    place = (log(sqrt_price) - _LOG_Q96) * TICKS_PER_E
    tick = floor(place)
    if _MARGIN < place - tick < 1 - _MARGIN:
        return tick
    tick = min(max(tick, MIN_TICK), MAX_TICK - 1)
    while sqrt_price_at(tick) > sqrt_price:
        tick -= 1
    while sqrt_price_at(tick + 1) <= sqrt_price:
        tick += 1
    return tick
