"""Curve pools on their own: laws of the curve, time, limits, plain form, events, bad logs and states; and exchanges of recorded blocks."""

from __future__ import annotations

from math import exp, isclose
from typing import Any

import msgspec
import pytest
from eth_abi import encode
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.chain.keccak import keccak
from operators.pools import curve, curve_ng
from operators.pools.base import BadLog, BadLogReason, BadState, Limits, Pool, QuoteRefusal, QuoteRefused
from operators.pools.curve import CurvePool
from operators.pools.curve_math import crypto
from operators.pools.curve_math.ramp import Ramp, fixed
from operators.pools.curve_math.stable import Form, balance_after, balance_at, invariant
from operators.pools.curve_meta import base_rate, get_dy_underlying
from operators.pools.curve_ng import CurveNgPool
from operators.pools.stableswap import CurveRefusal, StableSwap
from operators.pools.words import Reverts, checked_div, u256
from schemas.logs import Log
from tests.shared_data import needs_data
from tests.unit.pools.recorded_contracts import code, receipts, storage, timestamp
from tests.unit.pools.test_curve_bytecode import DEPLOYED, Deployed

A, T0, T1, T2, OTHER = (bytes([number]) * 20 for number in (1, 2, 3, 4, 9))
FAMILIES: tuple[type[Pool], ...] = (CurvePool, CurveNgPool)
E18 = 10**18


def plain(balances: tuple[int, ...] = (10**24, 2 * 10**24), implementation: str = "base", **changes: Any) -> CurvePool:
    n = len(balances)
    amp = 100 * CurvePool.CONTRACTS[implementation].form.precision
    state = (
        A, (T0, T1, T2)[:n], (E18,) * n, implementation, balances, (amp, amp, 0, 0), 4_000_000, 5 * 10**9,
        sum(balances), 1000, "",
    )  # fmt: skip
    return CurvePool.from_plain(msgspec.structs.replace(CurvePool(*state), **changes).to_plain())


def ng(balances: tuple[int, ...] = (10**24, 2 * 10**24), **changes: Any) -> CurveNgPool:
    n = len(balances)
    state = (
        A, (T0, T1, T2)[:n], (E18,) * n, "ng", balances, (10_000, 10_000, 0, 0), 1_000_000, 5 * 10**9, sum(balances),
        1000, "", 5 * 10**10,
    )  # fmt: skip
    return CurveNgPool.from_plain(msgspec.structs.replace(CurveNgPool(*state), **changes).to_plain())


POOLS: tuple[StableSwap, ...] = (plain(), plain(implementation="3pool"), plain(implementation="susd"), ng())
pools = st.sampled_from(POOLS)
balances_18 = st.integers(10**18, 10**28)


# ---------------------------------------------------------------- laws


@given(pools, balances_18, st.floats(0.02, 50), st.data())
def test_exchanges_keep_the_invariant_and_grow_with_the_input(
    pool: StableSwap, b0: int, ratio: float, data: st.DataObject
) -> None:
    pool = msgspec.structs.replace(pool, balances=(b0, int(b0 * ratio)))
    less, more = sorted(data.draw(st.tuples(*[st.integers(1, b0 * 2)] * 2)))
    try:
        small, large = pool.quote(T0, less), pool.quote(T0, more)
    except QuoteRefused:
        assume(False)
    assert small.amount_out <= large.amount_out + 1
    form = pool._contract().form
    # Two invariants, each off by one at most, and units that the rounding of two balances can lose.
    assert invariant(_state(large).balances, pool.amp, form) >= invariant(pool.balances, pool.amp, form) - 4
    assert _state(large).balances[0] == b0 + more
    assert _state(large).balances[1] <= pool.balances[1] - large.amount_out + 2


def _state(quote: Any) -> StableSwap:
    assert isinstance(quote.state, StableSwap)
    return quote.state


@given(st.lists(balances_18, min_size=2, max_size=4), st.integers(200, 10**6), st.sampled_from((Form(100), Form(1))))
def test_the_solvers_invert_the_invariant(xp: list[int], amp: int, form: Form) -> None:
    assume(max(xp) < 10**4 * min(xp))
    try:
        d = invariant(tuple(xp), amp, form)
    except Reverts:
        assume(False)
    for k in range(len(xp)):
        # A unit of D is worth more of a scarce coin.
        slack = 10 + 10 * max(xp) // min(xp)
        assert abs(balance_at(k, xp, amp, d, form) - xp[k]) <= slack
        other = (k + 1) % len(xp)
        assert balance_after(other, k, xp[other], xp, amp, d, form) == balance_at(k, xp, amp, d, form)


@given(pools, balances_18, st.floats(0.1, 10))
def test_log_price_is_the_price_of_a_small_exchange(pool: StableSwap, b0: int, ratio: float) -> None:
    b0 += 10**21
    pool = msgspec.structs.replace(pool, balances=(b0, int(b0 * ratio)))
    amount = b0 // 10**6
    assert isclose(exp(pool.log_price(T0)), pool.quote(T0, amount).amount_out / amount, rel_tol=1e-4)
    assert pool.log_price(T0) + pool.log_price(T1) < 0


@pytest.mark.parametrize("pool", POOLS)
def test_limits_can_be_traded(pool: StableSwap) -> None:
    limits = pool.limits(T0)
    assert pool.quote(T0, limits.amount_in).amount_out == limits.amount_out > pool.balances[1] // 2
    empty = msgspec.structs.replace(pool, balances=(0, 5))
    assert empty.limits(T0) == Limits(0, 0)
    assert not empty.tradable
    assert empty.log_price(T0) == -float("inf")


def test_fees_of_a_next_generation_pool_grow_off_the_peg() -> None:
    even, off = ng((10**24, 10**24)), ng((10**23, 19 * 10**23))
    assert even._fee(10**24, 10**24) == 1_000_000
    assert 1_000_000 < off._fee(10**23, 19 * 10**23) < 5_000_000
    assert msgspec.structs.replace(off, offpeg_multiplier=10**10)._fee(1, 10**30) == 1_000_000


# ---------------------------------------------------------------- time


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_ramp_is_linear_and_rounds_towards_its_start(initial: int, future: int, passed: int, length: int) -> None:
    ramp = Ramp(initial, future, 5000, 5000 + length)
    value = ramp.at(5000 + passed)
    if passed >= length:
        assert value == future
    else:
        exact = initial + (future - initial) * passed / length
        assert min(initial, future) <= value <= max(initial, future)
        assert abs(value - exact) < 1
        assert value <= exact + 1e-3 if future > initial else value >= exact - 1e-3
    assert fixed(initial).at(passed) == initial


def test_a_pool_moves_with_time_only_while_its_amplification_does() -> None:
    pool = plain(ramp=(10_000, 20_000, 1000, 2000))
    assert [pool.at(time).amp for time in (1000, 1500, 2000, 9000)] == [10_000, 15_000, 20_000, 20_000]
    assert pool.at(1500).quote(T0, 10**21).amount_out != pool.quote(T0, 10**21).amount_out
    still = plain()
    assert still.at(5) is still
    # A block that is taken back takes its time with it.
    assert pool.at(9000).at(1500) == pool.at(1500)


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("pool", POOLS)
def test_plain_form_and_digest(pool: StableSwap) -> None:
    again = type(pool).from_plain(pool.to_plain())
    assert again == pool
    assert again.digest_entry() == pool.digest_entry()
    assert msgspec.structs.replace(pool, lp_supply=1).digest_entry() != pool.digest_entry()
    refused = msgspec.structs.replace(pool, refusal=CurveRefusal.METAPOOL)
    assert refused.digest_entry() == pool.digest_entry()
    assert not refused.tradable
    for refusing in (pool.constant_product, lambda token: pool.quote_exact_out(token, 1)):
        with pytest.raises(QuoteRefused):
            refusing(T0)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": (T0, T0)},
        {"tokens": (T0,)},
        {"tokens": (T0, b"x")},
        {"rates": (1, 0)},
        {"rates": (1,)},
        {"balances": (-1, 1)},
        {"balances": (2**256, 1)},
        {"implementation": "unknown"},
        {"ramp": (0, 1, 0, 0)},
        {"ramp": (1, 1)},
        {"fee": 5 * 10**9 + 1},
        {"admin_fee": 10**10 + 1},
        {"address": b"short"},
    ],
)
def test_what_is_no_pool_is_refused(change: dict[str, Any]) -> None:
    for pool in (plain(), ng()):
        with pytest.raises(BadState):
            type(pool).from_plain(msgspec.structs.replace(pool, **change).to_plain())
    with pytest.raises(BadState):
        CurveNgPool.from_plain(msgspec.structs.replace(ng(), offpeg_multiplier=10**15).to_plain())


@pytest.mark.parametrize(
    ("pool", "token_in", "amount", "token_out", "reason"),
    [
        (plain(), OTHER, 1, None, QuoteRefusal.UNKNOWN_TOKEN),
        (plain(), T0, 1, T0, QuoteRefusal.UNKNOWN_TOKEN),
        (plain((1, 1, 1)), T0, 1, None, QuoteRefusal.UNKNOWN_TOKEN),
        (plain(), T0, 0, T1, QuoteRefusal.ZERO_INPUT),
        (plain((10**24, 10**12), rates=(E18, 10**30)), T0, 10**11, T1, QuoteRefusal.ZERO_OUTPUT),
        (plain((0, 1)), T0, 1, T1, QuoteRefusal.NO_LIQUIDITY),
        (plain(), T0, 2**200, T1, QuoteRefusal.INSUFFICIENT_LIQUIDITY),
    ],
)
def test_refused_quotes(pool: CurvePool, token_in: bytes, amount: int, token_out: bytes | None, reason: str) -> None:
    with pytest.raises(QuoteRefused) as caught:
        pool.quote(token_in, amount, token_out)
    assert caught.value.reason == reason


def test_words_revert_where_the_contracts_do() -> None:
    assert u256(2**256 - 1) == 2**256 - 1
    for reverting in (lambda: u256(2**256), lambda: u256(-1), lambda: checked_div(1, 0)):
        with pytest.raises(Reverts):
            reverting()


# ---------------------------------------------------------------- events


def _log(topic: bytes, *words: int, provider: bool = True, address: bytes = A) -> Log:
    topics = (topic, OTHER.rjust(32, b"\0")) if provider else (topic,)
    return Log(address, topics, b"".join((word % 2**256).to_bytes(32, "big") for word in words), 0, 0)


def test_topics_are_the_events() -> None:
    arrays = [f"uint256[{n}]" for n in (2, 3, 4)]
    signatures = [
        "TokenExchange(address,int128,uint256,int128,uint256)", "TokenExchangeUnderlying(address,int128,uint256,int128,uint256)",
        *(f"AddLiquidity(address,{array},{array},uint256,uint256)" for array in arrays),
        *(f"RemoveLiquidity(address,{array},{array},uint256)" for array in arrays),
        *(f"RemoveLiquidityImbalance(address,{array},{array},uint256,uint256)" for array in arrays),
        "RemoveLiquidityOne(address,uint256,uint256)", "RemoveLiquidityOne(address,uint256,uint256,uint256)",
        "RampA(uint256,uint256,uint256,uint256)", "StopRampA(uint256,uint256)", "NewFee(uint256,uint256)",
        "NewParameters(uint256,uint256,uint256)",
    ]  # fmt: skip
    assert {keccak(text.encode()) for text in signatures} == set(CurvePool.LOG_TOPICS)
    signatures = [
        "TokenExchange(address,int128,uint256,int128,uint256)", "AddLiquidity(address,uint256[],uint256[],uint256,uint256)",
        "RemoveLiquidity(address,uint256[],uint256[],uint256)", "RampA(uint256,uint256,uint256,uint256)",
        "RemoveLiquidityImbalance(address,uint256[],uint256[],uint256,uint256)", "StopRampA(uint256,uint256)",
        "RemoveLiquidityOne(address,int128,uint256,uint256,uint256)", "ApplyNewFee(uint256,uint256)",
    ]  # fmt: skip
    assert {keccak(text.encode()) for text in signatures} == set(CurveNgPool.LOG_TOPICS)


def test_owners_change_amplification_and_fees() -> None:
    pool = plain()
    ramping = pool.apply(_log(curve.RAMP_A, 10_000, 20_000, 1000, 2000, provider=False))
    assert ramping.at(1500).amp == 15_000
    assert ramping.apply(_log(curve.STOP_RAMP_A, 12_345, 1400, provider=False)).at(9999).amp == 12_345
    changed = pool.apply(_log(curve.NEW_FEE, 7, 8, provider=False))
    assert (changed.fee, changed.admin_fee) == (7, 8)
    old = plain(implementation="susd").apply(_log(curve.NEW_PARAMETERS, 50, 7, 8, provider=False))
    assert (old.amp, old.fee, old.admin_fee) == (50, 7, 8)
    off = ng().apply(_log(curve_ng.APPLY_NEW_FEE, 7, 8, provider=False))
    assert (off.fee, off.offpeg_multiplier) == (7, 8)


def test_the_first_deposit_of_a_next_generation_pool_has_no_fees() -> None:
    data = encode(["uint256[]", "uint256[]", "uint256", "uint256"], [[10**21, 10**21], [], 5, 2 * 10**21])
    log = Log(A, (curve_ng.ADD_LIQUIDITY, bytes(32)), data, 0, 0)
    first = msgspec.structs.replace(ng(), balances=(0, 0), lp_supply=0).apply(log)
    assert (first.balances, first.lp_supply) == ((10**21, 10**21), 2 * 10**21)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (_log(curve.TOKEN_EXCHANGE, 0, 1, 1, 0, address=OTHER), BadLogReason.WRONG_CONTRACT),
        (Log(A, (), b"", 0, 0), BadLogReason.WRONG_TOPIC),
        (_log(b"\7" * 32), BadLogReason.WRONG_TOPIC),
        (_log(curve.ADD_LIQUIDITY[3], *[0] * 8), BadLogReason.WRONG_TOPIC),
        (_log(curve.TOKEN_EXCHANGE, 0, 1, 1, 0, provider=False), BadLogReason.WRONG_TOPIC_COUNT),
        (_log(curve.TOKEN_EXCHANGE, 0, 1, 1), BadLogReason.WRONG_LENGTH),
        (_log(curve.TOKEN_EXCHANGE, 0, 1, 2, 0), BadLogReason.OUT_OF_RANGE),
        (_log(curve.TOKEN_EXCHANGE, -1, 1, 1, 0), BadLogReason.OUT_OF_RANGE),
        (_log(curve.TOKEN_EXCHANGE, 0, 10**21, 1, 5), BadLogReason.CONTRADICTS_STATE),
        (_log(curve.TOKEN_EXCHANGE, 0, 2**255, 1, 5), BadLogReason.CONTRADICTS_STATE),
        (_log(curve.REMOVE_LIQUIDITY[2], 10**30, 0, 0, 0, 5), BadLogReason.CONTRADICTS_STATE),
        (_log(curve.REMOVE_LIQUIDITY_ONE, 10**20, 5), BadLogReason.CONTRADICTS_STATE),
        (_log(curve.RAMP_A, 0, 1, 2, 3, provider=False), BadLogReason.OUT_OF_RANGE),
    ],
)
def test_bad_logs_have_a_reason(log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        plain().apply(log)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (_log(curve_ng.ADD_LIQUIDITY, *[0] * 8), BadLogReason.WRONG_LENGTH),
        (_log(curve_ng.ADD_LIQUIDITY, 128, 224, 0, 0, 2, 5, 5, 3, 0, 0), BadLogReason.WRONG_LENGTH),
        (_log(curve_ng.REMOVE_LIQUIDITY_ONE, 2, 1, 1, 1), BadLogReason.OUT_OF_RANGE),
        (_log(curve_ng.REMOVE_LIQUIDITY_ONE, 0, 10**20, 1, 1), BadLogReason.CONTRADICTS_STATE),
        (_log(curve_ng.REMOVE_LIQUIDITY_ONE, 0, 2**200, 1, 1), BadLogReason.CONTRADICTS_STATE),
        (_log(curve.STOP_RAMP_A, 0, 1, provider=False), BadLogReason.OUT_OF_RANGE),
        (_log(curve.NEW_FEE, 0, 1, provider=False), BadLogReason.WRONG_TOPIC),
    ],
)
def test_bad_logs_of_the_next_generation_have_a_reason(log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as caught:
        ng().apply(log)
    assert caught.value.reason is reason


def test_a_withdrawal_that_two_coins_would_pay_is_not_guessed() -> None:
    even = plain((10**24, 10**24))
    paid, _ = even.withdraw_one(10**21, 0)
    with pytest.raises(BadLog, match="2 coins"):
        even.apply(_log(curve.REMOVE_LIQUIDITY_ONE, 10**21, paid))


# ---------------------------------------------------------------- metapools and crypto pools


def test_a_metapool_reads_its_base_pool_after_ten_minutes() -> None:
    base = plain((10**24, 10**24, 10**24))
    assert base_rate(base, 5, 1000, 1600) == 5
    assert base_rate(base, 5, 1000, 1601) == base.virtual_price()
    meta = plain((10**24, 10**24), rates=(E18, base.virtual_price()))
    assert get_dy_underlying(meta, base, 1, 2, 10**20) == base.get_dy(0, 1, 10**20)
    out = get_dy_underlying(meta, base, 0, 1, 10**20)
    assert 0 < get_dy_underlying(meta, base, 1, 0, out) < 10**20


def test_a_crypto_pool_refuses_what_its_contract_does() -> None:
    even = [10**24] * 3
    with pytest.raises(Reverts, match="A is unsafe"):
        crypto.newton_y(1, 10**12, even, 3 * 10**24, 0)
    with pytest.raises(Reverts, match="too far"):
        crypto.newton_y(54_000, 10**13, [10**24, 10**20, 10**24], 3 * 10**24, 0)
    assert abs(crypto.newton_y(54_000, 10**13, even, 3 * 10**24, 0) - 10**24) < 10**12
    assert crypto.fee(even, 1, 100, 10**15) == 1


# ---------------------------------------------------------------- recorded blocks


def _recorded(deployed: Deployed) -> CurvePool:
    """The pool as it was before the block, from its storage."""
    slots, amps = storage(deployed.block, deployed.address), deployed.amp_slots
    ramp = tuple(slots.get(slot, 0) for slot in amps) if len(amps) == 4 else fixed(slots[amps[0]])
    if len(amps) == 4 and timestamp(deployed.block) >= slots.get(amps[3], 0):
        ramp = fixed(slots[amps[1]])
    n = len(deployed.coins)
    return CurvePool.from_plain(
        (
            bytes.fromhex(deployed.address[2:]),
            tuple(bytes.fromhex(coin[2:]) for coin in deployed.coins),
            tuple(10 ** (36 - places) for places in deployed.decimals),
            deployed.implementation,
            tuple(slots[deployed.balance_slot + k] for k in range(n)),
            tuple(ramp),
            slots[deployed.fee_slot],
            slots[deployed.fee_slot + 1],
            0,
            timestamp(deployed.block),
            "",
        )
    )


def _recorded_logs(block: str, address: str) -> list[Log]:
    return [
        Log(bytes.fromhex(address[2:]), tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
            bytes.fromhex(log["data"][2:]), int(log["transactionIndex"], 16), int(log["logIndex"], 16))
        for receipt in receipts(block)
        for log in receipt["logs"]
        if log["address"].lower() == address
    ]  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", ["susd", "seth"])
def test_recorded_exchanges(name: str) -> None:
    deployed = DEPLOYED[name]
    pool = _recorded(deployed)
    exchanges = [
        log for log in _recorded_logs(deployed.block, deployed.address) if log.topics[0] == curve.TOKEN_EXCHANGE
    ]
    assert exchanges
    for log in exchanges:
        # It raises unless this state pays exactly what the chain paid.
        pool = pool.apply(log)


@needs_data
def test_the_recorded_exchange_of_a_next_generation_pool() -> None:
    block, address = "eth_19932148", "0x02950460e2b9529d0e00284a5fa2d7bdf3fa4d72"
    slots, made = storage(block, address), curve_ng.immutables(code(block, address))
    balances = tuple(slots[2 + k] - slots[0x11 + k] for k in range(2))
    state = (
        bytes.fromhex(address[2:]), made.tokens, made.rates, "ng", balances, tuple(fixed(slots[0xD])), slots[0xA],
        5 * 10**9, 0, timestamp(block), "", slots[0xB],
    )  # fmt: skip
    pool = CurveNgPool.from_plain(state)
    (log,) = (log for log in _recorded_logs(block, address) if log.topics[0] == curve.TOKEN_EXCHANGE)
    assert pool.apply(log).balances != balances
