"""V3Pool and PancakeV3Pool on their own: states, logs good and bad, refusals, and what quotes owe each other."""

from __future__ import annotations

from math import exp, isclose
from math import log as natural

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.chain.keccak import keccak
from operators.pools import pancake_v3, uniswap_v3
from operators.pools.base import BadLog, BadLogReason, BadState, Limits, QuoteRefusal, QuoteRefused
from operators.pools.concentrated import INT256_MAX
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import (
    BURN_TOPIC,
    INITIALIZE_TOPIC,
    MINT_TOPIC,
    SET_FEE_PROTOCOL_TOPIC,
    SWAP_TOPIC,
    V3Pool,
)
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at, tick_at
from operators.pools.v3_math.walk import price_limit
from schemas.logs import Log

A, T0, T1, OTHER = (bytes([number]) * 20 for number in (1, 2, 3, 9))
Q96 = 1 << 96
LOWEST, HIGHEST = -887_220, 887_220


def word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=value < 0)


def log(topic: bytes, *topics: int, data: tuple[int, ...] = (), address: bytes = A) -> Log:
    return Log(address, (topic, *map(word, topics)), b"".join(map(word, data)), 0, 0)


def initialize(price: int = Q96, tick: int = 0) -> Log:
    return log(INITIALIZE_TOPIC, data=(price, tick))


def mint(lower: int, upper: int, amount: int) -> Log:
    return log(MINT_TOPIC, 7, lower, upper, data=(7, amount, 0, 0))


def burn(lower: int, upper: int, amount: int) -> Log:
    return log(BURN_TOPIC, 7, lower, upper, data=(amount, 0, 0))


def swapped(price: int, liquidity: int, tick: int) -> Log:
    return log(SWAP_TOPIC, 7, 8, data=(5, -5, price, liquidity, tick))


def bare(**fields: object) -> V3Pool:
    return V3Pool.from_parts(
        **{"address": A, "token0": T0, "token1": T1, "fee_pips": 3000, "tick_spacing": 60} | fields
    )  # type: ignore[arg-type]


def pool() -> V3Pool:
    """At a price of 1 with two positions around it."""
    state = bare().apply(initialize())
    return state.apply(mint(-600, 600, 10**18)).apply(mint(-6000, 60, 10**18))


# ---------------------------------------------------------------- the families


def test_topics_are_the_hashes_of_the_events() -> None:
    assert {
        keccak(b"Initialize(uint160,int24)"): INITIALIZE_TOPIC,
        keccak(b"Swap(address,address,int256,int256,uint160,uint128,int24)"): SWAP_TOPIC,
        keccak(b"Mint(address,address,int24,int24,uint128,uint256,uint256)"): MINT_TOPIC,
        keccak(b"Burn(address,int24,int24,uint128,uint256,uint256)"): BURN_TOPIC,
        keccak(b"SetFeeProtocol(uint8,uint8,uint8,uint8)"): SET_FEE_PROTOCOL_TOPIC,
    } == {topic: topic for topic in V3Pool.LOG_TOPICS}
    assert keccak(b"Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)") == pancake_v3.SWAP_TOPIC
    assert keccak(b"SetFeeProtocol(uint32,uint32,uint32,uint32)") == pancake_v3.SET_FEE_PROTOCOL_TOPIC
    assert uniswap_v3.SWAP_TOPIC not in PancakeV3Pool.LOG_TOPICS


# ---------------------------------------------------------------- states


def test_plain_form_and_back() -> None:
    for state in (bare(), pool(), bare(refusal="transfer_tax", protocol_fee=0x45, observation=3, observations=9)):
        again = V3Pool.from_plain(state.to_plain())
        assert again == state
        assert again.digest_entry() == state.digest_entry()
        assert all(type(value) in (bytes, int, str) for value in state.to_plain())


def test_digest_entries_differ_by_everything_a_pool_holds() -> None:
    start = pool()
    states = [
        start,
        bare(),
        start.apply(swapped(Q96 + 1, 2 * 10**18, 0)),
        start.apply(swapped(Q96, 2 * 10**18, -1)),
        start.apply(mint(600, 660, 1)),
        start.apply(mint(-600, 600, 1)),
        start.apply(log(SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 4, 0))),
        PancakeV3Pool(*(getattr(start, name) for name in start.__struct_fields__)),
    ]
    assert len({state.digest_entry() for state in states}) == len(states)


@pytest.mark.parametrize(
    "change",
    [
        {"address": b""},
        {"token0": T1},
        {"token0": OTHER},
        {"fee_pips": 1_000_000},
        {"tick_spacing": 0},
        {"tick_spacing": 1 << 15},
        {"liquidity": 1 << 128},
        {"liquidity": -1},
        {"sqrt_price": MIN_SQRT_PRICE - 1},
        {"sqrt_price": MAX_SQRT_PRICE},
        {"tick": MAX_TICK},
        {"tick": MIN_TICK - 1},
        {"protocol_fee": 256},
        {"ticks": [(61, 1, 1)]},
        {"ticks": [(60, 1, 1), (60, -1, 1)]},
        {"ticks": [(60, 2, 1)]},
        {"observation": 1},
        {"observation": -1},
        {"observations": 0},
        {"observations": 1 << 16},
    ],
)
def test_parts_that_are_no_pool_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadState):
        bare(**change)


@pytest.mark.parametrize("position", range(14))
def test_plain_data_of_another_shape_is_refused(position: int) -> None:
    plain = list(pool().to_plain())
    with pytest.raises(BadState):
        V3Pool.from_plain(tuple(plain[:position] + plain[position + 1 :]))
    plain[position] = None
    with pytest.raises(BadState, match=f"field {position}"):
        V3Pool.from_plain(tuple(plain))


def test_an_audit_names_the_contradiction() -> None:
    good = pool()
    assert good.audit() == bare().audit() == ""
    assert "liquidity of" in bare(sqrt_price=Q96, liquidity=1).audit()
    assert "at tick 0" in bare(sqrt_price=Q96, tick=7).audit()
    assert "not 0" in bare(sqrt_price=Q96, ticks=[(60, 1, 1)]).audit()
    assert "never initialised" in bare(ticks=[(0, 1, 1), (60, -1, 1)]).audit()
    # Swapped down to the very price of a tick, a pool stands one tick below it.
    assert bare(sqrt_price=Q96, tick=-1).audit() == ""


# ---------------------------------------------------------------- logs


def test_the_life_of_a_pool() -> None:
    state = bare()
    assert not state.tradable
    state = state.apply(initialize(sqrt_price_at(30), 30))
    assert not state.tradable
    state = state.apply(mint(0, 60, 10))
    assert (state.liquidity, state.tradable) == (10, True)
    outside = state.apply(mint(60, 120, 5))
    assert (outside.liquidity, len(outside.ticks)) == (10, 3)
    moved = outside.apply(swapped(sqrt_price_at(70), 5, 70))
    assert (moved.sqrt_price, moved.tick, moved.liquidity) == (sqrt_price_at(70), 70, 5)
    assert moved.ticks is outside.ticks
    assert moved.apply(burn(60, 120, 0)) == moved
    gone = moved.apply(burn(60, 120, 5)).apply(burn(0, 60, 10))
    assert (gone.liquidity, len(gone.ticks), gone.tradable) == (0, 0, False)
    assert gone.apply(log(SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 4, 5))).protocol_fee == 0x54


def test_a_refused_pool_is_kept_but_not_tradable() -> None:
    state = bare(refusal="transfer_tax").apply(initialize()).apply(mint(-60, 60, 10))
    assert (state.refusal, state.liquidity, state.tradable) == ("transfer_tax", 10, False)


MOVED = (Q96, 2 * 10**18, 0)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (log(SWAP_TOPIC, 7, 8, data=(5, -5, *MOVED), address=OTHER), BadLogReason.WRONG_CONTRACT),
        (Log(A, (), b"", 0, 0), BadLogReason.WRONG_TOPIC),
        (log(b"\7" * 32), BadLogReason.WRONG_TOPIC),
        (log(pancake_v3.SWAP_TOPIC, 7, 8, data=(5, -5, *MOVED, 0, 0)), BadLogReason.WRONG_TOPIC),
        (log(SWAP_TOPIC, 7, data=(5, -5, *MOVED)), BadLogReason.WRONG_TOPIC_COUNT),
        (log(SWAP_TOPIC, 7, 8, 9, data=(5, -5, *MOVED)), BadLogReason.WRONG_TOPIC_COUNT),
        (log(SWAP_TOPIC, 7, 8, data=(5, -5, Q96, 7)), BadLogReason.WRONG_LENGTH),
        (log(SWAP_TOPIC, 7, 8, data=(5, -5, *MOVED, 0, 0)), BadLogReason.WRONG_LENGTH),
        (Log(A, (SWAP_TOPIC, word(7), word(8)), bytes(159), 0, 0), BadLogReason.WRONG_LENGTH),
        (swapped(Q96, 2 * 10**18 - 1, 0), BadLogReason.CONTRADICTS_STATE),
        (swapped(sqrt_price_at(60), 2 * 10**18, 60), BadLogReason.CONTRADICTS_STATE),
        (swapped(sqrt_price_at(-601), 2 * 10**18, -601), BadLogReason.CONTRADICTS_STATE),
        (swapped(0, 7, 0), BadLogReason.OUT_OF_RANGE),
        (swapped(MIN_SQRT_PRICE - 1, 7, 0), BadLogReason.OUT_OF_RANGE),
        (swapped(MAX_SQRT_PRICE, 7, 0), BadLogReason.OUT_OF_RANGE),
        (swapped((1 << 256) - 1, 7, 0), BadLogReason.OUT_OF_RANGE),
        (swapped(Q96, 1 << 128, 0), BadLogReason.OVERFLOW),
        (swapped(Q96, (1 << 256) - 1, 0), BadLogReason.OVERFLOW),
        (swapped(Q96, 7, MAX_TICK), BadLogReason.OUT_OF_RANGE),
        (swapped(Q96, 7, MIN_TICK - 1), BadLogReason.OUT_OF_RANGE),
        (swapped(Q96, 7, 1 << 254), BadLogReason.OUT_OF_RANGE),
        (initialize(), BadLogReason.CONTRADICTS_STATE),
        (log(INITIALIZE_TOPIC, data=(Q96,)), BadLogReason.WRONG_LENGTH),
        (log(INITIALIZE_TOPIC, 7, data=(Q96, 0)), BadLogReason.WRONG_TOPIC_COUNT),
        (initialize(0, 0), BadLogReason.OUT_OF_RANGE),
        (mint(60, 60, 1), BadLogReason.OUT_OF_RANGE),
        (mint(60, 0, 1), BadLogReason.OUT_OF_RANGE),
        (mint(0, 61, 1), BadLogReason.OUT_OF_RANGE),
        (mint(LOWEST - 60, 0, 1), BadLogReason.OUT_OF_RANGE),
        (mint(0, HIGHEST + 60, 1), BadLogReason.OUT_OF_RANGE),
        (mint(0, 1 << 255, 1), BadLogReason.OUT_OF_RANGE),
        (mint(0, 60, 1 << 128), BadLogReason.OVERFLOW),
        (mint(0, 60, (1 << 128) - 1), BadLogReason.OVERFLOW),
        (log(MINT_TOPIC, 7, 0, 60, data=(7, 1, 0)), BadLogReason.WRONG_LENGTH),
        (log(MINT_TOPIC, 7, 0, data=(7, 1, 0, 0)), BadLogReason.WRONG_TOPIC_COUNT),
        (burn(-600, 600, 10**18 + 1), BadLogReason.CONTRADICTS_STATE),
        (burn(0, 60, 1), BadLogReason.CONTRADICTS_STATE),
        (burn(120, 180, 1), BadLogReason.CONTRADICTS_STATE),
        (log(BURN_TOPIC, 7, -600, 600, data=(1, 0)), BadLogReason.WRONG_LENGTH),
        (log(BURN_TOPIC, 7, -600, 600, data=(1 << 128, 0, 0)), BadLogReason.OVERFLOW),
        (log(SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 16, 0)), BadLogReason.OUT_OF_RANGE),
        (log(SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 4)), BadLogReason.WRONG_LENGTH),
    ],
)
def test_bad_logs_have_a_reason(bad: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        pool().apply(bad)
    assert caught.value.reason is reason


@pytest.mark.parametrize("early", [swapped(*MOVED), mint(0, 60, 1), burn(0, 60, 1)])
def test_nothing_comes_before_the_first_price(early: Log) -> None:
    with pytest.raises(BadLog) as caught:
        bare().apply(early)
    assert caught.value.reason is BadLogReason.CONTRADICTS_STATE


def test_the_outermost_ticks_and_prices_are_a_pools() -> None:
    state = bare().apply(initialize(MIN_SQRT_PRICE, MIN_TICK)).apply(mint(LOWEST, HIGHEST, 10**6))
    assert state.liquidity == 0
    top = state.apply(swapped(MAX_SQRT_PRICE - 1, 0, MAX_TICK - 1))
    assert top.audit() == ""
    for at, token in ((state, T0), (top, T1)):
        assert at.limits(token) == Limits(0, 0)
        assert at.log_price(token) == -float("inf")
        with pytest.raises(QuoteRefused):
            at.quote(token, 1)
    assert state.quote(T1, 10**9).amount_out > 0


def test_a_tick_holds_its_share_of_uint128_and_no_more() -> None:
    most = ((1 << 128) - 1) // (2 * (MAX_TICK // 60) + 1)
    full = bare().apply(initialize()).apply(mint(-60, 60, most))
    assert full.liquidity == most
    with pytest.raises(BadLog, match="the most is"):
        full.apply(mint(-60, 120, 1))


def test_pancake_swaps_carry_protocol_fees() -> None:
    fields = {"address": A, "token0": T0, "token1": T1, "tick_spacing": 50}
    state = PancakeV3Pool.from_parts(fee_pips=2500, **fields).apply(initialize())  # type: ignore[arg-type]
    assert state.protocol_fee == 3200 | 3200 << 16
    after = state.apply(log(pancake_v3.SWAP_TOPIC, 7, 8, data=(5, -5, Q96 + 1, 0, 0, 1, 0)))
    assert (after.sqrt_price, after.tick) == (Q96 + 1, 0)
    assert after.apply(log(pancake_v3.SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 0, 4000))).protocol_fee == 4000 << 16
    for bad, reason in (
        (swapped(Q96, 7, 0), "wrong_topic"),
        (log(pancake_v3.SWAP_TOPIC, 7, 8, data=(5, -5, Q96, 7, 0)), "wrong_length"),
        (log(pancake_v3.SET_FEE_PROTOCOL_TOPIC, data=(0, 0, 0, 1 << 16)), "out_of_range"),
    ):
        with pytest.raises(BadLog, match=reason):
            after.apply(bad)


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize(
    ("token", "amount", "reason"),
    [
        (OTHER, 1, QuoteRefusal.UNKNOWN_TOKEN),
        (T0, 0, QuoteRefusal.ZERO_INPUT),
        (T0, -1, QuoteRefusal.ZERO_INPUT),
        (T0, 1 << 255, QuoteRefusal.OVERFLOW),
        (T0, INT256_MAX, QuoteRefusal.INSUFFICIENT_LIQUIDITY),
    ],
)
def test_what_cannot_be_sold_is_refused(token: bytes, amount: int, reason: QuoteRefusal) -> None:
    with pytest.raises(QuoteRefused) as caught:
        pool().quote(token, amount)
    assert caught.value.reason is reason


def test_what_cannot_be_bought_is_refused() -> None:
    for amount, reason in ((0, "zero_output"), (10**30, "insufficient_liquidity"), (1 << 256, "overflow")):
        with pytest.raises(QuoteRefused, match=reason):
            pool().quote_exact_out(T0, amount)
    with pytest.raises(QuoteRefused, match="no_liquidity"):
        bare().quote(T0, 1)
    with pytest.raises(QuoteRefused, match="unknown_token"):
        pool().quote(T0, 1, T0)
    with pytest.raises(QuoteRefused, match="no_single_curve"):
        pool().constant_product(T0)


@pytest.mark.parametrize("limit", [Q96, Q96 + 1, MIN_SQRT_PRICE, 0])
def test_a_price_limit_lies_ahead(limit: int) -> None:
    with pytest.raises(QuoteRefused, match="price_limit"):
        pool().swap(True, 1, limit)


def test_ticks_that_are_no_pools_are_noticed_when_crossed() -> None:
    """More is taken off than is there: the state is broken, so nothing is traded over it."""
    broken = bare(sqrt_price=Q96, liquidity=5, ticks=[(-60, 9, 9)])
    assert broken.audit()
    with pytest.raises(QuoteRefused, match="invariant"):
        broken.quote(T0, 10**18)


def test_a_gap_without_liquidity_is_passed_over() -> None:
    state = bare().apply(initialize()).apply(mint(-300_000, -240_000, 10**12)).apply(mint(60, 120, 10**18))
    assert state.tradable and state.liquidity == 0
    # The first unit is traded where the liquidity begins.
    assert isclose(state.log_price(T0), natural(0.997) - 240_000 * natural(1.0001), abs_tol=1e-6)
    assert isclose(state.log_price(T1), natural(0.997) - 60 * natural(1.0001), abs_tol=1e-6)
    quote = state.quote(T0, 10**12)
    assert quote.state.tick < -240_000
    assert state.quote(T1, 10**6).state.tick == 60


@given(st.integers(1, 10**24), st.booleans())
def test_quotes_are_swaps(amount: int, zero_for_one: bool) -> None:
    state, token = pool(), T0 if zero_for_one else T1
    done = state.swap(zero_for_one, amount)
    assert done.state.ticks is state.ticks
    if amount not in (done.amount0, done.amount1):
        assert done.state.sqrt_price == price_limit(zero_for_one)
        with pytest.raises(QuoteRefused, match="insufficient_liquidity"):
            state.quote(token, amount)
        return
    quote = state.quote(token, amount)
    assert quote.state == done.state
    if quote.amount_out:
        cost = state.quote_exact_out(token, quote.amount_out)
        assert cost.amount_in <= amount
        assert state.quote(token, cost.amount_in).amount_out >= quote.amount_out


@given(st.integers(1, 10**18), st.integers(1, 10**18), st.booleans())
def test_more_in_never_gives_less_out(one: int, two: int, zero_for_one: bool) -> None:
    less, more = sorted((one, two))
    state, token = pool(), T0 if zero_for_one else T1
    most = state.limits(token).amount_in
    assert state.quote(token, min(less, most)).amount_out <= state.quote(token, min(more, most)).amount_out


@given(st.integers(-800_000, 800_000), st.integers(0, 999_999))
def test_log_price_is_the_price_of_a_small_trade(tick: int, fee: int) -> None:
    price = sqrt_price_at(tick)
    state = bare(fee_pips=fee).apply(initialize(price, tick_at(price))).apply(mint(LOWEST, HIGHEST, 10**30))
    kept, in_token1 = 1 - fee / 1_000_000, (price / Q96) ** 2
    assert isclose(state.log_price(T0), natural(kept * in_token1), abs_tol=1e-9)
    assert isclose(state.log_price(T1), natural(kept / in_token1), abs_tol=1e-9)
    assert exp(state.log_price(T0) + state.log_price(T1)) <= 1 + 1e-9
