"""Sizes against every input there is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.pools.base import ConstantProduct
from operators.pools.uniswap_v2 import UINT112_MAX
from operators.search.sizing_closed import FAR, NEAR, VISIBLE, closed_bound, closed_size, compose

MAX = UINT112_MAX
reserves = st.integers(1, 400)


def curve(reserve_in: int, reserve_out: int, kept: int = 997, scale: int = 1000) -> ConstantProduct:
    return ConstantProduct(kept, scale, reserve_in, reserve_out, MAX - reserve_in)


def gross(curves: list[ConstantProduct], amount_in: int) -> int:
    amount = amount_in
    for one in curves:
        amount = one.out(amount)
    return amount - amount_in


@given(
    st.lists(st.tuples(reserves, reserves, st.sampled_from((997, 995, 1000))), min_size=2, max_size=4),
    st.sampled_from((3, 50, MAX)),
)
def test_small_pools_every_input(sides: list[tuple[int, int, int]], position: int) -> None:
    """No input at all earns more: the walk is a proof where reserves are small."""
    curves = [curve(reserve_in, reserve_out, kept) for reserve_in, reserve_out, kept in sides]
    best = max(0, max(gross(curves, amount) for amount in range(1, min(position, 1000) + 1)))
    sized = closed_size(curves, position)
    assert (sized.gross if sized else 0) == best
    assert closed_bound(curves, position) >= best
    if sized:
        assert 1 <= sized.amount_in <= position
        assert gross(curves, sized.amount_in) == sized.gross == sized.amounts_out[-1] - sized.amount_in


def priced_curves(rnd: random.Random, hops: int, decimals: tuple[int, ...]) -> list[ConstantProduct]:
    """A route as chains have them: tokens of all prices and decimals, pools of 1 to 10,000 ether a side, mispriced by up to 3 %."""
    price = [1.0, *(10 ** rnd.uniform(-6, 2) for _ in range(hops - 1)), 1.0]
    unit = [10**18, *(10 ** rnd.choice(decimals) for _ in range(hops - 1)), 10**18]
    made = []
    for hop in range(hops):
        depth = 10 ** rnd.uniform(0, 4)
        reserve_in, reserve_out = (
            int(depth / price[side] * unit[side] * rnd.uniform(1, 1.015)) for side in (hop, hop + 1)
        )
        made.append(curve(max(1, reserve_in), max(1, int(reserve_out * rnd.uniform(1, 1.03)))))
    return made


def coarsest(curves: list[ConstantProduct], amount_in: int) -> tuple[list[ConstantProduct], int]:
    """The hops before the amount of the fewest units, and that amount."""
    amounts = [amount_in]
    for one in curves[:-1]:
        amounts.append(one.out(amounts[-1]))
    place = amounts.index(min(amounts))
    return curves[:place], amounts[place]


def least_in(prefix: list[ConstantProduct], units: int) -> int:
    for one in reversed(prefix):
        units = one.least_in(min(units, one.reserve_out - 1))
    return units


@pytest.mark.parametrize("decimals", [(18,), (6,), (6, 18), (0, 2, 8)])
def test_real_sizes_no_neighbour_earns_more(decimals: tuple[int, ...]) -> None:
    """Every input within `NEAR` steps of the coarsest amount: the least inputs of each step, their neighbours, and inputs between at random."""
    rnd = random.Random(sum(decimals))
    checked = 0
    while checked < 60:
        curves = priced_curves(rnd, rnd.choice((2, 3, 4)), decimals)
        chain = compose(curves)
        if chain.gain <= chain.base:
            assert closed_size(curves, MAX) is None
            continue
        checked += 1
        sized = closed_size(curves, MAX)
        found = sized.gross if sized else 0
        centre = chain.best_in()
        prefix, units = coarsest(curves, max(1, centre))
        steps = [least_in(prefix, max(1, units + step)) for step in range(-NEAR, NEAR + 1)]
        near = {min(max(step + offset, steps[0]), steps[-1]) for step in steps for offset in range(-2, 3)}
        near |= {rnd.randint(steps[0], steps[-1]) for _ in range(200)}
        assert found >= max(gross(curves, amount) for amount in near | {1} if amount > 0)
        # Nor does any of the next inputs, where all are equally near, by more than a unit of each amount in units of the last.
        amounts = [centre]
        for one in curves[:-1]:
            amounts.append(one.out(amounts[-1]))
        worth = sum(2 * centre // max(1, amount) for amount in amounts) + len(curves)
        assert found <= closed_bound(curves, MAX)
        if min(amounts) > 1000:  # of fewer units each is worth much more at the margin than on average
            assert closed_bound(curves, MAX) <= found + worth


def test_where_floors_take_a_visible_part_more_steps_are_walked() -> None:
    """Two amounts of 6 decimals in one route: the staircase has steps of 10**8 wei and more, of which none within reach is better."""
    rnd = random.Random(17)
    checked = 0
    while checked < 40:
        curves = priced_curves(rnd, 3, (6,))
        sized = closed_size(curves, MAX)
        if sized is None or (closed_bound(curves, MAX) - sized.gross) * VISIBLE <= sized.gross:
            continue
        checked += 1
        prefix, middle = coarsest(curves, compose(curves).best_in())
        for amount in range(max(1, middle - FAR // 2), middle + FAR // 2):
            assert gross(curves, least_in(prefix, amount)) <= sized.gross


def test_a_floor_is_never_met() -> None:
    curves = [curve(10**20, 2 * 10**20), curve(2 * 10**20, 3 * 10**20)]
    sized = closed_size(curves, MAX)
    assert sized is not None
    assert closed_size(curves, MAX, sized.gross - 1) == sized
    assert closed_size(curves, MAX, sized.gross) is None
    small = [curve(300, 400), curve(200, 300)]
    least = closed_size(small, MAX)
    assert least is not None
    assert closed_size(small, MAX, least.gross - 1) == least
    assert closed_size(small, MAX, least.gross) is None


@pytest.mark.parametrize("side", [1, 2, 10**6, MAX - 1, MAX])
@pytest.mark.parametrize("other", [1, 10**18, MAX])
def test_extremes(side: int, other: int) -> None:
    """Empty, tiny and full pools: no error, and what is found is true."""
    for curves in ([curve(side, other), curve(other, side)], [curve(side, MAX), curve(other, MAX), curve(1, side)]):
        sized = closed_size(curves, MAX)
        bound = closed_bound(curves, MAX)
        if sized is not None:
            assert gross(curves, sized.amount_in) == sized.gross <= bound
            assert all(
                paid <= one.max_in for paid, one in zip((sized.amount_in, *sized.amounts_out), curves, strict=False)
            )


def test_position_caps_the_input() -> None:
    curves = [curve(10**20, 2 * 10**20), curve(2 * 10**20, 3 * 10**20)]
    free = closed_size(curves, MAX)
    capped = closed_size(curves, 10**17)
    assert free is not None and capped is not None
    assert capped.amount_in <= 10**17 < free.amount_in
    assert capped.gross == max(gross(curves, amount) for amount in range(10**17 - 300, 10**17 + 1))
    assert closed_size(curves, 0) is None
    assert closed_bound(curves, 0) == 0
    assert closed_bound(curves, 10**17) >= capped.gross


def test_no_reserve_is_pushed_over_uint112() -> None:
    """The second pool can take 1000 units more and no further, far below the free optimum."""
    full = MAX - 1000
    curves = [curve(10**20, 10**19), ConstantProduct(1000, 1, full, full, MAX - full)]
    sized = closed_size(curves, MAX)
    assert sized is not None
    assert sized.amounts_out[0] <= 1000
    assert sized.gross == max(
        gross(curves, amount) for amount in range(1, sized.amount_in + 50_000) if curves[0].out(amount) <= 1000
    )


def test_a_route_at_par_earns_nothing() -> None:
    free = [curve(10**20, 10**20, 1, 1), curve(10**20, 10**20, 1, 1)]
    assert closed_bound(free, MAX) == 0
    assert closed_size(free, MAX) is None
