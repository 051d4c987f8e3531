"""Sizes against every input there is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.pools.base import ConstantProduct
from operators.pools.uniswap_v2 import UINT112_MAX
from operators.search.sizing import MIN_INPUTS, MIN_STEPS, best_size, compose, gross_bound

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
    st.lists(st.tuples(reserves, reserves, st.sampled_from((997, 995, 1000))), min_size=2, max_size=3),
    st.sampled_from((3, 50, MAX)),
)
def test_small_pools_every_input(sides: list[tuple[int, int, int]], position: int) -> None:
    """No input at all earns more: the walk is a proof where reserves are small."""
    curves = [curve(reserve_in, reserve_out, kept) for reserve_in, reserve_out, kept in sides]
    best = max(0, max(gross(curves, amount) for amount in range(1, min(position, 1000) + 1)))
    sized = best_size(curves, position)
    assert (sized.gross if sized else 0) == best
    assert gross_bound(curves, position) >= best
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


@pytest.mark.parametrize("decimals", [(18,), (6,), (6, 18), (0, 2, 8)])
def test_real_sizes_no_neighbour_earns_more(decimals: tuple[int, ...]) -> None:
    rnd = random.Random(sum(decimals))
    checked = 0
    while checked < 60:
        curves = priced_curves(rnd, rnd.choice((2, 3)), decimals)
        chain = compose(curves)
        if chain.gain <= chain.base:
            assert best_size(curves, MAX) is None
            continue
        checked += 1
        sized = best_size(curves, MAX)
        found = sized.gross if sized else 0
        centre = chain.best_in()
        near = range(max(1, centre - MIN_INPUTS), centre + MIN_INPUTS)
        assert found >= max(gross(curves, amount) for amount in near)
        # And no input anywhere earns more than a unit of each amount on the way is worth: that much the floors can take.
        amounts = [centre]
        for one in curves[:-1]:
            amounts.append(one.out(amounts[-1]))
        units = sum(2 * centre // max(1, amount) for amount in amounts) + len(curves)
        assert found <= gross_bound(curves, MAX)
        if min(amounts) > 1000:  # of fewer units each is worth much more at the margin than on average
            assert gross_bound(curves, MAX) <= found + units


def test_between_coarse_tokens_no_step_earns_more() -> None:
    """Two amounts of 6 decimals in one route: the staircase has steps of 10**8 wei and more, of which none within reach is better."""
    rnd = random.Random(17)
    checked = 0
    while checked < 40:
        curves = priced_curves(rnd, 3, (6,))
        sized = best_size(curves, MAX)
        if sized is None:
            continue
        checked += 1
        middle = curves[0].out(compose(curves).best_in())
        for amount in range(max(1, middle - MIN_STEPS // 2), middle + MIN_STEPS // 2):
            assert gross(curves, curves[0].least_in(amount)) <= sized.gross


def test_position_caps_the_input() -> None:
    curves = [curve(10**20, 2 * 10**20), curve(2 * 10**20, 3 * 10**20)]
    free = best_size(curves, MAX)
    capped = best_size(curves, 10**17)
    assert free is not None and capped is not None
    assert capped.amount_in <= 10**17 < free.amount_in
    assert capped.gross == max(gross(curves, amount) for amount in range(10**17 - 300, 10**17 + 1))
    assert best_size(curves, 0) is None
    assert gross_bound(curves, 0) == 0
    assert gross_bound(curves, 10**17) >= capped.gross


def test_no_reserve_is_pushed_over_uint112() -> None:
    """The second pool can take 1000 units more and no further, far below the free optimum."""
    full = MAX - 1000
    curves = [curve(10**20, 10**19), ConstantProduct(1000, 1, full, full, MAX - full)]
    sized = best_size(curves, MAX)
    assert sized is not None
    assert sized.amounts_out[0] <= 1000
    assert sized.gross == max(
        gross(curves, amount) for amount in range(1, sized.amount_in + 50_000) if curves[0].out(amount) <= 1000
    )


def test_a_route_at_par_earns_nothing() -> None:
    free = [curve(10**20, 10**20, 1, 1), curve(10**20, 10**20, 1, 1)]
    assert gross_bound(free, MAX) == 0
    assert best_size(free, MAX) is None
