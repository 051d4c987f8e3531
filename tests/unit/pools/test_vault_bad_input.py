"""Bad input of Balancer's and Curve's families: the edges of their words, and owners' events that no contract would emit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_abi import encode

from operators.pools import balancer_v2, balancer_v2_stable, curve, curve_ng
from operators.pools.balancer_v2 import MAX_BALANCE, VAULT, WeightedPool
from operators.pools.balancer_v2_stable import StablePool
from operators.pools.base import BadLog, BadLogReason, Pool, QuoteRefused
from operators.pools.curve import CurvePool
from operators.pools.curve_factories import PLAIN_NG_DEPLOYED
from operators.pools.curve_ng import CurveNgPool
from schemas.config import FactoryConfig
from schemas.logs import Log
from tests.unit.pools.reading_driver import carry_out, table
from tests.unit.pools.test_balancer_readings import composable, weighted
from tests.unit.pools.test_curve_readings import _deployed, _factory

A, T0, T1, T2, FACTORY = (bytes([number]) * 20 for number in (1, 2, 3, 4, 9))
ONE, TOP = 10**18, 2**256 - 1
POOL_ID = weighted().pool_id


def plain(**changes: Any) -> CurvePool:
    pool = CurvePool(A, (T0, T1), (ONE, ONE), "3pool", (10**24, 10**24), (100, 100, 0, 0), 4_000_000, 0, 10**24, 1000)
    return msgspec.structs.replace(pool, **changes)


def ng(**changes: Any) -> CurveNgPool:
    pool = CurveNgPool(
        A, (T0, T1), (ONE, ONE), "ng", (10**24, 10**24), (20_000, 20_000, 0, 0), 10**6, 0, 10**24, 1000, "", 5 * 10**10
    )
    return msgspec.structs.replace(pool, **changes)


def _log(topic: bytes, *words: int, indexed: tuple[int, ...] = (), address: bytes = A) -> Log:
    topics = (topic, *(word.to_bytes(32, "big") for word in indexed))
    return Log(address, topics, b"".join((word % 2**256).to_bytes(32, "big") for word in words), 0, 0)


def _vault(topic: bytes, *words: int, tokens: tuple[bytes, ...] = (T0, T1)) -> Log:
    names = tuple(int.from_bytes(token, "big") for token in tokens)
    return _log(topic, *words, indexed=(int.from_bytes(POOL_ID, "big"), *names), address=VAULT)


def _joined(deltas: list[int], fees: list[int]) -> Log:
    data = encode(["address[]", "int256[]", "uint256[]"], [[T0, T1], deltas, fees])
    return Log(VAULT, (balancer_v2.POOL_BALANCE_CHANGED, POOL_ID, bytes(32)), data, 0, 0)


OUT_OF_RANGE, OVERFLOW, CONTRADICTS = BadLogReason.OUT_OF_RANGE, BadLogReason.OVERFLOW, BadLogReason.CONTRADICTS_STATE
LENGTH, COUNT = BadLogReason.WRONG_LENGTH, BadLogReason.WRONG_TOPIC_COUNT


@pytest.mark.parametrize(
    ("pool", "log", "reason"),
    [
        # Amounts at the ends of their words.
        (weighted(), _vault(balancer_v2.SWAP, TOP, 1), OVERFLOW),
        (weighted(), _vault(balancer_v2.SWAP, MAX_BALANCE, 1), OVERFLOW),
        (weighted(), _vault(balancer_v2.SWAP, 1, TOP), CONTRADICTS),
        (weighted(), _joined([2**255 - 1, 0], [0, 0]), OVERFLOW),
        (weighted(), _joined([-(2**255), 0], [0, 0]), CONTRADICTS),
        (weighted(), _joined([0, 0], [TOP, 0]), CONTRADICTS),
        (weighted(), _vault(balancer_v2.POOL_BALANCE_MANAGED, -(2**255), 2**255 - 1, tokens=(T1, T0)), CONTRADICTS),
        (weighted(), _vault(balancer_v2.POOL_BALANCE_MANAGED, 2**255 - 1, 0, tokens=(T1, T0)), OVERFLOW),
        (plain(), _log(curve.TOKEN_EXCHANGE, 0, TOP, 1, 1, indexed=(1,)), CONTRADICTS),
        (plain(), _log(curve.TOKEN_EXCHANGE, 0, 0, 1, 0, indexed=(1,)), CONTRADICTS),
        (plain(), _log(curve.ADD_LIQUIDITY[2], TOP, 0, 0, 0, 0, 0, indexed=(1,)), CONTRADICTS),
        (plain(), _log(curve.REMOVE_LIQUIDITY_ONE, TOP, TOP, indexed=(1,)), CONTRADICTS),
        (ng(), _log(curve_ng.REMOVE_LIQUIDITY_ONE, 0, TOP, 1, 1, indexed=(1,)), CONTRADICTS),
        # Owners' words.
        (weighted(), _log(balancer_v2.SWAP_FEE_CHANGED, TOP), OUT_OF_RANGE),
        (weighted(), _log(balancer_v2.PAUSED_STATE_CHANGED, TOP), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.AMP_UPDATE_STARTED, 2000, 999, 1, 2), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.AMP_UPDATE_STARTED, 2000, 3000, 2000, 2000), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.AMP_UPDATE_STARTED, 2000, 3000, 1, TOP), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.AMP_UPDATE_STARTED, 2000, 3000, 1, 2, indexed=(1,)), COUNT),
        (composable(), _log(balancer_v2_stable.AMP_UPDATE_STOPPED, 2**64), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.RATE_BY_INDEX, 2**96, indexed=(1,)), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.RATE_BY_INDEX, ONE, indexed=(TOP,)), OUT_OF_RANGE),
        (composable(), _log(balancer_v2_stable.PROVIDER_BY_INDEX, 2**32, indexed=(1, 1)), OUT_OF_RANGE),
        (plain(), _log(curve.NEW_FEE, 5 * 10**9 + 1, 0), OUT_OF_RANGE),
        (plain(), _log(curve.NEW_FEE, 0, 10**10 + 1), OUT_OF_RANGE),
        (plain(), _log(curve.RAMP_A, 100, 200, 2000, 2000), OUT_OF_RANGE),
        (plain(), _log(curve.RAMP_A, 100, 2**64, 1000, 2000), OUT_OF_RANGE),
        (plain(), _log(curve.STOP_RAMP_A, TOP, 1), OUT_OF_RANGE),
        (plain(), _log(curve.NEW_PARAMETERS, 0, 0, 0), OUT_OF_RANGE),
        (ng(), _log(curve.RAMP_A, 100, 200, 3000, 2000), OUT_OF_RANGE),
        (ng(), _log(curve_ng.APPLY_NEW_FEE, 5 * 10**9 + 1, 0), OUT_OF_RANGE),
        (ng(), _log(curve_ng.APPLY_NEW_FEE, 10**9, 10**12), OUT_OF_RANGE),
        # Payloads cut short, and too long.
        (ng(), Log(A, (curve.TOKEN_EXCHANGE, bytes(32)), bytes(127), 0, 0), LENGTH),
        (plain(), Log(A, (curve.RAMP_A,), bytes(160), 0, 0), LENGTH),
        (composable(), Log(A, (balancer_v2_stable.RATE_BY_INDEX, bytes(32)), bytes(31), 0, 0), LENGTH),
        (weighted(), Log(VAULT, (balancer_v2.POOL_BALANCE_CHANGED, POOL_ID, bytes(32)), b"", 0, 0), LENGTH),
        (weighted(), Log(A, (balancer_v2.SWAP, POOL_ID), b"", 0, 0), BadLogReason.WRONG_CONTRACT),
        (ng(), _log(curve.TOKEN_EXCHANGE, 0, 1, 1, 0, indexed=(1,), address=T0), BadLogReason.WRONG_CONTRACT),
    ],
)
def test_a_bad_log_has_a_reason(pool: Pool, log: Log, reason: BadLogReason) -> None:
    with pytest.raises(BadLog) as bad:
        pool.apply(log)
    assert bad.value.reason is reason


@pytest.mark.parametrize("pool", [weighted(), composable(), plain(), ng()])
@pytest.mark.parametrize("amount", [-1, 0, 2**112 - 1, 2**112, 2**128, 2**255, 2**256 - 1, 2**256])
def test_amounts_at_the_edges_are_traded_or_refused(pool: Any, amount: int) -> None:
    sold, bought = pool.tokens[-2:]
    for trade in (pool.quote, pool.quote_exact_out):
        try:
            done = trade(sold, amount, bought)
        except QuoteRefused:
            continue
        # What was traded is a state: a snapshot of it can be read again.
        assert type(pool).from_plain(done.state.to_plain()) == done.state


@pytest.mark.parametrize("pool", [weighted(), composable(), plain(), ng()])
def test_an_empty_pool_trades_nothing(pool: Any) -> None:
    sold, bought = pool.tokens[-2:]
    empty = msgspec.structs.replace(pool, balances=(0,) * len(pool.balances))
    assert not empty.tradable
    assert empty.limits(sold, bought) == (0, 0)
    assert empty.log_price(sold, bought) == -float("inf")
    with pytest.raises(QuoteRefused, match="no_liquidity"):
        empty.quote(sold, 1, bought)


def test_a_balance_may_fill_the_vaults_word_and_no_more() -> None:
    pool = weighted(balances=(MAX_BALANCE - 10**30, MAX_BALANCE), scaling=(1, 1))
    full = pool.apply(_vault(balancer_v2.SWAP, 10**30, 1))
    assert isinstance(full, WeightedPool)
    assert full.balances[0] == MAX_BALANCE
    assert full.limits(T0, T1).amount_in == 0
    limits = pool.limits(T0, T1)
    assert pool.quote(T0, limits.amount_in, T1).state == pool.quote(T0, 10**30, T1).state
    with pytest.raises(QuoteRefused, match="overflow"):
        pool.quote(T0, limits.amount_in + 1, T1)


def test_a_state_of_a_ramp_that_cannot_be_is_refused() -> None:
    for pool, family in ((composable(), StablePool), (plain(), CurvePool), (ng(), CurveNgPool)):
        for ramp in (
            (2000, 3000, 5, 5),
            (2000, 3000, 6, 5),
            (0, 3000, 5, 6),
            (2000, 3000, 5, 2**64),
            (2000,),
            (1.5,) * 4,
        ):
            with pytest.raises(ValueError, match="is not \\(initial, future, start, end\\)"):
                family.from_plain(msgspec.structs.replace(pool, ramp=ramp).to_plain())


def test_a_factory_that_tells_of_a_pool_twice_announces_it_once() -> None:
    maker = FactoryConfig(name="stand-in", family="curve_ng", address=FACTORY)
    twice = [_deployed(PLAIN_NG_DEPLOYED, (T0, T1))] * 2
    for pools in (((A, T0),), ((T2, T1), (A, T0))):
        found = carry_out(CurveNgPool.announced(twice, maker), table(_factory(*pools)))
        assert [each.address for each in found] == [pool for pool, _ in pools]
