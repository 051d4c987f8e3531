"""The marginal price of Balancer's and Curve's pools against ever smaller exact quotes, extrapolated to none at all."""

from __future__ import annotations

from fractions import Fraction
from math import exp, isclose

from hypothesis import assume, given
from hypothesis import strategies as st

from operators.pools.balancer_v2 import WeightedPool
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.base import Pool, QuoteRefused
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool

A, T0, T1, T2 = (bytes([number]) * 20 for number in (1, 2, 3, 4))
POOL_ID, ONE, E30 = A + bytes(12), 10**18, 10**30
#: Large enough that a unit is nothing beside what is sold.
balances = st.integers(10**27, 10**31)
ratios = st.floats(0.05, 20)


def _price(pool: Pool, sold: bytes, bought: bytes, size: int) -> float:
    """What one unit buys in the limit: the terms of first and second order taken off quotes of three sizes."""
    sizes = (size, size // 2, size // 4)
    try:
        whole, half, quarter = (Fraction(pool.quote(sold, each, bought).amount_out, each) for each in sizes)
    except QuoteRefused:
        assume(False)
    return float((8 * quarter - 6 * half + whole) / 3)


def _check(pool: Pool, share: int) -> None:
    held = dict(zip(pool.tokens, pool.balances, strict=True))  # type: ignore[attr-defined]
    for sold, bought in ((T0, T1), (T1, T0)):
        exact = _price(pool, sold, bought, held[sold] // share)
        assert isclose(exp(pool.log_price(sold, bought)), exact, rel_tol=1e-9)


@given(
    balances, ratios, st.integers(ONE // 5, ONE * 4 // 5), st.integers(10**12, 10**17), st.sampled_from(("v1", "v2"))
)
def test_weighted(b0: int, ratio: float, weight: int, fee: int, version: str) -> None:
    weights = (weight, ONE - weight)
    # The power is off by 1e-14 of a balance, so the trade may not be too small a part of it.
    _check(
        WeightedPool(A, POOL_ID, (T0, T1), (1, 1), (b0, int(b0 * ratio)), (0, 0), fee, 0, "", weights, version), 2500
    )


@given(balances, ratios, st.integers(20_000, 5_000_000), st.integers(10**12, 10**17), st.integers(ONE // 2, 2 * ONE))
def test_stable(b0: int, ratio: float, amp: int, fee: int, rate: int) -> None:
    caches = ((rate, ONE), (3600, 0), (2000, NEVER))
    pool = StablePool(
        A, POOL_ID, (T0, T1), (1, 1), (b0, int(b0 * ratio)), (0, 0), fee, 0, "", *caches, NO_OWN_TOKEN,
        (amp, amp, 0, 0), "down", 1000,
    )  # fmt: skip
    _check(pool, 10**5)


@given(balances, ratios, ratios, st.integers(10, 5000), st.integers(0, 10**8))
def test_plain(b0: int, ratio: float, third: float, amp: int, fee: int) -> None:
    coins = (b0, int(b0 * ratio), int(b0 * third))
    pool = CurvePool(A, (T0, T1, T2), (ONE,) * 3, "3pool", coins, (amp, amp, 0, 0), fee, 10**10, b0, 1000)
    _check(pool, 10**5)


@given(balances, ratios, st.integers(1000, 500_000), st.integers(0, 10**8), st.integers(10**10, 2 * 10**11))
def test_next_generation(b0: int, ratio: float, amp: int, fee: int, multiplier: int) -> None:
    coins = (b0, int(b0 * ratio))
    pool = CurveNgPool(A, (T0, T1), (ONE, ONE), "ng", coins, (amp, amp, 0, 0), fee, 5 * 10**9, b0, 1000, "", multiplier)
    # Sizes this small leave the fee, which is a whole number of 1e-10, what it is at none.
    _check(pool, 10**11)


def test_coins_of_other_decimals() -> None:
    pool = CurvePool(
        A, (T0, T1, T2), (ONE, E30, E30), "3pool",
        (27_137_121_100_372_139_339_642_768 * 10**9, 27_662_471_158_553 * 10**9, 108_298_644_409_129 * 10**9),
        (4000, 4000, 0, 0), 1_500_000, 10**10, E30, 1000,
    )  # fmt: skip
    _check(pool, 10**5)
