"""No pool pays more than its depth says, and no route earns more than its gross bound."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations
from math import exp, inf

import msgspec
import pytest

from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.balancer_v2_stable import NEVER, StablePool
from operators.pools.base import Pool, QuoteRefused
from operators.pools.curve import CurvePool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.v3_math.tick_math import sqrt_price_at
from operators.search.offers import offers_of
from operators.search.sizing import Directed, best_size
from operators.search.tables import Tables
from tests.unit.search.priced_markets import address, token
from tests.unit.search.recordings import ANCHORS, RECORDINGS, recorded_pairs, recording

A, B, C = (token(number) for number in range(3))


def v2(rnd: random.Random) -> V2Pool:
    reserves = (int(10 ** rnd.uniform(3, 26)), int(10 ** rnd.uniform(3, 26)))
    return V2Pool(address(1), A, B, rnd.choice((500, 3000, 10_000)), *reserves)


def v3(rnd: random.Random) -> V3Pool:
    """A few positions, some of them far from the price, so that liquidity grows and falls on the way."""
    spacing, price = 60, rnd.randint(-60_000, 60_000)
    net: dict[int, int] = {}
    gross: dict[int, int] = {}
    liquidity = 0
    for _ in range(rnd.randint(1, 6)):
        lower = (price + rnd.randint(-9000, 6000)) // spacing * spacing
        upper = lower + spacing * rnd.randint(1, 150)
        amount = int(10 ** rnd.uniform(12, 24))
        for tick, sign in ((lower, 1), (upper, -1)):
            net[tick] = net.get(tick, 0) + sign * amount
            gross[tick] = gross.get(tick, 0) + amount
        liquidity += amount * (lower <= price < upper)
    return V3Pool.from_parts(
        address=address(2), token0=A, token1=B, fee_pips=3000, tick_spacing=spacing, sqrt_price=sqrt_price_at(price),
        tick=price, liquidity=liquidity, ticks=[(tick, net[tick], gross[tick]) for tick in net],
    )  # fmt: skip


def weighted(rnd: random.Random) -> WeightedPool:
    parts = [rnd.randint(1, 40) for _ in range(3)]
    weights = [part * ONE // sum(parts) for part in parts]
    weights[0] += ONE - sum(weights)
    return WeightedPool(
        address(3), address(3) + bytes(12), (A, B, C), (1, 10**12, 1), tuple(int(10 ** rnd.uniform(8, 24)) for _ in parts), (0, 0, 0),
        3 * 10**15, 0, "", tuple(weights), "v2",
    )  # fmt: skip


def quotes(pool: Pool, token_in: bytes, token_out: bytes) -> Iterator[tuple[int, int]]:
    """Inputs over all orders of magnitude, with what they buy."""
    most = pool.limits(token_in, token_out).amount_in
    for tenth in range(10 * len(str(most))):
        amount = int(10 ** (tenth / 10))
        if amount <= most:
            try:
                yield amount, pool.quote(token_in, amount, token_out).amount_out
            except QuoteRefused:
                continue


@pytest.mark.parametrize("make", [v2, v3, weighted])
@pytest.mark.parametrize("seed", range(25))
def test_no_input_buys_more(make: object, seed: int) -> None:
    pool: Pool = make(random.Random(seed))  # type: ignore[operator]
    offers = offers_of(pool)
    for direction, price, depth in zip(permutations(pool.tokens, 2), offers.prices, offers.depths, strict=True):
        assert price == pool.log_price(*direction)
        if price == -inf:
            continue
        assert depth < inf
        for amount, bought in quotes(pool, *direction):
            # In exact fractions but for the exponential, which is good to 15 digits.
            assert bought <= Fraction(exp(price)) * amount / (1 + Fraction(amount) / Fraction(depth)) * (
                1 + Fraction(1, 10**12)
            )


def test_depths_are_not_far_from_the_truth() -> None:
    """A bound that is always infinite would be right and useless: of the recorded pools nearly all have one, and it is that of the present liquidity
    within a factor that is small for most."""
    loose = []
    for block in RECORDINGS:
        for pool in recording(block).pools:
            if isinstance(pool, V3Pool) and pool.tradable and pool.liquidity:
                offers = offers_of(pool)
                for price, depth in zip(offers.prices, offers.depths, strict=True):
                    if price > -inf:
                        assert depth < inf
                        loose.append(depth / (pool.liquidity * exp(-price / 2)))
    loose.sort()
    assert loose[0] > 0.99
    assert loose[len(loose) // 2] < 10


def test_pools_without_a_proof_have_no_depth_and_silent_pools_no_price() -> None:
    ramp = (20_000, 20_000, 0, 0)
    state = (
        address(4),
        (A, B),
        (10**18,) * 2,
        "base",
        (10**24, 2 * 10**24),
        ramp,
        4_000_000,
        5 * 10**9,
        10**24,
        1000,
        "",
    )
    curve = CurvePool.from_plain(state)
    assert offers_of(curve) == ((curve.log_price(A, B), curve.log_price(B, A)), (inf, inf), None)
    silent = V2Pool(address(1), A, B, 3000, 10**20, 10**20, "suspended")
    assert offers_of(silent).prices == (-inf, -inf)
    everything = V2Pool(address(1), A, B, 3000, 0, 10**20)
    assert offers_of(everything).prices == (-inf, -inf)


@pytest.mark.parametrize("place", [b"\x01" * 20, b"\xcc" * 20])
def test_the_own_token_of_a_composable_stable_pool_is_no_way(place: bytes) -> None:
    """It is among the pool's tokens and is not traded: the tables take the pool all the same."""
    tokens = tuple(sorted((place, A, B)))
    own = tokens.index(place)
    balances = tuple(2**111 if token == place else 10**21 for token in tokens)
    plain = (
        place, place + bytes(12), tokens, (1, 1, 1), balances, (0, 0, 0), 10**14, 0, "", (ONE,) * 3, (0,) * 3, (NEVER,) * 3, own,
        (200_000, 200_000, 0, 0), "down", 0,
    )  # fmt: skip
    pool = StablePool.from_plain(plain)
    offered = dict(zip(permutations(tokens, 2), offers_of(pool).prices, strict=True))
    assert {pair for pair, price in offered.items() if price > -inf} == {(A, B), (B, A)}
    assert offered[A, B] == pool.log_price(A, B)
    pair = V2Pool(address(1), A, B, 3000, 10**20, 2 * 10**20)
    (route,) = Tables((A,), [pool, pair]).routes_through([place], 4)
    assert route.legs == ((pair.address, A, B), (place, B, A))


def test_liquidity_is_used_again_while_no_tick_changes() -> None:
    pool = v3(random.Random(1))
    known = offers_of(pool).liquidity
    moved = pool.quote(A, 10**12, B).state
    assert offers_of(moved, known).liquidity is known
    assert offers_of(moved, known)[:2] == offers_of(moved)[:2] != offers_of(pool)[:2]
    other = msgspec.structs.replace(pool, ticks=v3(random.Random(2)).ticks)
    assert offers_of(other, known).liquidity is not known


def test_ticks_that_are_not_all_known_give_no_depth() -> None:
    pool = v3(random.Random(3))
    assert offers_of(msgspec.structs.replace(pool, liquidity=pool.liquidity + 10**25)).depths == (inf, inf)


@pytest.mark.parametrize("seed", range(10))
def test_no_route_earns_more_than_its_bound(seed: int) -> None:
    """Mixed routes at their exact best size."""
    rnd = random.Random(seed)
    pools: list[Pool] = []
    for number in range(60):
        pool = rnd.choice((v2, v3, weighted))(rnd)
        if isinstance(pool, WeightedPool):
            pool = msgspec.structs.replace(pool, pool_id=address(number) + bytes(12))
        pools.append(msgspec.structs.replace(pool, address=address(number)))
    tables = Tables((A, B), pools)
    listed = list(tables.routes_through([pool.address for pool in pools[:6]], 3))
    rnd.shuffle(listed)
    sized = 0
    for route in listed[:40]:
        known = [Directed(tables.get(leg.pool), leg.token_in, leg.token_out) for leg in route.legs]  # type: ignore[arg-type]
        size = best_size(known, 10**30)
        if size is not None:
            sized += 1
            assert size.gross <= route.gross_bound
    assert sized > 5


def test_bounds_of_recorded_routes() -> None:
    """Constant product alone: the bound is the closed form, so it is also close, but for what the largest reserves can hold."""
    tables = Tables(ANCHORS, recorded_pairs())
    sized = close = 0
    for pool in list(tables)[::150]:
        for route in list(tables.routes_through([pool.address], 3))[:20]:
            known = [Directed(tables.get(leg.pool), leg.token_in, leg.token_out) for leg in route.legs]  # type: ignore[arg-type]
            size = best_size(known, 2**112)
            if size is not None:
                assert size.gross <= route.gross_bound
                sized += 1
                close += size.gross >= route.gross_bound * 0.999 - 2
    assert sized > 20
    assert close > 0.9 * sized
