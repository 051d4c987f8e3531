"""Balancer pools on their own: laws of their curves, limits, events of the Vault and of the pools, bad logs and states."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import exp, isclose

import msgspec
import pytest
from eth_abi import encode
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.chain.keccak import keccak
from operators.pools import balancer_v2, balancer_v2_stable
from operators.pools.balancer_math import stable
from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_math.stable import InvariantVersion
from operators.pools.balancer_v2 import MAX_BALANCE, VAULT, VaultPool, WeightedPool, pool_address
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.base import BadLog, BadLogReason, BadState, Pool, QuoteRefusal, QuoteRefused
from operators.pools.words import Reverts
from schemas.logs import Log

A, T0, T1, T2, OTHER = (bytes([number]) * 20 for number in (1, 2, 3, 4, 9))
POOL_ID = A + bytes(11) + b"\7"
FAMILIES: tuple[type[Pool], ...] = (WeightedPool, StablePool)


def weighted(
    balances: tuple[int, ...] = (10**21, 2 * 10**21), weights: tuple[int, ...] = (ONE // 5, ONE * 4 // 5),
    fee: int = 3 * 10**15, version: str = "v2", decimals: int = 18,
) -> WeightedPool:  # fmt: skip
    tokens = (T0, T1, T2)[: len(balances)]
    scaling = (10 ** (18 - decimals),) + (1,) * (len(balances) - 1)
    return WeightedPool.from_plain(
        (A, POOL_ID, tokens, scaling, balances, (0,) * len(balances), fee, 0, "", weights, version)
    )


def composable(
    balances: tuple[int, ...] = (2**111, 10**21, 2 * 10**21), own_token: int = 0, rate: int = 11 * 10**17,
    amp: int = 200_000, fee: int = 10**14, version: str = "down",
) -> StablePool:  # fmt: skip
    n = len(balances)
    tokens = tuple(sorted({A, T0, T1, T2}))[:n] if own_token != NO_OWN_TOKEN else (T0, T1, T2)[:n]
    rates = (ONE,) * (n - 1) + (rate,)
    durations, expires = (0,) * (n - 1) + (3600,), (NEVER,) * (n - 1) + (2000,)
    ramp = (amp, amp, 0, 0)
    return StablePool.from_plain(
        (
            A, POOL_ID, tokens, (1,) * n, balances, (0,) * n, fee, 0, "", rates, durations, expires, own_token, ramp,
            version, 1000,
        )
    )  # fmt: skip


balances_18 = st.integers(10**12, 10**30)
fees = st.sampled_from((10**12, 3 * 10**15, 10**17))


# ---------------------------------------------------------------- laws


@given(balances_18, balances_18, st.integers(ONE // 100, ONE * 99 // 100), fees, st.data())
def test_weighted_swaps_keep_the_invariant(b0: int, b1: int, weight: int, fee: int, data: st.DataObject) -> None:
    pool = weighted((b0, b1), (weight, ONE - weight), fee, data.draw(st.sampled_from(("v1", "v2"))))
    try:
        done = pool.quote(T0, data.draw(st.integers(1, b0 // 3))).state
    except QuoteRefused:
        assume(False)
    assert isinstance(done, WeightedPool)
    with localcontext() as context:
        context.prec = 60
        grown = Decimal(done.balances[0]).ln() - Decimal(b0).ln()
        shrunk = Decimal(b1).ln() - Decimal(done.balances[1]).ln()
        assert weight * grown >= (ONE - weight) * shrunk


@given(
    balances_18, st.floats(0.01, 100), fees, st.integers(1000, 5_000_000), st.sampled_from(InvariantVersion), st.data()
)
def test_stable_swaps_keep_the_invariant(
    b0: int, ratio: float, fee: int, amp: int, version: InvariantVersion, data: st.DataObject
) -> None:
    # The contract's solver divides before it multiplies: its last digits are noise, larger than the fee of a tiny trade.
    b0 += 10**20
    pool = composable((b0, int(b0 * ratio)), NO_OWN_TOKEN, ONE, amp, fee, version.value)
    try:
        quote = pool.quote(T0, data.draw(st.integers(b0 // 1000, b0)))
    except QuoteRefused:
        assume(False)
    done = quote.state
    assert isinstance(done, StablePool)
    try:
        before, after = (stable.swap_invariant(pool.amp, state.balances, version) for state in (pool, done))
    except Reverts:
        # Far off balance the version that rounds up may step around its solution for ever, as the contract does.
        assume(False)
    assert after >= before - before // 10**15 - 2
    assert done.balances == (b0 + quote.amount_in, pool.balances[1] - quote.amount_out)


@given(balances_18, balances_18, fees, st.data(), st.sampled_from(("weighted", "stable")))
def test_more_in_never_gives_less_out(b0: int, b1: int, fee: int, data: st.DataObject, kind: str) -> None:
    if kind == "weighted":
        pool: VaultPool = weighted((b0, b1), (ONE // 3, ONE - ONE // 3), fee)
    else:
        pool = composable((b0, b1), NO_OWN_TOKEN, ONE, 100_000, fee)
    less, more = sorted(data.draw(st.tuples(*[st.integers(1, b0 // 4)] * 2)))
    try:
        small, large = pool.given_in(0, 1, less), pool.given_in(0, 1, more)
    except Reverts:
        assume(False)
    # The power is off by up to 2e-14 of the balance, and not everywhere by the same.
    assert small <= large + b1 // 10**13 + 2


@given(balances_18, balances_18, fees, st.data(), st.sampled_from(("weighted", "stable")))
def test_exact_output_is_the_inverse(b0: int, b1: int, fee: int, data: st.DataObject, kind: str) -> None:
    if kind == "weighted":
        pool: VaultPool = weighted((b0, b1), (ONE // 2, ONE // 2), fee)
    else:
        b0 += 10**20
        pool = composable((b0, b0 + b1 % b0), NO_OWN_TOKEN, ONE, 100_000, fee)
    wanted = data.draw(st.integers(1, pool.balances[1] // 4))
    try:
        quote = pool.quote_exact_out(T0, wanted)
        back = pool.given_in(0, 1, quote.amount_in)
    except (QuoteRefused, Reverts):
        assume(False)
    assert quote.amount_out == wanted
    # A unit of either token may be worth many of the other; the power's error is of the balance.
    unit = pool.balances[1] // pool.balances[0] + 1
    assert abs(back - wanted) <= pool.balances[1] // 10**12 + 4 * unit + 4


@given(balances_18, balances_18, fees, st.sampled_from((6, 18)))
def test_weighted_limits_can_be_traded(b0: int, b1: int, fee: int, decimals: int) -> None:
    pool = weighted((min(b0, 10**20), b1), fee=fee, decimals=decimals)
    limits = pool.limits(T0)
    assume(limits.amount_in and limits.amount_out)
    pool.quote(T0, limits.amount_in)
    pool.quote_exact_out(T0, limits.amount_out)
    with pytest.raises(Reverts):
        pool.given_in(0, 1, limits.amount_in * 1001 // 1000 + 10**13)


@given(balances_18, st.floats(0.1, 10), fees)
def test_log_price_is_the_price_of_a_small_trade(b0: int, ratio: float, fee: int) -> None:
    b0 += 10**20
    for pool in (
        weighted((b0, int(b0 * ratio)), fee=fee),
        composable((2**111, b0, int(b0 * ratio)), fee=fee),
    ):
        sold, bought = pool.tokens[-2], pool.tokens[-1]
        amount = b0 // 10**6
        paid = pool.quote(sold, amount, bought).amount_out / amount
        assert isclose(exp(pool.log_price(sold, bought)), paid, rel_tol=1e-4)
        assert pool.log_price(sold, bought) + pool.log_price(bought, sold) < 0


def test_stable_limits_can_be_traded() -> None:
    pool = composable()
    limits = pool.limits(pool.tokens[1], pool.tokens[2])
    assert pool.quote(pool.tokens[1], limits.amount_in, pool.tokens[2]).amount_out > 10**21
    assert pool.quote_exact_out(pool.tokens[1], limits.amount_out, pool.tokens[2]).amount_out == limits.amount_out


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("pool", [weighted(), composable(), composable((1, 2), NO_OWN_TOKEN)])
def test_plain_form_and_digest(pool: VaultPool) -> None:
    again = type(pool).from_plain(pool.to_plain())
    assert again == pool
    assert again.digest_entry() == pool.digest_entry()
    assert msgspec.structs.replace(pool, swap_fee=1).digest_entry() != pool.digest_entry()
    assert msgspec.structs.replace(pool, refusal="x").digest_entry() == pool.digest_entry()
    assert not msgspec.structs.replace(pool, refusal="x").tradable
    with pytest.raises(QuoteRefused, match="no_single_curve"):
        pool.constant_product(T0, T1)


@pytest.mark.parametrize(
    "change",
    [
        {"pool_id": b"\2" * 32},
        {"tokens": (T0, T0)},
        {"tokens": (T0, T1, T2)},
        {"scaling": (0, 1)},
        {"balances": (MAX_BALANCE + 1, 1)},
        {"balances": (-1, 1)},
        {"managed": (1, 10**22)},
        {"swap_fee": ONE},
        {"weights": (ONE, 1)},
        {"weights": (ONE, 0)},
        {"pow_version": "v3"},
        {"paused": 4},
    ],
)
def test_what_is_no_weighted_pool_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadState):
        WeightedPool.from_plain(msgspec.structs.replace(weighted(), **change).to_plain())


@pytest.mark.parametrize(
    "change",
    [
        {"rates": (1, 0, 1)},
        {"ramp": (999, 1000, 0, 0)},
        {"ramp": (1000, 1000)},
        {"own_token": 3},
        {"invariant_version": "up"},
        {"expires": (1, 1)},
        {"timestamp": -1},
    ],
)
def test_what_is_no_stable_pool_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadState):
        StablePool.from_plain(msgspec.structs.replace(composable(), **change).to_plain())


# ---------------------------------------------------------------- quotes that are refused


@pytest.mark.parametrize(
    ("pool", "token_in", "amount", "token_out", "reason"),
    [
        (weighted(), OTHER, 1, None, QuoteRefusal.UNKNOWN_TOKEN),
        (weighted(), T0, 1, T0, QuoteRefusal.UNKNOWN_TOKEN),
        (weighted((1, 1, 1), (ONE // 2, ONE // 4, ONE // 4)), T0, 1, None, QuoteRefusal.UNKNOWN_TOKEN),
        (weighted(), T0, 0, T1, QuoteRefusal.ZERO_INPUT),
        (weighted(), T0, 1, T1, QuoteRefusal.ZERO_OUTPUT),
        (weighted(), T0, 10**21, T1, QuoteRefusal.INSUFFICIENT_LIQUIDITY),
        (weighted((0, 5)), T0, 1, T1, QuoteRefusal.NO_LIQUIDITY),
        (weighted((MAX_BALANCE, MAX_BALANCE)), T0, 10**30, T1, QuoteRefusal.OVERFLOW),
        (msgspec.structs.replace(weighted(), paused=1), T0, 10**18, T1, QuoteRefusal.NOT_MODELLED),
        (composable().at(2001), T0, 10**18, T1, QuoteRefusal.NOT_MODELLED),
        (composable(), A, 10**18, T1, QuoteRefusal.UNKNOWN_TOKEN),
    ],
)
def test_refused_quotes(pool: VaultPool, token_in: bytes, amount: int, token_out: bytes | None, reason: str) -> None:
    with pytest.raises(QuoteRefused) as caught:
        pool.quote(token_in, amount, token_out)
    assert caught.value.reason == reason


def test_managed_tokens_cannot_be_paid_out() -> None:
    pool = msgspec.structs.replace(weighted(), managed=(0, 2 * 10**21 - 10**18))
    assert pool.quote(T0, 10**18, T1).amount_out < 10**18
    with pytest.raises(QuoteRefused, match="insufficient_liquidity"):
        pool.quote(T0, 10**20, T1)


# ---------------------------------------------------------------- events


def _word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else (value % 2**256).to_bytes(32, "big")


def _vault(topic: bytes, *topics: bytes, data: bytes) -> Log:
    return Log(VAULT, (topic, *(_word(word) for word in topics)), data, 0, 0)


def _own(topic: bytes, *topics: int | bytes, data: bytes = b"") -> Log:
    return Log(A, (topic, *(_word(word) for word in topics)), data, 0, 0)


def _joined(deltas: list[int], fees: list[int], tokens: tuple[bytes, ...] = (T0, T1)) -> Log:
    data = encode(["address[]", "int256[]", "uint256[]"], [tokens, deltas, fees])
    return _vault(balancer_v2.POOL_BALANCE_CHANGED, POOL_ID, OTHER, data=data)


def test_topics_are_the_events() -> None:
    signatures = (
        "Swap(bytes32,address,address,uint256,uint256)", "PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])",
        "PoolBalanceManaged(bytes32,address,address,int256,int256)", "SwapFeePercentageChanged(uint256)",
        "PausedStateChanged(bool)", "AmpUpdateStarted(uint256,uint256,uint256,uint256)", "AmpUpdateStopped(uint256)",
        "TokenRateCacheUpdated(uint256,uint256)", "TokenRateCacheUpdated(address,uint256)",
        "PriceRateCacheUpdated(address,uint256)", "TokenRateProviderSet(uint256,address,uint256)",
        "TokenRateProviderSet(address,address,uint256)", "PriceRateProviderSet(address,address,uint256)",
    )  # fmt: skip
    assert {keccak(text.encode()) for text in signatures} == set(StablePool.LOG_TOPICS)
    assert pool_address(POOL_ID) == A


def test_a_swap_of_the_vault_moves_the_balances() -> None:
    pool = weighted()
    quote = pool.quote(T1, 10**19)
    data = _word(quote.amount_in) + _word(quote.amount_out)
    assert pool.apply(_vault(balancer_v2.SWAP, POOL_ID, T1, T0, data=data)) == quote.state


def test_joins_exits_and_protocol_fees_move_the_balances() -> None:
    pool = weighted((1000, 2000))
    joined = pool.apply(_joined([10, 20], [1, 2]))
    assert joined.balances == (1009, 2018)
    assert joined.apply(_joined([-9, -18], [0, 0])).balances == (1000, 2000)
    assert pool.apply(_joined([0, -100], [3, 0])).balances == (997, 1900)


def test_asset_managers_move_cash_and_gains() -> None:
    def managed(cash: int, gained: int) -> Log:
        return _vault(balancer_v2.POOL_BALANCE_MANAGED, POOL_ID, OTHER, T1, data=_word(cash) + _word(gained))

    pool = weighted((1000, 2000))
    invested = pool.apply(managed(-500, 500))
    assert (invested.balances, invested.managed) == ((1000, 2000), (0, 500))
    gained = invested.apply(managed(0, 40))
    assert (gained.balances, gained.managed) == ((1000, 2040), (0, 540))
    assert gained.apply(managed(540, -540)).managed == (0, 0)


def test_owners_change_fee_pause_ramp_and_rates() -> None:
    pool = composable()
    assert pool.apply(_own(balancer_v2.SWAP_FEE_CHANGED, data=_word(5))).swap_fee == 5
    paused = pool.apply(_own(balancer_v2.PAUSED_STATE_CHANGED, data=_word(1)))
    assert not paused.tradable
    assert paused.apply(_own(balancer_v2.PAUSED_STATE_CHANGED, data=_word(0))) == pool
    started = b"".join(map(_word, (200_000, 400_000, 1000, 2000)))
    ramping = pool.apply(_own(balancer_v2_stable.AMP_UPDATE_STARTED, data=started))
    assert [ramping.at(time).amp for time in (1000, 1500, 2000, 3000)] == [200_000, 300_000, 400_000, 400_000]
    stopped = ramping.apply(_own(balancer_v2_stable.AMP_UPDATE_STOPPED, data=_word(250_000)))
    assert stopped.at(5).amp == stopped.at(5000).amp == 250_000
    for log in (
        _own(balancer_v2_stable.RATE_BY_INDEX, 2, data=_word(12 * 10**17)),
        _own(balancer_v2_stable.RATE_BY_TOKEN, pool.tokens[2], data=_word(12 * 10**17)),
        _own(balancer_v2_stable.PRICE_RATE, pool.tokens[2], data=_word(12 * 10**17)),
    ):
        rated = pool.apply(log)
        assert (rated.rates[2], rated.expires[2]) == (12 * 10**17, 1000 + 3600)
    provided = pool.apply(_own(balancer_v2_stable.PROVIDER_BY_INDEX, 2, OTHER, data=_word(60)))
    assert (provided.durations[2], provided.expires[2]) == (60, 1060)


_SWAP_DATA = _word(5) + _word(7)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (Log(VAULT, (), b"", 0, 0), BadLogReason.WRONG_TOPIC),
        (_vault(b"\7" * 32, data=b""), BadLogReason.WRONG_TOPIC),
        (_vault(balancer_v2.SWAP, OTHER + bytes(12), T0, T1, data=_SWAP_DATA), BadLogReason.WRONG_CONTRACT),
        (_own(balancer_v2.SWAP, POOL_ID, T0, T1, data=_SWAP_DATA), BadLogReason.WRONG_CONTRACT),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, data=_SWAP_DATA), BadLogReason.WRONG_TOPIC_COUNT),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, T1, data=_SWAP_DATA[:-1]), BadLogReason.WRONG_LENGTH),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, OTHER, data=_SWAP_DATA), BadLogReason.CONTRADICTS_STATE),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, T0, data=_SWAP_DATA), BadLogReason.OUT_OF_RANGE),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, T1, data=_word(1) + _word(10**22)), BadLogReason.CONTRADICTS_STATE),
        (_vault(balancer_v2.SWAP, POOL_ID, T0, T1, data=_word(2**255) + _word(1)), BadLogReason.OVERFLOW),
        (_joined([1, 1, 1], [0, 0, 0], (T0, T1, T2)), BadLogReason.WRONG_LENGTH),
        (_joined([1, 1], [0, 0], (T1, T0)), BadLogReason.CONTRADICTS_STATE),
        (_joined([-(10**22), 1], [0, 0]), BadLogReason.CONTRADICTS_STATE),
        (
            _vault(balancer_v2.POOL_BALANCE_CHANGED, POOL_ID, OTHER, data=bytes(32 * 12)),
            BadLogReason.WRONG_LENGTH,
        ),
        (_vault(balancer_v2.SWAP_FEE_CHANGED, data=_word(5)), BadLogReason.WRONG_CONTRACT),
        (_own(balancer_v2.SWAP_FEE_CHANGED, 1, data=_word(5)), BadLogReason.WRONG_TOPIC_COUNT),
        (_own(balancer_v2.SWAP_FEE_CHANGED, data=b""), BadLogReason.WRONG_LENGTH),
        (_own(balancer_v2.SWAP_FEE_CHANGED, data=_word(ONE)), BadLogReason.OUT_OF_RANGE),
    ],
)
def test_bad_logs_have_a_reason(log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        weighted().apply(log)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (_own(balancer_v2_stable.RATE_BY_INDEX, 3, data=_word(1)), BadLogReason.OUT_OF_RANGE),
        (_own(balancer_v2_stable.RATE_BY_INDEX, 1, data=_word(0)), BadLogReason.OUT_OF_RANGE),
        (_own(balancer_v2_stable.RATE_BY_INDEX, data=_word(1)), BadLogReason.WRONG_TOPIC_COUNT),
        (_own(balancer_v2_stable.PRICE_RATE, OTHER, data=_word(1)), BadLogReason.CONTRADICTS_STATE),
        (_own(balancer_v2_stable.AMP_UPDATE_STOPPED, data=_word(0)), BadLogReason.OUT_OF_RANGE),
        (_own(balancer_v2_stable.AMP_UPDATE_STARTED, data=_word(0)), BadLogReason.WRONG_LENGTH),
    ],
)
def test_bad_logs_of_stable_pools_have_a_reason(log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        composable().apply(log)
    assert caught.value.reason is reason
