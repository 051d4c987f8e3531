"""Our concentrated liquidity against the deployed contracts: random pools, positions and swaps, equal in amounts and in the state after.

What the contract carries out must be our swap, and our quote where no price limit ends it; what it reverts, ours must refuse. A case is a quote. The
ordinary run has some hundred; `-m slow` has 10,000 a family, or as many as `SLUICE_CASES` in the environment says.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.pools.base import QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at
from operators.pools.v3_math.walk import price_limit
from tests.unit.pools.concentrated_in_evm import RealPool, Reverted, real_pool

FAMILIES = (V3Pool, PancakeV3Pool, V4Pool)
KINDS = (
    (500, 10),
    (3000, 60),
    (10_000, 200),
    (2500, 50),
    (100, 1),
    (0, 60),
    (999_999, 60),
    (1, 16_383),
    (1_000_000, 60),
)
WHOLE_INPUT = 1_000_000
PROTOCOL_FEES = {V3Pool: (0, 4, 10), PancakeV3Pool: (0, 1000, 4000), V4Pool: (0, 1, 999, 1000)}

Scenario = tuple[tuple[int, int], int, list[Any]]
_sizes = st.integers(0, 126).flatmap(lambda bits: st.integers(1 << bits, (2 << bits) - 1))
#: Parts of what the pool can trade at most, every order of magnitude as likely as any other: (numerator of 1024, bits to drop).
_shares = st.tuples(st.integers(1, 1024), st.integers(0, 40))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """((fee, spacing), price at the start, actions)."""
    fee, spacing = draw(st.sampled_from(KINDS))
    start = draw(st.integers(-200_000, 200_000) | st.integers(MIN_TICK, MAX_TICK - 1))
    at = sqrt_price_at(start)
    price = draw(st.just(at) | st.integers(at, max(at, sqrt_price_at(start + 1) - 1)))
    ends = st.integers(-8, 8) | st.integers(-600, 600) | st.sampled_from((-(10**6), 10**6))
    positions = st.tuples(st.just("position"), ends, ends, _sizes)
    limits = (
        st.none()
        | st.none()
        | st.none()
        | st.tuples(st.just("tick"), ends)
        | st.tuples(st.just("ahead"), st.integers(1, 10**12))
    )
    swaps = st.tuples(st.just("swap"), st.booleans(), st.booleans(), _shares | _shares | _sizes, limits)
    others = st.tuples(st.just("burn"), st.integers(0, 7), st.integers(1, 8)) | st.tuples(
        st.just("protocol"), st.integers(0, 3), st.integers(0, 3)
    )
    actions = draw(st.lists(positions, min_size=1, max_size=5))
    mixed = st.integers(0, 9).flatmap(lambda number: (swaps, positions, others)[max(0, number - 7)])
    actions += draw(st.lists(mixed, min_size=20, max_size=40))
    return (fee, spacing), price, actions


def play(family: type[ConcentratedPool], scenario: Scenario) -> Counter[str]:
    """Play a scenario on both sides and compare after every action. Returns how often what happened."""
    (fee, spacing), price, actions = scenario
    if fee == WHOLE_INPUT and family is not V4Pool:
        fee = 0  # only V4 has pools that keep the whole input
    real = real_pool(family, fee, spacing).clean()
    real.initialize(price)
    pool, done = follow(real, real.bare), Counter[str]()
    held: list[tuple[int, int, int]] = []
    for kind, *what in actions:
        if kind == "position":
            pool = play_position(real, pool, what, held)
        elif kind == "burn":
            number, part = what
            if number < len(held):
                lower, upper, amount = held[number]
                pool, burnt = play_burn(real, pool, lower, upper, amount * part // 8)
                held[number] = (lower, upper, amount - burnt)
        elif kind == "protocol":
            part0, part1 = (PROTOCOL_FEES[family][number % len(PROTOCOL_FEES[family])] for number in what)
            real.set_protocol_fee(part0, part1)
            pool = follow(real, pool)
        else:
            pool = play_swap(real, pool, what, done)
        assert real.price_tick_liquidity() == (pool.sqrt_price, pool.tick, pool.liquidity)
        assert real.protocol_fee() == pool.protocol_fee
        assert pool.audit() == ""
    check_ticks(real, pool)
    return done


def follow(real: RealPool, pool: ConcentratedPool) -> ConcentratedPool:
    """Our state after the real pool's logs of the last call."""
    for log in real.logs:
        if log.topics[0] in pool.LOG_TOPICS:
            pool = pool.apply(log)
    return pool


def usable(tick: int, spacing: int) -> int:
    """The nearest tick that a position may end at."""
    return min(max(tick // spacing, -(MAX_TICK // spacing)), MAX_TICK // spacing) * spacing


def play_position(
    real: RealPool, pool: ConcentratedPool, what: list[int], held: list[tuple[int, int, int]]
) -> ConcentratedPool:
    one, other, amount = what
    spacing = pool.tick_spacing
    lower, upper = sorted(usable(pool.tick + end * spacing, spacing) for end in (one, other))
    try:
        real.position(lower, upper, amount)
    except Reverted:
        return pool  # empty, or more than a tick may hold
    held.append((lower, upper, amount))
    return follow(real, pool)


def play_burn(
    real: RealPool, pool: ConcentratedPool, lower: int, upper: int, amount: int
) -> tuple[ConcentratedPool, int]:
    try:
        real.position(lower, upper, -amount)
    except Reverted as error:
        # A position that is empty cannot be touched. V4 pays the fees out with it, which in a pool that keeps the whole input may be more
        # than it can count (`SafeCastOverflow()`).
        assert amount == 0 or str(error) == "0x93dafdf1"
        return pool, 0
    return follow(real, pool), amount


def play_swap(real: RealPool, pool: ConcentratedPool, what: list[Any], done: Counter[str]) -> ConcentratedPool:
    zero_for_one, exact_out, amount, wanted = what
    amount = amount_of(pool, zero_for_one, exact_out, amount)
    specified = -amount if exact_out else amount
    limit = limit_of(pool, zero_for_one, wanted)
    try:
        amounts = real.swap(zero_for_one, specified, limit)
    except Reverted:
        done["reverted"] += 1
        with pytest.raises(QuoteRefused):
            pool.swap(zero_for_one, specified, limit)
        return pool
    done["swaps"] += 1
    ours = pool.swap(zero_for_one, specified, limit)
    assert (ours.amount0, ours.amount1) == amounts
    after = follow(real, pool)
    assert after == ours.state
    if limit == price_limit(zero_for_one):
        check_quote(pool, zero_for_one, specified, amounts, after, done)
    done["crossings"] += after.liquidity != pool.liquidity
    return after


def check_quote(
    pool: ConcentratedPool,
    zero_for_one: bool,
    specified: int,
    amounts: tuple[int, int],
    after: ConcentratedPool,
    done: Counter[str],
) -> None:
    """A quote is the swap itself, or refused where the pool could not trade all of it."""
    token_in = pool.tokens[not zero_for_one]
    quote = pool.quote if specified > 0 else pool.quote_exact_out
    if specified not in amounts:
        with pytest.raises(QuoteRefused, match="insufficient_liquidity"):
            quote(token_in, abs(specified))
        return
    found = quote(token_in, abs(specified))
    assert (found.amount_in, -found.amount_out) == (max(amounts), min(amounts))
    assert found.state == after
    done["quotes"] += 1


def amount_of(pool: ConcentratedPool, zero_for_one: bool, exact_out: bool, size: int | tuple[int, int]) -> int:
    """A size of its own, or a share of what the pool can trade."""
    if isinstance(size, int):
        return size
    numerator, bits = size
    limits = pool.limits(pool.tokens[not zero_for_one])
    whole = limits.amount_out if exact_out else limits.amount_in
    return max(1, min(whole, 1 << 250) * numerator >> 10 + bits)


def limit_of(pool: ConcentratedPool, zero_for_one: bool, wanted: Any) -> int:
    """The price limit: a tick's own price, something ahead (rarely behind), or as far as it goes."""
    if wanted is not None and wanted[0] == "tick":
        return sqrt_price_at(usable(pool.tick + wanted[1] * pool.tick_spacing, pool.tick_spacing))
    if wanted is not None:
        moved = pool.sqrt_price * wanted[1] // 10**12
        return pool.sqrt_price - moved if zero_for_one else min(pool.sqrt_price + moved, 2**160 - 1)
    if pool.tick_spacing > 1:
        return price_limit(zero_for_one)
    # With a spacing of 1 the way to the end has thousands of words, which no block has the gas for.
    ahead = sqrt_price_at(min(max(pool.tick + (-3000 if zero_for_one else 3000), MIN_TICK), MAX_TICK))
    return max(ahead, MIN_SQRT_PRICE + 1) if zero_for_one else min(ahead, MAX_SQRT_PRICE - 1)


def check_ticks(real: RealPool, pool: ConcentratedPool) -> None:
    """Every tick and its bit in the bitmap are those of the contract's storage."""
    words: dict[int, int] = {}
    for position, tick in enumerate(pool.ticks.index):
        assert real.tick(tick) == tuple(pool.ticks.held(position))
        number = tick // pool.tick_spacing
        words[number >> 8] = words.get(number >> 8, 0) | 1 << (number & 255)
    for word, bits in words.items():
        assert real.word(word) == bits
    around = pool.tick // pool.tick_spacing >> 8
    assert real.word(around) == words.get(around, 0)


def play_many(family: type[ConcentratedPool], quotes: int) -> Counter[str]:
    """Scenarios until there were so many quotes."""
    done: Counter[str] = Counter()

    @settings(max_examples=max(5, quotes // 10), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(scenarios())
    def run(scenario: Scenario) -> None:
        if done["quotes"] < quotes:
            done.update(play(family, scenario))

    while done["quotes"] < quotes:
        run()
    return done


@pytest.mark.parametrize("family", FAMILIES)
def test_random_pools_are_those_of_the_contract(family: type[ConcentratedPool]) -> None:
    play_many(family, 150)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", FAMILIES)
def test_ten_thousand_quotes_are_those_of_the_contract(family: type[ConcentratedPool]) -> None:
    done = play_many(family, int(os.environ.get("SLUICE_CASES", "10000")))
    print(family.FAMILY, dict(done))


@pytest.mark.parametrize("family", [V3Pool, PancakeV3Pool])
def test_the_price_where_its_formula_leaves_256_bits(family: type[ConcentratedPool]) -> None:
    """Words of a wide spacing are so long that amount times price overflows, and the contract divides otherwise.

    In V4 no such swap is possible: its output would leave int128.
    """
    start, spacing = 800_000, 16_383
    positions = [("position", -(10**6), 10**6, 1 << 120)]
    swaps = [("swap", True, False, 1 << bits, None) for bits in (90, 100, 110, 115, 118)]
    assert (1 << 118) * sqrt_price_at(start) >> 256
    done = play(family, ((1, spacing), sqrt_price_at(start), positions + swaps))
    assert done["swaps"] == done["quotes"] == len(swaps)
