"""Ranges of constant liquidity and the bounds that follow from them, against walks over the whole pool."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.pools.base import Limits, QuoteRefused
from operators.pools.concentrated import INT256_MAX, ConcentratedPool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool, pool_id_of
from operators.pools.v3_math.ranges import Range
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at, tick_at
from operators.pools.v3_math.walk import price_limit

A, T0, T1 = (bytes([number]) * 20 for number in (1, 2, 3))
SPACING = 60
END = MAX_TICK // SPACING

ends = st.integers(-12, 12) | st.integers(-2000, 2000) | st.sampled_from((-END, END))
positions = st.lists(st.tuples(ends, ends, st.integers(1, 10**30)).filter(lambda p: p[0] < p[1]), max_size=8)
prices = (
    st.integers(MIN_TICK, MAX_TICK - 1).map(sqrt_price_at)
    | st.integers(-12, 12).map(lambda tick: sqrt_price_at(tick * SPACING))
    | st.integers(-2000, 2000).map(lambda tick: sqrt_price_at(tick * SPACING) + 12_345)
)


def pool_of(price: int, held: list[tuple[int, int, int]], fee: int = 3000) -> V3Pool:
    ticks: dict[int, list[int]] = {}
    tick, liquidity = tick_at(price), 0
    for lower, upper, amount in held:
        for end, net in ((lower * SPACING, amount), (upper * SPACING, -amount)):
            entry = ticks.setdefault(end, [0, 0])
            entry[0] += net
            entry[1] += amount
        liquidity += amount * (lower * SPACING <= tick < upper * SPACING)
    return V3Pool.from_parts(
        address=A,
        token0=T0,
        token1=T1,
        fee_pips=fee,
        tick_spacing=SPACING,
        sqrt_price=price,
        tick=tick,
        liquidity=liquidity,
        ticks=[(end, *entry) for end, entry in ticks.items()],
    )


@given(prices, positions, st.booleans())
def test_ranges_follow_each_other_and_hold_what_the_ticks_say(
    price: int, held: list[tuple[int, int, int]], zero_for_one: bool
) -> None:
    pool = pool_of(price, held)
    found = list(pool.ranges(zero_for_one))
    sign = -1 if zero_for_one else 1
    at = price
    for sqrt_from, sqrt_to, liquidity in found:
        assert sign * at <= sign * sqrt_from < sign * sqrt_to <= sign * price_limit(zero_for_one)
        inside = tick_at((sqrt_from + sqrt_to) // 2)
        assert liquidity == pool.ticks.liquidity_at(inside) > 0
        at = sqrt_to
    covered = [(min(r.sqrt_from, r.sqrt_to), max(r.sqrt_from, r.sqrt_to)) for r in found]
    for tick in (*pool.ticks.index, *range(-800, 800, 100)):
        middle = sqrt_price_at(min(tick, MAX_TICK - 1)) + 1
        ahead = middle < price if zero_for_one else middle > price
        if ahead and MIN_SQRT_PRICE + 1 < middle < MAX_SQRT_PRICE - 1 and pool.ticks.liquidity_at(tick_at(middle)):
            assert any(low <= middle <= high for low, high in covered)


def test_a_swap_over_a_range_is_the_ranges_constant_product() -> None:
    pool = pool_of(sqrt_price_at(0) + 1, [(-10, 10, 10**24), (-4, 3, 10**24)])
    first, second, *_ = pool.ranges(True)
    assert first == Range(pool.sqrt_price, sqrt_price_at(-240), 2 * 10**24)
    assert second == Range(sqrt_price_at(-240), sqrt_price_at(-600), 10**24)
    done = pool.swap(True, 10**40, first.sqrt_to)
    reserve0, reserve1 = (first.liquidity << 96) / first.sqrt_from, first.liquidity * first.sqrt_from / 2**96
    kept = done.amount0 * (1 - pool.swap_fee(True) / 1e6)
    assert -done.amount1 == pytest.approx(reserve1 * kept / (reserve0 + kept), rel=1e-12)


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_no_range_is_ahead_where_nothing_is(zero_for_one: bool) -> None:
    assert list(pool_of(sqrt_price_at(0), []).ranges(zero_for_one)) == []
    end = MIN_SQRT_PRICE if zero_for_one else MAX_SQRT_PRICE - 1
    assert list(pool_of(end, [(-5, 5, 1)]).ranges(zero_for_one)) == []


def test_no_ranges_are_given_of_what_is_no_pool() -> None:
    bare = V3Pool.from_parts(address=A, token0=T0, token1=T1, fee_pips=1, tick_spacing=60)
    with pytest.raises(QuoteRefused, match="no_liquidity"):
        next(bare.ranges(True))
    fields = {"token0": T0, "token1": T1, "fee_pips": 1, "tick_spacing": 60}
    broken = V3Pool.from_parts(address=A, sqrt_price=1 << 96, liquidity=5, ticks=[(-60, 9, 9)], **fields)  # type: ignore[arg-type]
    ahead = broken.ranges(True)
    assert next(ahead).liquidity == 5
    with pytest.raises(QuoteRefused, match="invariant"):
        next(ahead)
    assert broken.limits(T0) == Limits(0, 0)


# ---------------------------------------------------------------- limits


def check_limits(pool: ConcentratedPool, zero_for_one: bool) -> None:
    token = pool.tokens[not zero_for_one]
    limits = pool.limits(token)
    try:
        whole = pool.swap(zero_for_one, INT256_MAX)
    except QuoteRefused:
        assert limits == Limits(0, 0)
        return
    taken, paid = max(whole.amount0, whole.amount1), -min(whole.amount0, whole.amount1)
    # A unit or two for each word of the bitmap and each range on the way; the fee on a unit may be many.
    stops = 2 * (2 * MAX_TICK // (256 * SPACING) + 2 * len(pool.ticks) + 2)
    assert taken - stops * -(-PIPS // (PIPS - pool.fee_pips)) <= limits.amount_in <= taken
    assert paid - stops <= limits.amount_out <= paid
    if limits.amount_in:
        assert pool.quote(token, limits.amount_in).amount_in == limits.amount_in
    if limits.amount_out:
        assert pool.quote_exact_out(token, limits.amount_out).amount_out == limits.amount_out


@settings(deadline=None)
@given(prices, positions, st.booleans(), st.sampled_from((0, 1, 3000, 999_999)))
def test_limits_are_what_the_whole_pool_takes_and_pays(
    price: int, held: list[tuple[int, int, int]], zero_for_one: bool, fee: int
) -> None:
    pool = pool_of(price, held, fee)
    check_limits(pool, zero_for_one)
    # And again in another state with the same ticks, from what was worked out before.
    try:
        moved = pool.swap(zero_for_one, max(1, pool.limits(pool.tokens[not zero_for_one]).amount_in // 3)).state
    except QuoteRefused:
        return
    assert moved.ticks is pool.ticks
    for direction in (True, False):
        check_limits(moved, direction)


def test_limits_where_not_all_ticks_are_known() -> None:
    """As in a recording of single blocks: then the way is walked."""
    fields = {"token0": T0, "token1": T1, "fee_pips": 3000, "tick_spacing": 60}
    pool = V3Pool.from_parts(address=A, sqrt_price=1 << 96, liquidity=10**18, ticks=[(-60, 1, 1)], **fields)  # type: ignore[arg-type]
    whole = pool.swap(True, INT256_MAX)
    assert pool.limits(T0) == Limits(whole.amount0, -whole.amount1)


def test_limits_of_a_whole_fee_and_of_int128() -> None:
    manager = b"\4" * 20
    for fee in (1_000_000, 3000):
        key = T0, T1, fee, SPACING, bytes(20)
        pool = V4Pool.from_parts(
            manager=manager,
            pool_id=pool_id_of(*key),
            token0=T0,
            token1=T1,
            fee_pips=fee,
            tick_spacing=SPACING,
            sqrt_price=1 << 96,
            liquidity=10**33,
            ticks=[(-END * SPACING, 10**33, 10**33), (END * SPACING, -(10**33), 10**33)],
        )
        limits = pool.limits(T0)
        assert limits.amount_in == (1 << 127) - 1
        assert bool(limits.amount_out) is (fee != 1_000_000)
