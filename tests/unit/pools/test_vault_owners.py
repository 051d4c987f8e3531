"""What owners do to pools, done in the deployed contracts: states that follow the logs quote what the contracts do, in blocks of any time."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pyrevm
import pytest

from operators.pools.balancer_v2 import (
    PAUSED_STATE_CHANGED,
    SWAP_FEE_CHANGED,
    VAULT,
    WeightedPool,
)
from operators.pools.balancer_v2_stable import AMP_UPDATE_STARTED, AMP_UPDATE_STOPPED, StablePool
from operators.pools.balancer_vault import probe
from operators.pools.base import ALL_POOLS, BadLog, BadLogReason, Pool, QuoteRefused
from operators.pools.curve import NEW_FEE, NEW_PARAMETERS, RAMP_A, STOP_RAMP_A, CurvePool
from operators.pools.curve_ng import APPLY_NEW_FEE, CurveNgPool
from operators.pools.stableswap import StableSwap
from schemas.logs import Log
from tests.shared_data import needs_data
from tests.unit.pools.recorded_contracts import CALLER, Reverted, World, shown
from tests.unit.pools.test_balancer_bytecode import (
    WEIGHTED,
    _stable_state,
    _stable_world,
    _weighted_state,
    _weighted_world,
)
from tests.unit.pools.test_curve_bytecode import _NG, DEPLOYED, _ng_state, _ng_world, _state, _world
from tests.unit.pools.vault_in_evm import put_vault

DAY = 86_400
#: Where the pools keep who owns them.
_OWNER = {"3pool": 4, "seth": 4, "susd": 6}
_NG_FACTORY = "0x6a8cbed756804b16e05e741edabd5cb544ae21bf"
_AUTHORIZER = "0x" + "aa" * 20
_YES = bytes.fromhex("600160005260206000f3")
#: Answers the caller of the transaction to everything.
_ITS_CALLER = bytes.fromhex("3260005260206000f3")


def _go_to(world: World, timestamp: int) -> None:
    world.evm.set_block_env(pyrevm.BlockEnv(timestamp=timestamp, number=1))


def _emitted(world: World) -> list[Log]:
    return [
        Log(bytes.fromhex(log.address[2:]), tuple(bytes(topic) for topic in log.data[0]), bytes(log.data[1]), 0, k)
        for k, log in enumerate(world.evm.result.logs)
    ]


def _done(world: World, pool: Any, to: str, signature: str, *words: int) -> Any:
    """The state after an owner's call, brought to the block's time and led by the logs that it listens to."""
    pool = pool.at(world.evm.env.block.timestamp)
    world.call(to, signature, *words)
    logs = [log for log in _emitted(world) if log.topics[0] in pool.LOG_TOPICS]
    assert logs, f"{signature} tells nothing"
    for log in logs:
        pool = pool.apply(log)
    return pool


# ---------------------------------------------------------------- Curve


def _balanced(pool: Any, places: tuple[int, ...], **changes: Any) -> Any:
    return msgspec.structs.replace(pool, balances=tuple(10**6 * 10**each for each in places), **changes)


def _same(world: World, pool: StableSwap, address: str, timestamp: int) -> int:
    """The exchange of this time is the pool's; what it pays."""
    _go_to(world, timestamp)
    now, dx = pool.at(timestamp), pool.balances[0] // 3
    checkpoint = world.evm.snapshot()
    world.call(address, "exchange(int128,int128,uint256,uint256)", 0, 1, dx, 0)
    traded = [log for log in _emitted(world) if log.address == pool.address and log.topics[0] in pool.LOG_TOPICS]
    world.evm.revert(checkpoint)
    quote = now.quote(pool.tokens[0], dx, pool.tokens[1])
    # It raises unless the contract paid what this state pays.
    assert now.apply(traded[0]) == quote.state
    return quote.amount_out


@needs_data
def test_a_plain_pools_owner_ramps_and_stops_and_sets_fees() -> None:
    deployed = DEPLOYED["3pool"]
    start = _state(random.Random(1), deployed)
    now = start.timestamp
    pool: CurvePool = _balanced(start, deployed.decimals, ramp=(100, 100, 0, 0), fee=4_000_000, admin_fee=5 * 10**9)
    world = _world(deployed, pool)
    world.store(deployed.address, _OWNER["3pool"], int(CALLER, 16))
    _go_to(world, now)
    ramping = _done(world, pool, deployed.address, "ramp_A(uint256,uint256)", 900, now + 7 * DAY)
    assert ramping.ramp == (100, 900, now, now + 7 * DAY)
    paid = [_same(world, ramping, deployed.address, now + k * DAY) for k in range(9)]
    assert paid[:8] == sorted(set(paid)) and paid[7] == paid[8]
    _go_to(world, now + 3 * DAY)
    stopped = _done(world, ramping, deployed.address, "stop_ramp_A()")
    assert {stopped.at(time).amp for time in (now, now + 3 * DAY, now + 30 * DAY)} == {100 + 800 * 3 // 7}
    _same(world, stopped, deployed.address, now + 4 * DAY)
    world.call(deployed.address, "commit_new_fee(uint256,uint256)", 7_000_000, 10**9)
    # What is only announced changes nothing.
    _same(world, stopped, deployed.address, now + 5 * DAY)
    _go_to(world, now + 8 * DAY)
    dearer = _done(world, stopped, deployed.address, "apply_new_fee()")
    assert (dearer.fee, dearer.admin_fee) == (7_000_000, 10**9)
    _same(world, dearer, deployed.address, now + 9 * DAY)


@needs_data
def test_the_first_pools_owner_sets_everything_at_once() -> None:
    deployed = DEPLOYED["susd"]
    start = _state(random.Random(1), deployed)
    now = start.timestamp
    pool: CurvePool = _balanced(start, deployed.decimals, ramp=(100, 100, 0, 0), fee=4_000_000, admin_fee=0)
    world = _world(deployed, pool)
    world.store(deployed.address, _OWNER["susd"], int(CALLER, 16))
    _go_to(world, now)
    world.call(deployed.address, "commit_new_parameters(uint256,uint256,uint256)", 200, 5_000_000, 10**9)
    _go_to(world, now + 4 * DAY)
    after = _done(world, pool, deployed.address, "apply_new_parameters()")
    assert (after.amp, after.fee, after.admin_fee) == (200, 5_000_000, 10**9)
    _same(world, after, deployed.address, now + 5 * DAY)


@needs_data
def test_a_next_generation_pools_admin_ramps_and_stops_and_sets_fees() -> None:
    start, _ = _ng_state(random.Random(1))
    now = start.timestamp
    pool: CurveNgPool = _balanced(
        start, (18, 6), ramp=(20_000,) * 2 + (0, 0), fee=1_000_000, offpeg_multiplier=5 * 10**10
    )
    world = _ng_world(pool, (0, 0))
    world.put(_NG_FACTORY, _ITS_CALLER, {})
    _go_to(world, now)
    ramping = _done(world, pool, _NG, "ramp_A(uint256,uint256)", 20, now + 7 * DAY)
    assert ramping.ramp == (20_000, 2000, now, now + 7 * DAY)
    paid = [_same(world, ramping, _NG, now + k * DAY) for k in range(9)]
    assert paid[:8] == sorted(set(paid), reverse=True) and paid[7] == paid[8]
    _go_to(world, now + 3 * DAY)
    stopped = _done(world, ramping, _NG, "stop_ramp_A()")
    _same(world, stopped, _NG, now + 4 * DAY)
    _go_to(world, now + 4 * DAY)
    dearer = _done(world, stopped, _NG, "set_new_fee(uint256,uint256)", 2_000_000, 2 * 10**10)
    assert (dearer.fee, dearer.offpeg_multiplier) == (2_000_000, 2 * 10**10)
    _same(world, dearer, _NG, now + 5 * DAY)


# ---------------------------------------------------------------- Balancer


def _authorized(world: World, pool: Any) -> None:
    """Everybody may do everything with the pool, as its Vault's authorizer says."""
    put_vault(world, pool)
    world.put(_AUTHORIZER, _YES, {})
    world.store(shown(VAULT), 3, int(_AUTHORIZER, 16) << 8)


def _queried(world: World, pool: StablePool, amount: int) -> int:
    """What the Vault would pay for the first traded token in the second."""
    answer = world.answer(probe(pool.pool_id, pool.tokens[1], pool.tokens[2], amount))
    assert answer is not None
    return -int.from_bytes(answer[96:128], "big", signed=True)


@needs_data
@pytest.mark.parametrize("name", sorted(WEIGHTED))
def test_a_weighted_pools_owner_sets_its_fee(name: str) -> None:
    pool = _weighted_state(random.Random(1), WEIGHTED[name])
    world = _weighted_world(WEIGHTED[name], pool)
    _authorized(world, pool)
    after = _done(world, pool, shown(pool.address), "setSwapFeePercentage(uint256)", 10**16)
    assert world.call(shown(pool.address), "getSwapFeePercentage()") == [after.swap_fee] == [10**16]


@needs_data
def test_a_composable_pools_owner_ramps_and_stops_and_sets_its_fee() -> None:
    start = _stable_state(random.Random(1))
    now = start.timestamp
    pool = msgspec.structs.replace(
        start, balances=(2**111, 10**24, 2 * 10**24), ramp=(200_000, 200_000, 0, 0), expires=(2**256 - 1,) * 3
    )
    assert isinstance(pool, StablePool)
    world = _stable_world(msgspec.structs.replace(pool, expires=(2**256 - 1, 2**32 - 1, 2**256 - 1)))
    _authorized(world, pool)
    ramping = _done(
        world, pool, shown(pool.address), "startAmplificationParameterUpdate(uint256,uint256)", 1500, now + 7 * DAY
    )
    assert ramping.ramp == (200_000, 1_500_000, now, now + 7 * DAY)
    paid = []
    for k in range(9):
        _go_to(world, now + k * DAY)
        later = ramping.at(now + k * DAY)
        assert world.call(shown(pool.address), "getAmplificationParameter()")[0] == later.amp
        paid.append(later.given_in(1, 2, 10**23))
        assert paid[-1] == _queried(world, later, 10**23)
    assert paid[:8] == sorted(set(paid), reverse=paid[0] > paid[7]) and paid[7] == paid[8]
    _go_to(world, now + 3 * DAY)
    stopped = _done(world, ramping, shown(pool.address), "stopAmplificationParameterUpdate()")
    dearer = _done(world, stopped, shown(pool.address), "setSwapFeePercentage(uint256)", 10**16)
    _go_to(world, now + 5 * DAY)
    assert _queried(world, dearer, 10**23) == dearer.at(now + 5 * DAY).given_in(1, 2, 10**23)
    assert dearer.swap_fee == 10**16


# ---------------------------------------------------------------- the pauses of pool and Vault

A, T0, T1 = (bytes([number]) * 20 for number in (1, 2, 3))


def _paused(address: bytes, value: int = 1) -> Log:
    return Log(address, (PAUSED_STATE_CHANGED,), value.to_bytes(32, "big"), 0, 0)


def test_a_pause_of_the_vault_and_one_of_the_pool_end_each_by_itself() -> None:
    half = 5 * 10**17
    pool = WeightedPool(A, A + bytes(12), (T0, T1), (1, 1), (10**21, 10**21), (0, 0), 1, 0, "", (half, half), "v2")
    both = pool.apply(_paused(A)).apply(_paused(VAULT))
    for first, second in ((A, VAULT), (VAULT, A)):
        one = both.apply(_paused(first, 0))
        assert not one.tradable
        assert one.log_price(T0, T1) == -float("inf")
        assert one.limits(T0, T1) == (0, 0)
        with pytest.raises(QuoteRefused, match=f"the {'Vault' if second == VAULT else 'pool'} is paused"):
            one.quote(T0, 10**18, T1)
        assert one.apply(_paused(second, 0)) == pool
    assert WeightedPool.key_of(_paused(VAULT)) == ALL_POOLS
    assert WeightedPool.key_of(_paused(A)) == A
    with pytest.raises(BadLog) as bad:
        pool.apply(_paused(A, 2))
    assert bad.value.reason is BadLogReason.OUT_OF_RANGE


def test_logs_of_the_vault_name_their_pool_or_are_bad() -> None:
    for topic in WeightedPool.LOG_TOPICS[:3]:
        assert StablePool.key_of(Log(VAULT, (topic, A + bytes(12)), b"", 0, 0)) == A
        for log, reason in (
            (Log(A, (topic, A + bytes(12)), b"", 0, 0), BadLogReason.WRONG_CONTRACT),
            (Log(VAULT, (topic,), b"", 0, 0), BadLogReason.WRONG_TOPIC_COUNT),
        ):
            with pytest.raises(BadLog) as bad:
                WeightedPool.key_of(log)
            assert bad.value.reason is reason
    assert StablePool.key_of(Log(A, (SWAP_FEE_CHANGED,), b"", 0, 0)) == A
    assert StablePool.key_of(Log(A, (), b"", 0, 0)) == A


def test_every_owner_event_is_listened_to() -> None:
    assert {SWAP_FEE_CHANGED, PAUSED_STATE_CHANGED} <= set(WeightedPool.LOG_TOPICS)
    assert {AMP_UPDATE_STARTED, AMP_UPDATE_STOPPED, PAUSED_STATE_CHANGED} <= set(StablePool.LOG_TOPICS)
    assert {RAMP_A, STOP_RAMP_A, NEW_FEE, NEW_PARAMETERS} <= set(CurvePool.LOG_TOPICS)
    assert {RAMP_A, STOP_RAMP_A, APPLY_NEW_FEE} <= set(CurveNgPool.LOG_TOPICS)


def _time_of(pool: Pool) -> int:
    return pool.to_plain()[-1] if isinstance(pool, StablePool) else pool.to_plain()[9]


@needs_data
def test_time_is_no_part_of_the_digest_and_comes_back() -> None:
    rnd = random.Random(1)
    pools: list[Any] = [_stable_state(rnd), _state(rnd, DEPLOYED["3pool"]), _ng_state(rnd)[0]]
    for pool in pools:
        pool = msgspec.structs.replace(pool, ramp=(200_000, 400_000, pool.timestamp, pool.timestamp + DAY))
        later = pool.at(pool.timestamp + DAY // 2)
        assert later.TIMED and later.amp == 300_000
        assert _time_of(later) == pool.timestamp + DAY // 2
        assert later.digest_entry() == pool.digest_entry()
        assert later.at(pool.timestamp) == pool
        assert pool.moves(pool.timestamp, later.timestamp)
        # Long after, neither the ramp nor the expiry of a rate is still to come.
        assert not pool.moves(pool.timestamp + 2 * DAY, pool.timestamp + 3 * DAY)


@needs_data
def test_a_stopped_call_of_a_stranger_changes_nothing() -> None:
    deployed = DEPLOYED["3pool"]
    pool = _state(random.Random(1), deployed)
    world = _world(deployed, pool)
    with pytest.raises(Reverted):
        world.call(deployed.address, "ramp_A(uint256,uint256)", 900, pool.timestamp + 7 * DAY)
