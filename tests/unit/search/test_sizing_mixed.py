"""Sizes of routes over all families against dense searches on exact quotes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp

import pytest

from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.base import Pool, QuoteRefused
from operators.pools.curve import CurvePool
from operators.pools.uniswap_v2 import UINT112_MAX, V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.v3_math.tick_math import sqrt_price_at
from operators.search.sizing import Curves, Directed, Sized, best_size, gross_bound, polished, trade
from operators.search.sizing_curves import ProductCurve, curve_of
from operators.search.sizing_solve import aim
from tests.unit.search.every_cycle import every_cycle
from tests.unit.search.mixed_markets import MixedMarket
from tests.unit.search.recorded_market import Route, profitable_routes, recorded_pools

CAP = 10**30
W, X, Y, Z = (bytes([number]) * 20 for number in (1, 2, 3, 4))
E18 = 10**18


# ---------------------------------------------------------------- the other way to a size


def pays(route: Sequence[Directed], amount: int) -> int:
    """What comes back above what goes in, by nothing but the pools' quotes; minus all of it where one refuses."""
    start = amount
    try:
        for pool, token_in, token_out in route:
            amount = pool.quote(token_in, amount, token_out).amount_out
    except QuoteRefused:
        return -start
    return amount - start


def searched(route: Sequence[Directed], near: int, cap: int = CAP) -> tuple[int, int]:
    """(profit, input) of a golden-section search over all inputs in integers, then of a dense one around the best of it and of `near`."""
    ratio = 0.6180339887498949
    low, high = 1, min(cap, near * 1000)
    left, right = high - int((high - low) * ratio), low + int((high - low) * ratio)
    at_left, at_right = pays(route, left), pays(route, right)
    best = max((pays(route, near), near), (pays(route, min(cap, high)), min(cap, high)))
    while high - low > 3:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - int((high - low) * ratio)
            at_left = pays(route, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + int((high - low) * ratio)
            at_right = pays(route, right)
        best = max(best, (at_left, left), (at_right, right))
    rnd = random.Random(1)
    centre = best[1]
    for _ in range(300):
        amount = centre + int(centre * rnd.uniform(-1, 1) * 10 ** rnd.uniform(-12, -2))
        if 0 < amount <= cap:
            best = max(best, (pays(route, amount), amount))
    return best


def units_of(route: Sequence[Directed]) -> float:
    """What a unit of each amount on the way is worth at the size, in units of the last: so much may floors take."""
    aimed = aim([curve_of(hop) for hop in route], CAP)
    return 2 + 2 * sum(aimed.units) if aimed else 2


def check(route: Sequence[Directed], within: float, cap: int = CAP) -> Sized:
    """The size is true, repeats itself, and is as good as the dense search finds."""
    sized = best_size(route, cap)
    assert sized is not None
    assert 0 < sized.amount_in <= cap
    done = trade(route, sized.amount_in)
    assert tuple(hop.amount_out for hop in done.hops) == sized.amounts_out
    assert done.gross == sized.gross == pays(route, sized.amount_in)
    assert best_size(route, cap, Curves()) == sized
    found, _ = searched(route, sized.amount_in, cap)
    bound = gross_bound(route, cap)
    assert bound is None or found <= bound
    assert found - sized.gross <= within * found + units_of(route)
    return sized


# ---------------------------------------------------------------- concentrated liquidity


@pytest.mark.parametrize("kind", ["33", "23", "32", "323", "232", "223", "333"])
def test_recorded_routes(kind: str) -> None:
    """Real pools, one of them pushed off its price. All within 2e-6 and a unit of each amount; where units are small, within 2e-6."""
    routes = profitable_routes(recorded_pools(), kind, 12, 7)
    assert len(routes) >= 5
    fine = 0
    for route in routes:
        sized = check(route, 2e-6)
        found, _ = searched(route, sized.amount_in)
        if units_of(route) < 1e-6 * found:
            fine += 1
            assert found - sized.gross <= 2e-6 * found
    assert fine


def test_polishing_wins_back_what_floors_took() -> None:
    """Never worse; over routes with a coarse token (a satoshi, a cent) on the way, a good part of what floors took."""
    before = after = 0.0
    for kind in ("23", "232"):
        for route in profitable_routes(recorded_pools(), kind, 20, 3):
            sized = best_size(route, CAP)
            aimed = aim([curve_of(hop) for hop in route], CAP)
            assert sized is not None
            assert aimed is not None
            polish = polished(route, sized, CAP)
            assert polish.gross >= sized.gross
            assert pays(route, polish.amount_in) == polish.gross
            units = sum(aimed.units)
            if units > 1e-5 * aimed.profit:
                before += (aimed.profit - sized.gross) / units
                after += (aimed.profit - polish.gross) / units
    assert before
    assert after < 0.75 * before


def v3(liquidity: Sequence[tuple[int, int, int]], tick: int = 0, fee: int = 500, pair: tuple[bytes, bytes] = (W, X),
       number: int = 1) -> V3Pool:  # fmt: skip
    """A pool of some positions (lower, upper, liquidity), at the price of a tick."""
    ticks: dict[int, int] = {}
    for lower, upper, amount in liquidity:
        ticks[lower] = ticks.get(lower, 0) + amount
        ticks[upper] = ticks.get(upper, 0) - amount
    here = sum(amount for lower, upper, amount in liquidity if lower <= tick < upper)
    return V3Pool.from_parts(
        address=bytes([number]) * 20, token0=pair[0], token1=pair[1], fee_pips=fee, tick_spacing=10,
        sqrt_price=sqrt_price_at(tick), tick=tick, liquidity=here,
        ticks=[(at, net, abs(net)) for at, net in ticks.items() if net],
    )  # fmt: skip


def v2(reserve0: int, reserve1: int, pair: tuple[bytes, bytes] = (W, X), number: int = 2, fee: int = 3000) -> V2Pool:
    return V2Pool(bytes([number]) * 20, *pair, fee, reserve0, reserve1)


@pytest.mark.parametrize("seed", range(25))
def test_random_ranges(seed: int) -> None:
    """Positions at random, gaps between them too: the best size may be far away, on a boundary or before a gap."""
    rnd = random.Random(seed)
    positions = []
    for _ in range(rnd.randint(1, 12)):
        lower = rnd.randrange(-300, 290) * 10
        positions.append((lower, lower + rnd.randrange(1, 60) * 10, int(10 ** rnd.uniform(19, 24))))
    tick = rnd.choice(positions)[0] + rnd.choice((0, 1, 9))
    first = v3(positions, tick)
    price = exp(first.log_price(W, X))
    depth = 10 ** rnd.uniform(20, 24)
    route = (
        Directed(first, W, X),
        Directed(v2(int(depth), int(depth * price / rnd.uniform(1.01, 1.2))), X, W),
    )
    sized = best_size(route, CAP)
    if sized is None:
        assert searched(route, E18)[0] <= units_of(route)
        return
    check(route, 2e-6)


def test_a_gap_in_the_liquidity() -> None:
    """Marginal prices jump over the gap: the best size is at its edge, and no step of the solver lands there."""
    first = v3([(-1000, 1000, 10**22), (3000, 5000, 10**22)])
    price = exp(first.log_price(X, W))
    route = (Directed(first, X, W), Directed(v2(10**26, int(10**26 * 1.15 / price)), W, X))
    sized = check(route, 2e-6)
    edge = sum(
        float(r.liquidity) * abs(r.sqrt_to - r.sqrt_from) / 2**96
        for r in first.ranges(False)
        if r.sqrt_from < 2**96 * 1.06
    )
    assert sized.amount_in == pytest.approx(edge / 0.9995, rel=1e-6)


def test_a_pool_that_is_emptied() -> None:
    """The other pool pays for more than the ranges hold: the end of them is the size."""
    first = v3([(-100, 100, 10**20)])
    route = (Directed(first, W, X), Directed(v2(int(1.005e30), 10**30), X, W))
    check(route, 2e-6)
    deep = (Directed(first, W, X), Directed(v2(int(1.2e30), 10**30), X, W))
    sized = check(deep, 2e-6)
    (only,) = first.ranges(True)
    whole = only.liquidity * (only.sqrt_from - only.sqrt_to) * 2**96 / only.sqrt_from / only.sqrt_to
    assert sized.amount_in == pytest.approx(whole / 0.9995, rel=1e-6)


# ---------------------------------------------------------------- pools that are only quoted


def curve_pool(
    balances: tuple[int, ...], decimals: tuple[int, ...] = (18, 18), number: int = 5, amp: int = 200
) -> Pool:
    tokens = (W, X, Y)[: len(balances)]
    rates = tuple(10 ** (36 - places) for places in decimals)
    ramp = (amp * 100, amp * 100, 0, 0)
    return CurvePool.from_plain(
        (bytes([number]) * 20, tokens, rates, "base", balances, ramp, 4_000_000, 5 * 10**9, sum(balances), 1000, "")
    )


def weighted_pool(balances: tuple[int, int], weight: int, number: int = 6, pair: tuple[bytes, bytes] = (W, X)) -> Pool:
    address = bytes([number]) * 20
    return WeightedPool.from_plain(
        (address, address + bytes(12), pair, (1, 1), balances, (0, 0), 3 * 10**15, 0, "", (weight, ONE - weight), "v2")
    )


def priced_against(
    pool: Pool, token_in: bytes, token_out: bytes, depth: float, margin: float, number: int = 7
) -> Directed:
    """The way back through a V2 pair that makes the round trip worth so much (logarithm)."""
    price = exp(pool.log_price(token_in, token_out))
    pair = (token_in, token_out) if token_in < token_out else (token_out, token_in)
    back, forth = int(depth * exp(margin) / 0.997), int(depth * price)
    reserves = (back, forth) if token_in < token_out else (forth, back)
    return Directed(v2(*reserves, pair, number), token_out, token_in)


@pytest.mark.parametrize("seed", range(10))
def test_curve_and_a_pair(seed: int) -> None:
    rnd = random.Random(seed)
    decimals = rnd.choice(((18, 18), (18, 6), (6, 6)))
    balances = tuple(int(10 ** rnd.uniform(5, 7) * 10**places) for places in decimals)
    pool = curve_pool(balances, decimals, amp=rnd.choice((20, 200, 2000)))
    depth = balances[0] * 10 ** rnd.uniform(-1, 1)
    route = (Directed(pool, W, X), priced_against(pool, W, X, depth, rnd.uniform(0.002, 0.05)))
    check(route, 1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_weighted_and_a_pair(seed: int) -> None:
    rnd = random.Random(100 + seed)
    balances = tuple(int(10 ** rnd.uniform(19, 23)) for _ in range(2))
    assert len(balances) == 2
    pool = weighted_pool((balances[0], balances[1]), rnd.choice((ONE // 5, ONE // 2, ONE * 4 // 5)))
    depth = balances[0] * 10 ** rnd.uniform(-1, 1)
    check((Directed(pool, W, X), priced_against(pool, W, X, depth, rnd.uniform(0.002, 0.05))), 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_every_family_in_one_route(seed: int) -> None:
    """V3, Curve, Balancer and a pair, in any order of the first three."""
    rnd = random.Random(200 + seed)
    stable = curve_pool((10**24, 12 * 10**23))
    balancer = weighted_pool((10**22, 4 * 10**22), ONE // 5, pair=(X, Y))
    ranged = v3([(-6000, 6000, 10**23), (-400, 300, 10**24)], 50, pair=(Y, Z), number=8)
    hops = [Directed(stable, W, X), Directed(balancer, X, Y), Directed(ranged, Y, Z)]
    price = exp(sum(hop.pool.log_price(hop.token_in, hop.token_out) for hop in hops))
    depth = 10 ** rnd.uniform(21, 24)
    back = v2(int(depth), int(depth * price * exp(-rnd.uniform(0.01, 0.1))), (W, Z), 9)
    check((*hops, Directed(back, Z, W)), 1e-6)


def test_balancers_limit_is_kept() -> None:
    """More than 30 % of a balance cannot go in; the other pool would pay for much more."""
    pool = weighted_pool((10**20, 10**20), ONE // 2)
    route = (Directed(pool, W, X), Directed(v2(3 * 10**26, 10**26), X, W))
    sized = check(route, 1e-6)
    most = pool.limits(W, X).amount_in
    assert most * (1 - 1e-6) <= sized.amount_in <= most
    behind = (Directed(v2(10**26, 3 * 10**26), W, X), Directed(pool, X, W))
    sized = check(behind, 1e-6)
    assert sized.amounts_out[0] <= pool.limits(X, W).amount_in


@pytest.mark.parametrize(("seed", "hops"), [(1, 3), (2, 3), (32, 3), (33, 4)])
def test_routes_of_a_mixed_market(seed: int, hops: int) -> None:
    """Pools of all sizes and coarse tokens: quotes of few units must not hide where the best size is."""
    market = MixedMarket(seed, 60, 20, noise=0.003)
    pools = {pool.address: pool for pool in market.pools}
    profitable = [cycle for cycle, price in every_cycle(market.pools, market.anchors, hops) if price > 1e-5]
    worths = dict(market.worths())
    for cycle in random.Random(seed).sample(profitable, 40):
        route = [Directed(pools[pool], token_in, token_out) for pool, token_in, token_out in cycle]
        cap = int(1e21 / exp(worths[route[0].token_in]))
        sized = best_size(route, cap)
        gross = sized.gross if sized else 0
        # From here and from far below: of many peaks that floors make, either may meet the better one.
        nears = sized.amount_in if sized else cap // 10**5, max(1, cap // 10**6)
        found = max(searched(route, near, cap)[0] for near in nears)
        assert found - gross <= 1e-6 * found + units_of(route)


# ---------------------------------------------------------------- caps, extremes, sameness


@pytest.mark.parametrize("kind", ["323", "33"])
def test_a_position_caps_any_mix(kind: str) -> None:
    for route in profitable_routes(recorded_pools(), kind, 4, 11):
        free = best_size(route, CAP)
        assert free is not None
        for part in (2, 50):
            cap = free.amount_in // part
            sized = best_size(route, cap)
            if sized is not None:
                assert sized.gross <= free.gross
                assert sized.gross >= pays(route, cap) - units_of(route)
                check(route, 2e-6, cap)
        assert best_size(route, 0) is None
        assert gross_bound(route, 0) == 0


@pytest.mark.parametrize("kind", ["323", "232"])
def test_a_floor_is_not_met(kind: str) -> None:
    for route in profitable_routes(recorded_pools(), kind, 4, 12):
        sized = best_size(route, CAP)
        assert sized is not None
        assert best_size(route, CAP, floor=sized.gross - 1) == sized
        assert best_size(route, CAP, floor=sized.gross) is None


def test_the_way_back_at_par_earns_nothing() -> None:
    pool = v3([(-6000, 6000, 10**23)])
    other = v3([(-6000, 6000, 10**23)], number=3)
    route = (Directed(pool, W, X), Directed(other, X, W))
    assert best_size(route, CAP) is None
    assert gross_bound(route, CAP) == 0


@pytest.mark.parametrize("decimals", [0, 2, 77])
def test_tokens_of_odd_decimals(decimals: int) -> None:
    """A token of which a pool holds 300 units, and one of which 10**77 would be one: nothing overflows, sizes are true."""
    unit = 10**decimals if decimals < 20 else UINT112_MAX // 300
    pair = v2(10**20, 300 * unit)
    ranged = v3([(-887_270, 887_270, 17 * unit * 10**9 if decimals < 20 else 10**30)], number=4)
    route = (Directed(pair, W, X), Directed(ranged, X, W))
    sized = best_size(route, CAP)
    if sized is not None:
        assert pays(route, sized.amount_in) == sized.gross


@pytest.mark.parametrize("liquidity", [1, 10**6, 2**110])
@pytest.mark.parametrize("tick", [-887_270, -500_000, 0, 500_000, 887_260])
def test_ranges_at_the_ends(liquidity: int, tick: int) -> None:
    lower, upper = max(tick - 1000, -887_270), min(tick + 1000, 887_270)
    pool = v3([(lower // 10 * 10, upper // 10 * 10, liquidity)], min(tick, upper - 11))
    for token_in, token_out in ((W, X), (X, W)):
        for other in (v2(1, UINT112_MAX), v2(UINT112_MAX, 1), v2(10**15, 10**15)):
            route = (Directed(pool, token_in, token_out), Directed(other, token_out, token_in))
            sized, bound = best_size(route, CAP), gross_bound(route, CAP)
            if sized is not None:
                assert pays(route, sized.amount_in) == sized.gross
                assert bound is not None and sized.gross <= bound


def test_curves_are_made_once_a_state_and_anew_for_another() -> None:
    route: Route = (Directed(v3([(-6000, 6000, 10**23)]), W, X), Directed(v2(11 * 10**22, 10**23), X, W))
    curves = Curves()
    first = best_size(route, CAP, curves)
    assert curves.of(route[0]) is curves.of(route[0])
    assert first is not None
    later = tuple(
        hop._replace(pool=done.state) for hop, done in zip(route, trade(route, first.amount_in).hops, strict=True)
    )
    again = best_size(later, CAP, curves)
    assert (again.gross if again else 0) < first.gross // 10**6
    assert isinstance(curves.of(later[1]), ProductCurve)
    assert curves.of(later[1]).pool is later[1].pool


def test_what_a_trade_tells() -> None:
    route = (Directed(v3([(-6000, 6000, 10**23)]), W, X), Directed(v2(11 * 10**22, 10**23), X, W))
    sized = best_size(route, CAP)
    assert sized is not None
    done = trade(route, sized.amount_in)
    assert done.anchor == W
    assert done.amount_in == sized.amount_in
    assert done.gas == sum(hop.gas for hop in done.hops) > 150_000
    before = done.hops[0].price_before * done.hops[1].price_before
    after = done.hops[0].price_after * done.hops[1].price_after
    assert before > 1.05
    assert after == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(QuoteRefused):
        trade((Directed(route[0].pool, W, W), route[1]), 1)
