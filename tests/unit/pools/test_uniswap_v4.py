"""V4Pool on its own: its name among 20-byte addresses, what is refused, and fees that add up."""

from __future__ import annotations

import pytest

from infra.chain.keccak import keccak
from operators.pools.base import BadLog, BadLogReason, BadState, QuoteRefused
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import (
    DYNAMIC_FEE,
    INITIALIZE_TOPIC,
    MODIFY_LIQUIDITY_TOPIC,
    PROTOCOL_FEE_TOPIC,
    SWAP_TOPIC,
    V4Pool,
    pool_key,
)
from operators.pools.v3_math.tick_math import MAX_TICK, MIN_TICK
from schemas.logs import Log

MANAGER, FAKE, HOOK = (bytes([number]) * 20 for number in (4, 5, 6))
COIN, TOKEN = bytes(20), b"\7" * 20
ID, OTHER_ID = b"\x21" * 32, b"\x22" * 32
Q96 = 1 << 96


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big", signed=value < 0)


def log(topic: bytes, *topics: int | bytes, data: tuple[int | bytes, ...] = (), manager: bytes = MANAGER) -> Log:
    return Log(manager, (topic, *map(word, topics)), b"".join(map(word, data)), 0, 0)


def initialize(fee: int = 3000, spacing: int = 60, hooks: bytes = bytes(20), price: int = Q96, tick: int = 0) -> Log:
    return log(INITIALIZE_TOPIC, ID, COIN, TOKEN, data=(fee, spacing, hooks, price, tick))


def modify(lower: int, upper: int, amount: int, pool_id: bytes = ID) -> Log:
    return log(MODIFY_LIQUIDITY_TOPIC, pool_id, 9, data=(lower, upper, amount, 0))


def swapped(fee: int = 3000, amount0: int = -5, amount1: int = 5, **fields: int) -> Log:
    at = {"price": Q96 + 1, "liquidity": 10**18, "tick": 0} | fields
    return log(SWAP_TOPIC, ID, 9, data=(amount0, amount1, at["price"], at["liquidity"], at["tick"], fee))


def pool() -> V4Pool:
    return V4Pool.from_initialize(initialize()).apply(modify(-600, 600, 10**18))


# ---------------------------------------------------------------- the family


def test_topics_are_the_hashes_of_the_events() -> None:
    assert (
        keccak(b"Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)"),
        keccak(b"ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)"),
        keccak(b"Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)"),
        keccak(b"ProtocolFeeUpdated(bytes32,uint24)"),
    ) == V4Pool.LOG_TOPICS
    assert not set(V4Pool.LOG_TOPICS) & set(V3Pool.LOG_TOPICS)


def test_a_pool_of_the_singleton_has_a_name_of_20_bytes() -> None:
    key = pool_key(MANAGER, ID)
    assert len(key) == 20
    assert pool().address == key == V4Pool.key_of(swapped())
    assert len({key, pool_key(FAKE, ID), pool_key(MANAGER, OTHER_ID), MANAGER}) == 4
    with pytest.raises(BadLog, match="names no pool"):
        V4Pool.key_of(Log(MANAGER, (SWAP_TOPIC,), b"", 0, 0))


# ---------------------------------------------------------------- states


def test_an_initialize_log_is_a_pool() -> None:
    state = V4Pool.from_initialize(initialize(500, 10, price=Q96, tick=-1))
    assert (state.tokens, state.fee_pips, state.tick_spacing) == ((COIN, TOKEN), 500, 10)
    assert (state.manager, state.pool_id, state.sqrt_price, state.tick, state.refusal) == (MANAGER, ID, Q96, -1, "")
    with pytest.raises(BadLog, match="wrong_topic"):
        V4Pool.from_initialize(swapped())
    with pytest.raises(BadLog, match="overflow"):
        V4Pool.from_initialize(log(INITIALIZE_TOPIC, ID, b"\1" * 21, TOKEN, data=(1, 1, 0, Q96, 0)))


@pytest.mark.parametrize(
    ("log_", "refusal"),
    [
        (initialize(hooks=HOOK), "hooks"),
        (initialize(DYNAMIC_FEE), "dynamic_fee"),
        (initialize(DYNAMIC_FEE, hooks=HOOK), "hooks"),
    ],
)
def test_hooks_and_dynamic_fees_are_kept_but_not_modelled(log_: Log, refusal: str) -> None:
    state = V4Pool.from_initialize(log_).apply(modify(-600, 600, 10**18)).apply(swapped(fee=77))
    assert (state.refusal, state.tradable, state.sqrt_price, len(state.ticks)) == (refusal, False, 0, 0)
    assert state == V4Pool.from_initialize(log_)
    for bad, reason in ((modify(0, 60, 1, OTHER_ID), "wrong_contract"), (log(b"\7" * 32, ID), "wrong_topic")):
        with pytest.raises(BadLog, match=reason):
            state.apply(bad)
    with pytest.raises(QuoteRefused, match="not_modelled"):
        next(state.ranges(True))
    assert V4Pool.from_plain(state.to_plain()) == state
    for quote in (state.quote, state.quote_exact_out):
        with pytest.raises(QuoteRefused, match=f"not_modelled.*{refusal}"):
            quote(COIN, 10)
    assert state.limits(COIN) == (0, 0)
    assert state.log_price(COIN) == -float("inf")


def test_plain_form_and_digest() -> None:
    states = [pool(), pool().apply(swapped()), pool().apply(log(PROTOCOL_FEE_TOPIC, ID, data=(5,)))]
    for state in states:
        assert V4Pool.from_plain(state.to_plain()) == state
        assert all(type(value) in (bytes, int, str) for value in state.to_plain())
    assert len({state.digest_entry() for state in states}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"manager": b""},
        {"pool_id": ID[:20]},
        {"hooks": b"\1"},
        {"token1": COIN},
        {"fee_pips": 1_000_001},
        {"protocol_fee": 1001},
        {"protocol_fee": 1001 << 12},
        {"protocol_fee": 1 << 24},
        {"ticks": [(1, 1, 1)]},
        {"ticks": [(0, 1, 0)]},
    ],
)
def test_parts_that_are_no_pool_are_refused(change: dict[str, object]) -> None:
    parts = {"manager": MANAGER, "pool_id": ID, "token0": COIN, "token1": TOKEN, "fee_pips": 1, "tick_spacing": 60}
    with pytest.raises(BadState):
        V4Pool.from_parts(**parts | change)  # type: ignore[arg-type]


# ---------------------------------------------------------------- logs


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (log(SWAP_TOPIC, ID, 9, data=(-5, 5, Q96, 7, 0, 3000), manager=FAKE), BadLogReason.WRONG_CONTRACT),
        (log(SWAP_TOPIC, OTHER_ID, 9, data=(-5, 5, Q96, 7, 0, 3000)), BadLogReason.WRONG_CONTRACT),
        (modify(0, 60, 1, OTHER_ID), BadLogReason.WRONG_CONTRACT),
        (log(PROTOCOL_FEE_TOPIC, OTHER_ID, data=(1,)), BadLogReason.WRONG_CONTRACT),
        (Log(MANAGER, (), b"", 0, 0), BadLogReason.WRONG_TOPIC),
        (log(b"\7" * 32, ID), BadLogReason.WRONG_TOPIC),
        (log(SWAP_TOPIC, ID, data=(-5, 5, Q96, 7, 0, 3000)), BadLogReason.WRONG_TOPIC_COUNT),
        (log(SWAP_TOPIC, ID, 9, data=(-5, 5, Q96, 7, 0)), BadLogReason.WRONG_LENGTH),
        (swapped(price=0), BadLogReason.OUT_OF_RANGE),
        (swapped(liquidity=1 << 128), BadLogReason.OVERFLOW),
        (swapped(tick=MAX_TICK), BadLogReason.OUT_OF_RANGE),
        (swapped(liquidity=7), BadLogReason.CONTRADICTS_STATE),
        (swapped(fee=500), BadLogReason.CONTRADICTS_STATE),
        (swapped(fee=3001, amount0=0, amount1=0), BadLogReason.CONTRADICTS_STATE),
        (initialize(), BadLogReason.CONTRADICTS_STATE),
        (log(MODIFY_LIQUIDITY_TOPIC, ID, 9, data=(0, 60, 1)), BadLogReason.WRONG_LENGTH),
        (modify(0, 60, 1 << 127), BadLogReason.OVERFLOW),
        (modify(0, 60, (1 << 127) - 1), BadLogReason.OVERFLOW),
        (modify(0, 60, -(1 << 127) - 1), BadLogReason.OVERFLOW),
        (modify(0, 60, -(1 << 127)), BadLogReason.CONTRADICTS_STATE),
        (modify(0, 60, -1), BadLogReason.CONTRADICTS_STATE),
        (modify(60, 0, 1), BadLogReason.OUT_OF_RANGE),
        (modify(0, 61, 1), BadLogReason.OUT_OF_RANGE),
        (modify(MIN_TICK - 8, 0, 1), BadLogReason.OUT_OF_RANGE),
        (log(PROTOCOL_FEE_TOPIC, ID, data=(1001,)), BadLogReason.OUT_OF_RANGE),
        (log(PROTOCOL_FEE_TOPIC, ID, data=(1001 << 12,)), BadLogReason.OUT_OF_RANGE),
        (log(PROTOCOL_FEE_TOPIC, ID, data=(1 << 255,)), BadLogReason.OUT_OF_RANGE),
        (log(PROTOCOL_FEE_TOPIC, ID), BadLogReason.WRONG_LENGTH),
    ],
)
def test_bad_logs_have_a_reason(bad: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        pool().apply(bad)
    assert caught.value.reason is reason


def test_the_protocol_fee_is_paid_on_top() -> None:
    state = pool().apply(log(PROTOCOL_FEE_TOPIC, ID, data=(1000 | 500 << 12,)))
    sold, bought = (
        pool().quote(token, 10**15).amount_out - state.quote(token, 10**15).amount_out for token in (COIN, TOKEN)
    )
    assert sold > bought > 0
    # 3000 of what 1000 (500) leaves, rounded up: the log of a swap says the same.
    assert state.apply(swapped(fee=3997)).sqrt_price == Q96 + 1
    assert state.apply(swapped(fee=3499, amount0=5, amount1=-5)).sqrt_price == Q96 + 1
    with pytest.raises(BadLog, match="contradicts_state"):
        state.apply(swapped(fee=3000))
    with pytest.raises(BadLog, match="contradicts_state"):
        state.apply(swapped(fee=3499))


def test_a_fee_of_everything_gives_nothing() -> None:
    state = V4Pool.from_initialize(initialize(1_000_000, price=Q96 + 7)).apply(modify(-600, 600, 10**18))
    assert state.log_price(COIN) == -float("inf")
    quote = state.quote(COIN, 10**15)
    assert (quote.amount_out, quote.state) == (0, state)
    with pytest.raises(QuoteRefused, match="not_modelled"):
        state.quote_exact_out(COIN, 1)


def test_amounts_stay_within_int128() -> None:
    state = V4Pool.from_initialize(initialize()).apply(modify(MIN_TICK // 60 * 60 + 60, MAX_TICK // 60 * 60, 10**33))
    assert state.quote(COIN, 1 << 127).amount_out > 0
    for amount in ((1 << 127) + 1, 1 << 200):
        with pytest.raises(QuoteRefused, match="overflow"):
            state.quote(COIN, amount)
    assert state.limits(COIN).amount_in == (1 << 127) - 1
