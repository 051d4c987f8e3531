"""V2Pool on its own: limits, refusals, bad logs, plain form, and laws of the constant product."""

from __future__ import annotations

from math import exp, isclose

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.chain.keccak import keccak
from operators.pools import FAMILIES, LOG_TOPICS, by_topic
from operators.pools.base import BadLog, BadLogReason, BadState, Limits, QuoteRefusal, QuoteRefused
from operators.pools.records import refused
from operators.pools.uniswap_v2 import SYNC_TOPIC, UINT112_MAX, V2Pool
from schemas.logs import Log

A, T0, T1, OTHER = (bytes([number]) * 20 for number in (1, 2, 3, 9))

amounts = st.integers(1, UINT112_MAX) | st.integers(1, 10**6)
fees = st.sampled_from((3000, 2500, 500, 10_000, 0, 999_999, 1234))


def pool(reserve0: int = 10**18, reserve1: int = 2 * 10**18, fee: int = 3000) -> V2Pool:
    return V2Pool(A, T0, T1, fee, reserve0, reserve1)


def sync(reserve0: int, reserve1: int) -> Log:
    return Log(A, (SYNC_TOPIC,), reserve0.to_bytes(32, "big") + reserve1.to_bytes(32, "big"), 0, 0)


# ---------------------------------------------------------------- the family


def test_the_family_is_listed_and_found_by_its_topic() -> None:
    assert keccak(b"Sync(uint112,uint112)") == SYNC_TOPIC
    assert FAMILIES["uniswap_v2"] is V2Pool
    assert by_topic(SYNC_TOPIC) == (V2Pool,)
    assert by_topic(b"\0" * 32) == ()
    assert SYNC_TOPIC in LOG_TOPICS


def test_the_slots_are_those_a_swap_touches() -> None:
    (need,) = pool().slots()
    assert need.address == pool().holder == A
    assert pool().log_sources == (A,)
    assert pool().probes() == ()
    assert [int.from_bytes(key, "big") for key in need.keys] == [6, 7, 8, 9, 10, 12]


# ---------------------------------------------------------------- states


def test_plain_form() -> None:
    state = pool()
    assert V2Pool.from_plain(state.to_plain()) == state
    assert all(type(value) in (bytes, int, str) for value in state.to_plain())


def test_a_refused_pool_is_kept_but_not_tradable() -> None:
    state = refused(pool(), "transfer_tax")
    assert state.refusal == "transfer_tax"
    assert not state.tradable
    assert state.apply(sync(5, 5)).refusal == "transfer_tax"


def test_time_changes_nothing() -> None:
    state = pool()
    assert not V2Pool.TIMED
    assert state.at(2**40) is state


@pytest.mark.parametrize(
    "plain",
    [
        (),
        (A, T0, T1, 3000, 1, 1),
        (A, T0, T1, 3000, "1", 1, ""),
        (A, T0, T1, 3000, -1, 1, ""),
        (b"", T0, T1, 3000, 1, 1, ""),
        (A, T0, T0, 3000, 1, 1, ""),
        (A, T0, T1, 3000, 2**112, 1, ""),
        (A, T0, T1, 3000, 1, 2**112, ""),
        (A, T0, T1, 1_000_000, 1, 1, ""),
        (A, T0, T1, 3000, True, 1, ""),
    ],
)
def test_plain_data_that_is_no_state_is_refused(plain: tuple[object, ...]) -> None:
    with pytest.raises(BadState):
        V2Pool.from_plain(plain)


@given(amounts, amounts, amounts, amounts, fees, fees)
def test_digest_entries_are_equal_exactly_for_equal_states(
    r0: int, r1: int, s0: int, s1: int, fee: int, other: int
) -> None:
    one, two = pool(r0, r1, fee), pool(s0, s1, other)
    assert (one.digest_entry() == two.digest_entry()) == (one == two)
    assert one.digest_entry() == V2Pool.from_plain(one.to_plain()).digest_entry()


# ---------------------------------------------------------------- logs


def test_sync_gives_the_reserves_and_leaves_the_earlier_state() -> None:
    before = pool()
    after = before.apply(sync(5, UINT112_MAX))
    assert (after.reserve0, after.reserve1) == (5, UINT112_MAX)
    assert before == pool()


def test_a_drained_pool_is_a_state_that_nobody_trades() -> None:
    empty = pool().apply(sync(0, 7))
    assert not empty.tradable
    assert empty.log_price(T0) == empty.log_price(T1) == -float("inf")
    assert empty.limits(T0) == Limits(0, 0)
    with pytest.raises(QuoteRefused, match="no_liquidity"):
        empty.quote(T0, 5)
    assert empty.apply(sync(1, 7)).tradable


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (Log(OTHER, (SYNC_TOPIC,), bytes(64), 0, 0), BadLogReason.WRONG_CONTRACT),
        (Log(A, (b"\7" * 32,), bytes(64), 0, 0), BadLogReason.WRONG_TOPIC),
        (Log(A, (), bytes(64), 0, 0), BadLogReason.WRONG_TOPIC),
        (Log(A, (SYNC_TOPIC, SYNC_TOPIC), bytes(64), 0, 0), BadLogReason.WRONG_TOPIC_COUNT),
        (Log(A, (SYNC_TOPIC,), bytes(63), 0, 0), BadLogReason.WRONG_LENGTH),
        (Log(A, (SYNC_TOPIC,), bytes(96), 0, 0), BadLogReason.WRONG_LENGTH),
        (Log(A, (SYNC_TOPIC,), b"", 0, 0), BadLogReason.WRONG_LENGTH),
        (sync(2**112, 1), BadLogReason.OVERFLOW),
        (sync(1, 2**256 - 1), BadLogReason.OVERFLOW),
    ],
)
def test_bad_logs_have_a_reason(log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        pool().apply(log)
    assert caught.value.reason is reason


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize(
    ("token", "amount", "reason"),
    [
        (OTHER, 1, QuoteRefusal.UNKNOWN_TOKEN),
        (T0, 0, QuoteRefusal.ZERO_INPUT),
        (T0, -1, QuoteRefusal.ZERO_INPUT),
        (T1, 1, QuoteRefusal.ZERO_OUTPUT),
        (T0, UINT112_MAX, QuoteRefusal.OVERFLOW),
    ],
)
def test_what_a_pair_would_revert_is_refused(token: bytes, amount: int, reason: QuoteRefusal) -> None:
    with pytest.raises(QuoteRefused) as caught:
        pool().quote(token, amount)
    assert caught.value.reason is reason


def test_exact_output_refusals() -> None:
    for amount, reason in (
        (0, "zero_output"),
        (2 * 10**18, "insufficient_liquidity"),
        (3 * 10**18, "insufficient_liquidity"),
    ):
        with pytest.raises(QuoteRefused, match=reason):
            pool().quote_exact_out(T0, amount)
    with pytest.raises(QuoteRefused, match="overflow"):
        pool(2**111, 10**18).quote_exact_out(T0, 10**18 - 1)


def test_a_quote_never_uses_another_token_out() -> None:
    assert pool().quote(T0, 1000, T1) == pool().quote(T0, 1000)
    with pytest.raises(QuoteRefused, match="unknown_token"):
        pool().quote(T0, 1000, OTHER)
    with pytest.raises(QuoteRefused, match="unknown_token"):
        pool().quote(T0, 1000, T0)


@pytest.mark.parametrize(
    ("pips", "kept", "scale"), [(3000, 997, 1000), (2500, 9975, 10_000), (500, 9995, 10_000), (2000, 998, 1000)]
)
@given(reserve0=amounts, reserve1=amounts, amount=amounts)
def test_fees_are_those_of_the_contracts_own_units(
    pips: int, kept: int, scale: int, reserve0: int, reserve1: int, amount: int
) -> None:
    """getAmountOut and getAmountIn as each fork writes them, in its per mille or per ten thousand."""
    state = pool(reserve0, reserve1, pips)
    assume(amount <= state.limits(T0).amount_in)
    expected = amount * kept * reserve1 // (reserve0 * scale + amount * kept)
    if expected:
        assert state.quote(T0, amount).amount_out == expected
    wanted = min(amount, reserve1 - 1)
    needed = reserve0 * wanted * scale // ((reserve1 - wanted) * kept) + 1
    if wanted and needed <= state.limits(T0).amount_in:
        assert state.quote_exact_out(T0, wanted).amount_in == needed


@given(amounts, amounts, fees, amounts, amounts)
def test_more_in_never_gives_less_out(reserve0: int, reserve1: int, fee: int, one: int, two: int) -> None:
    curve = pool(reserve0, reserve1, fee).constant_product(T0)
    less, more = sorted((one, two))
    assert curve.out(less) <= curve.out(more) < reserve1


@given(amounts, amounts, fees, amounts)
def test_k_never_falls(reserve0: int, reserve1: int, fee: int, amount: int) -> None:
    state = pool(reserve0, reserve1, fee)
    try:
        quote = state.quote(T0, amount)
    except QuoteRefused:
        return
    after = quote.state
    assert after.reserve0 * after.reserve1 >= reserve0 * reserve1
    assert after.reserve0 == reserve0 + amount
    assert after.reserve1 == reserve1 - quote.amount_out
    assert after == state.swap((amount, 0), (0, quote.amount_out))
    with pytest.raises(QuoteRefused):
        state.swap((amount, 0), (0, quote.amount_out + 1))


@given(amounts, amounts, fees, amounts)
def test_least_input_inverts_output(reserve0: int, reserve1: int, fee: int, wanted: int) -> None:
    curve = pool(reserve0, reserve1, fee).constant_product(T0)
    assume(wanted < reserve1)
    least = curve.least_in(wanted)
    assert curve.out(least) >= wanted > curve.out(least - 1)


@given(amounts, amounts, fees, amounts)
def test_exact_output_costs_at_most_a_unit_above_the_least(reserve0: int, reserve1: int, fee: int, wanted: int) -> None:
    state = pool(reserve0, reserve1, fee)
    try:
        quote = state.quote_exact_out(T0, wanted)
    except QuoteRefused:
        return
    assert quote.amount_in - state.constant_product(T0).least_in(wanted) in (0, 1)
    assert state.quote(T0, quote.amount_in).amount_out >= wanted
    assert quote.state == state.swap((quote.amount_in, 0), (0, wanted))


@given(amounts, amounts, fees)
def test_limits_can_be_traded(reserve0: int, reserve1: int, fee: int) -> None:
    state = pool(reserve0, reserve1, fee)
    limits = state.limits(T0)
    if limits.amount_out:
        assert state.quote(T0, limits.amount_in).amount_out == limits.amount_out


@given(st.integers(10**15, 10**30), st.integers(10**15, 10**30), fees)
def test_log_price_is_the_price_of_a_small_trade(reserve0: int, reserve1: int, fee: int) -> None:
    state = pool(reserve0, reserve1, fee)
    expected = (1_000_000 - fee) / 1_000_000 * reserve1 / reserve0
    assert isclose(exp(state.log_price(T0)), expected, rel_tol=1e-9)
    assert state.log_price(T0) + state.log_price(T1) <= 1e-12
