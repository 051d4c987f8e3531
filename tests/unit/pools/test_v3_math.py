"""Ticks and prices on their own: laws of the tick prices, and the persistent map of ticks against a plain dict."""

from __future__ import annotations

import pickle
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.pools.v3_math.sqrt_price_math import amount0_delta, next_price_from_input
from operators.pools.v3_math.tick_math import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at,
    tick_at,
)
from operators.pools.v3_math.ticks import NO_TICKS, UINT128_MAX, TickError, Ticks

ticks_all = st.integers(MIN_TICK, MAX_TICK)


def test_the_ends_are_the_contracts_constants() -> None:
    assert sqrt_price_at(MIN_TICK) == MIN_SQRT_PRICE
    assert sqrt_price_at(MAX_TICK) == MAX_SQRT_PRICE
    assert sqrt_price_at(0) == 1 << 96
    assert (tick_at(MIN_SQRT_PRICE), tick_at(MAX_SQRT_PRICE - 1)) == (MIN_TICK, MAX_TICK - 1)


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_there_are_no_ticks_beyond_the_ends(tick: int) -> None:
    with pytest.raises(ValueError, match=str(tick)):
        sqrt_price_at(tick)


@pytest.mark.parametrize("price", [0, MIN_SQRT_PRICE - 1, MAX_SQRT_PRICE, 1 << 160])
def test_there_are_no_prices_beyond_the_ends(price: int) -> None:
    with pytest.raises(ValueError, match=str(price)):
        tick_at(price)


@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_a_tick_begins_at_its_price(tick: int) -> None:
    price = sqrt_price_at(tick)
    assert price < sqrt_price_at(tick + 1)
    assert tick_at(price) == tick
    assert tick_at(sqrt_price_at(tick + 1) - 1) == tick


@given(st.integers(MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1))
def test_every_price_lies_in_its_tick(price: int) -> None:
    tick = tick_at(price)
    assert sqrt_price_at(tick) <= price < sqrt_price_at(tick + 1)


def test_beyond_256_bits_the_contract_rounds_otherwise() -> None:
    """amount * price leaves 256 bits: the fallback, whose quotient in the middle is rounded down, gives a higher price."""
    price, liquidity, amount = (1 << 159) + 12_345, (1 << 127) + 3, 1 << 98
    numerator = liquidity << 96
    exact = -(-numerator * price // (numerator + amount * price))
    assert (
        next_price_from_input(price, liquidity, amount, True) == -(-numerator // (numerator // price + amount)) >= exact
    )


@given(ticks_all, ticks_all, st.integers(0, UINT128_MAX))
def test_one_rounding_is_two(one: int, other: int, liquidity: int) -> None:
    lower, upper = sorted((sqrt_price_at(one), sqrt_price_at(other)))
    once = -(-(liquidity << 96) * (upper - lower) // upper)
    up = -(-once // lower)
    down = (liquidity << 96) * (upper - lower) // upper // lower
    assert (amount0_delta(lower, upper, liquidity, True), amount0_delta(lower, upper, liquidity, False)) == (up, down)


# ---------------------------------------------------------------- the map of ticks

positions = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 10**6)).filter(lambda p: p[0] < p[1]),
    max_size=12,
)


def model(held: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """What the ticks of these positions are, by a plain dict."""
    ticks: dict[int, tuple[int, int]] = {}
    for lower, upper, amount in held:
        for tick, net in ((lower, amount), (upper, -amount)):
            before = ticks.get(tick, (0, 0))
            ticks[tick] = before[0] + net, before[1] + abs(amount)
    return [(tick, net, gross) for tick, (net, gross) in sorted(ticks.items())]


def filled(held: list[tuple[int, int, int]]) -> Ticks:
    ticks = NO_TICKS
    for lower, upper, amount in held:
        ticks = ticks.with_position(lower, upper, amount, UINT128_MAX)
    return ticks


@given(positions, st.data())
def test_positions_come_and_go_as_in_a_dict(held: list[tuple[int, int, int]], data: st.DataObject) -> None:
    ticks = filled(held)
    expected = model(held)
    assert ticks == Ticks.of(expected) == Ticks.unpack(*ticks.pack()) == pickle.loads(pickle.dumps(ticks))
    assert ticks.digest == Ticks.of(reversed(expected)).digest
    assert [ticks.at(tick) for tick, _, _ in expected] == [(net, gross) for _, net, gross in expected]
    sums = dict(zip([tick for tick, _, _ in expected], accumulate(net for _, net, _ in expected), strict=True))
    assert all(ticks.liquidity_at(tick) == there for tick, there in sums.items())
    one, other = data.draw(st.integers(-25, 25)), data.draw(st.integers(-25, 25))
    assert ticks.between(one, other) == ticks.liquidity_at(other) - ticks.liquidity_at(one)
    for number in data.draw(st.permutations(range(len(held)))):
        lower, upper, amount = held[number]
        ticks = ticks.with_position(lower, upper, -amount, UINT128_MAX)
    assert ticks == NO_TICKS
    assert filled(held) == Ticks.of(expected)


@given(positions, positions)
def test_digests_are_equal_exactly_for_equal_ticks(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    assert (filled(one).digest == filled(other).digest) == (filled(one) == filled(other))


def test_a_tick_whose_positions_cancel_out_is_still_there() -> None:
    ticks = filled([(-5, 0, 7), (0, 5, 7)])
    assert ticks.at(0) == (0, 14)
    assert ticks.with_position(0, 5, -7, UINT128_MAX).at(0) == (-7, 7)


@pytest.mark.parametrize(
    ("lower", "upper", "amount", "said"),
    [(0, 5, -8, "taken off"), (-5, 5, -1, "taken off"), (0, 5, 4, "the most is 10"), (1, 2, -1, "holds 0")],
)
def test_what_a_tick_cannot_hold_is_refused(lower: int, upper: int, amount: int, said: str) -> None:
    with pytest.raises(TickError, match=said):
        Ticks.of([(0, 7, 7), (5, -7, 7)]).with_position(lower, upper, amount, 10)


def test_taking_off_what_belongs_to_others_is_noticed() -> None:
    """The sums would fit at neither end: liquidity that ends here is taken off as if it began here."""
    with pytest.raises(TickError, match="no position left"):
        Ticks.of([(0, -7, 7), (5, 7, 7)]).with_position(0, 5, -7, UINT128_MAX)


@pytest.mark.parametrize(
    "ticks",
    [
        [(0, 1, 1), (0, 1, 1)],
        [(0, 1, 0)],
        [(0, 2, 1)],
        [(0, -2, 1)],
        [(0, 1, 1 << 128)],
        [(MAX_TICK + 1, 1, 1)],
        [(MIN_TICK - 1, 1, 1)],
        [(1 << 40, 1, 1)],
    ],
)
def test_ticks_that_no_pool_has_are_refused(ticks: list[tuple[int, int, int]]) -> None:
    with pytest.raises(TickError):
        Ticks.of(ticks)


@pytest.mark.parametrize(
    ("index", "held"), [(b"\0" * 3, b""), (b"\0" * 4, b"\0" * 31), (b"\0" * 4, b"\0" * 32), (b"", b"\0")]
)
def test_bytes_that_are_no_ticks_are_refused(index: bytes, held: bytes) -> None:
    with pytest.raises(TickError):
        Ticks.unpack(index, held)
