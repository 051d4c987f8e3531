"""A pool of every family, and logs of it: such as the chain would emit in its state, and such as it never would."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from operators.pools import balancer_v2, balancer_v2_stable, curve, curve_ng, pancake_v3, uniswap_v3, uniswap_v4
from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import VAULT, VaultPool, WeightedPool
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.base import Pool
from operators.pools.concentrated import ConcentratedPool
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.records import packed_state
from operators.pools.stableswap import StableSwap
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool, pool_key
from schemas.logs import Log
from schemas.pools import AccountSlots, PoolOp, PoolRecord, TokenInfo

MANAGER = b"\x04" * 20
E18, Q96 = 10**18, 1 << 96
TIME = 1_700_000_000


class Sample(NamedTuple):
    """A family's pool, and what makes a log that its contract could emit in a given state (by chance: swaps, liquidity, owners)."""

    pool: Pool
    log: Callable[[Pool, random.Random], Log]


def address(number: int) -> bytes:
    return bytes([number]) * 20


def words(*values: int | bytes) -> bytes:
    return b"".join(v.rjust(32, b"\0") if isinstance(v, bytes) else v.to_bytes(32, "big", signed=v < 0) for v in values)


def log(source: bytes, topic: bytes, *topics: int | bytes, data: tuple[int | bytes, ...] = ()) -> Log:
    return Log(source, (topic, *(words(t) for t in topics)), words(*data), 0, 0)


def record(pool: Pool, refusal: str = "", op: PoolOp = PoolOp.ADD) -> PoolRecord:
    """As ingest would write it."""
    tokens = tuple(TokenInfo(token, "T", 18) for token in pool.tokens)
    needs = (AccountSlots(pool.address, (bytes(32),)),)
    return PoolRecord(
        1, 0, 0, 1, op, pool.FAMILY, pool.address, b"", tokens, packed_state(pool), b"", 0, refusal, "", needs
    )


# ---------------------------------------------------------------- one a family


def v2(number: int) -> Sample:
    def sync(pool: Pool, rng: random.Random) -> Log:
        return log(pool.address, SYNC_TOPIC, data=(rng.choice((0, 1, rng.getrandbits(112))), rng.getrandbits(112)))

    return Sample(V2Pool(address(number), address(200), address(201), 3000, 5 * E18, 7 * E18), sync)


def _ticks(rng: random.Random) -> tuple[int, int]:
    lower = rng.randrange(-20, 20)
    return 60 * lower, 60 * rng.randrange(lower + 1, 21)


def _swapped(pool: ConcentratedPool, rng: random.Random) -> ConcentratedPool:
    target = Q96 * rng.randrange(900, 1100) // 1000
    zero_for_one = target < pool.sqrt_price
    return pool.swap(zero_for_one, rng.randrange(1, E18), None).state


def v3(number: int, family: type[V3Pool]) -> Sample:
    swap_topic, more = (pancake_v3.SWAP_TOPIC, (0, 0)) if family is PancakeV3Pool else (uniswap_v3.SWAP_TOPIC, ())

    def event(pool: Pool, rng: random.Random) -> Log:
        assert isinstance(pool, V3Pool)
        kind, (lower, upper), amount = rng.randrange(4), _ticks(rng), rng.randrange(1, E18)
        if kind == 0:
            return log(pool.address, uniswap_v3.MINT_TOPIC, 7, lower, upper, data=(7, amount, 0, 0))
        if kind == 1:
            return log(pool.address, uniswap_v3.BURN_TOPIC, 7, -1200, 1200, data=(rng.randrange(1000), 0, 0))
        if kind == 2:
            topic, parts = (
                (pancake_v3.SET_FEE_PROTOCOL_TOPIC, (3300, 3400))
                if more
                else (uniswap_v3.SET_FEE_PROTOCOL_TOPIC, (4, 5))
            )
            return log(pool.address, topic, data=(0, 0, *parts))
        after = _swapped(pool, rng)
        return log(pool.address, swap_topic, 7, 8, data=(5, -5, after.sqrt_price, after.liquidity, after.tick, *more))

    pool = family.from_parts(
        address=address(number), token0=address(200), token1=address(201), fee_pips=3000, tick_spacing=60, sqrt_price=Q96,
        tick=0, liquidity=100 * E18, ticks=((-1200, 100 * E18, 100 * E18), (1200, -100 * E18, 100 * E18)),
    )  # fmt: skip
    return Sample(pool, event)


def v4(number: int) -> Sample:
    pool_id = bytes([number]) * 32

    def event(pool: Pool, rng: random.Random) -> Log:
        assert isinstance(pool, V4Pool)
        kind, (lower, upper) = rng.randrange(4), _ticks(rng)
        if kind == 0:
            data = (lower, upper, rng.randrange(1, E18), 0)
            return log(MANAGER, uniswap_v4.MODIFY_LIQUIDITY_TOPIC, pool_id, 9, data=data)
        if kind == 1:
            return log(
                MANAGER, uniswap_v4.MODIFY_LIQUIDITY_TOPIC, pool_id, 9, data=(-1200, 1200, -rng.randrange(1000), 0)
            )
        if kind == 2:
            return log(MANAGER, uniswap_v4.PROTOCOL_FEE_TOPIC, pool_id, data=(0,))
        after = _swapped(pool, rng)
        data = (-5, 5, after.sqrt_price, after.liquidity, after.tick, pool.fee_pips)
        return log(MANAGER, uniswap_v4.SWAP_TOPIC, pool_id, 9, data=data)

    pool = V4Pool.from_parts(
        manager=MANAGER, pool_id=pool_id, token0=address(200), token1=address(201), fee_pips=3000, tick_spacing=60,
        sqrt_price=Q96, tick=0, liquidity=100 * E18, ticks=((-1200, 100 * E18, 100 * E18), (1200, -100 * E18, 100 * E18)),
    )  # fmt: skip
    assert pool.address == pool_key(MANAGER, pool_id)
    return Sample(pool, event)


def _vault_event(pool: Pool, rng: random.Random) -> Log:
    assert isinstance(pool, VaultPool)
    kind = rng.randrange(6 if isinstance(pool, StablePool) else 4)
    one, two = (0, 1) if rng.randrange(2) else (1, 0)
    if kind == 0:
        return log(pool.address, balancer_v2.SWAP_FEE_CHANGED, data=(rng.randrange(ONE // 10),))
    if kind == 1:
        return log(rng.choice((pool.address, VAULT)), balancer_v2.PAUSED_STATE_CHANGED, data=(rng.randrange(2),))
    if kind == 2:
        data = (96, 192, 288, 2, *pool.tokens, 2, rng.randrange(E18), -1, 2, 0, 0)
        return log(VAULT, balancer_v2.POOL_BALANCE_CHANGED, pool.pool_id, 9, data=data)
    if kind == 4:
        return log(pool.address, balancer_v2_stable.AMP_UPDATE_STARTED, data=(200_000, 300_000, TIME, TIME + 10**6))
    if kind == 5:
        return log(pool.address, balancer_v2_stable.RATE_BY_INDEX, 1, data=(ONE + rng.randrange(ONE // 10),))
    data = (rng.randrange(1, E18), rng.randrange(1, 1000))
    return log(VAULT, balancer_v2.SWAP, pool.pool_id, pool.tokens[one], pool.tokens[two], data=data)


def weighted(number: int) -> Sample:
    place = address(number)
    tokens, balances = (address(200), address(201)), (10**21, 2 * 10**21)
    plain = (
        place, place + bytes(11) + b"\7", tokens, (1, 1), balances, (0, 0), 3 * 10**15, 0, "", (ONE // 5, ONE * 4 // 5), "v2",
    )  # fmt: skip
    return Sample(WeightedPool.from_plain(plain), _vault_event)


def stable(number: int) -> Sample:
    place = address(number)
    tokens, balances = (address(200), address(201)), (10**21, 2 * 10**21)
    plain = (
        place, place + bytes(11) + b"\7", tokens, (1, 1), balances, (0, 0), 10**14, 0, "", (ONE, ONE), (0, 3600),
        (NEVER, TIME + 2000), NO_OWN_TOKEN, (200_000, 200_000, 0, 0), "down", TIME,
    )  # fmt: skip
    return Sample(StablePool.from_plain(plain), _vault_event)


def _curve_event(pool: Pool, rng: random.Random) -> Log:
    assert isinstance(pool, StableSwap)
    kind, amount = rng.randrange(4), rng.randrange(10**15, E18)
    ng = isinstance(pool, CurveNgPool)
    if kind == 0:
        topic, fees = (curve_ng.APPLY_NEW_FEE, (10**6, 5 * 10**10)) if ng else (curve.NEW_FEE, (4_000_000, 5 * 10**9))
        return log(pool.address, topic, data=fees)
    if kind == 1:
        return log(pool.address, curve.RAMP_A, data=(10_000, rng.randrange(5_000, 20_000), TIME, TIME + 10**6))
    if kind == 2 and ng:
        data = (128, 224, 5 * E18, pool.lp_supply + 2 * amount, 2, amount, amount, 2, 0, 0)
        return log(pool.address, curve_ng.ADD_LIQUIDITY, 9, data=data)
    if kind == 2:
        data = (amount, amount, 0, 0, 5 * E18, pool.lp_supply + 2 * amount)
        return log(pool.address, curve.ADD_LIQUIDITY[2], 9, data=data)
    i = rng.randrange(2)
    bought = pool.quote(pool.tokens[i], amount).amount_out
    return log(pool.address, curve.TOKEN_EXCHANGE, 9, data=(i, amount, 1 - i, bought))


def _curve_plain(number: int, implementation: str, fee: int) -> tuple[object, ...]:
    tokens, balances = (address(200), address(201)), (10**24, 2 * 10**24)
    ramp = (10_000, 10_000, 0, 0)
    return (
        address(number), tokens, (E18, E18), implementation, balances, ramp, fee, 5 * 10**9, sum(balances), TIME, "",
    )  # fmt: skip


def plain_curve(number: int) -> Sample:
    return Sample(CurvePool.from_plain(_curve_plain(number, "base", 4_000_000)), _curve_event)


def ng_curve(number: int) -> Sample:
    return Sample(CurveNgPool.from_plain((*_curve_plain(number, "ng", 1_000_000), 5 * 10**10)), _curve_event)


def all_families() -> tuple[Sample, ...]:
    """One of each, and a second of those whose pools share a contract."""
    return (
        v2(1), v3(2, V3Pool), v3(3, PancakeV3Pool), v4(11), v4(12), weighted(21), weighted(22), stable(23), plain_curve(31),
        ng_curve(32),
    )  # fmt: skip


# ---------------------------------------------------------------- what no contract of theirs emits


def cut(entry: Log) -> Log:
    """With a byte less."""
    return msgspec.structs.replace(entry, data=entry.data[:-1])


def longer(entry: Log) -> Log:
    """With a word more."""
    return msgspec.structs.replace(entry, data=entry.data + bytes(32))


def fewer_topics(entry: Log) -> Log:
    """With nothing but the first topic, or one more where that is all there is."""
    topics = entry.topics[:1] if len(entry.topics) > 1 else (*entry.topics, bytes(32))
    return msgspec.structs.replace(entry, topics=topics)


def overflowing(entry: Log) -> Log:
    """Every number as large as a word can hold."""
    return msgspec.structs.replace(entry, data=b"\xff" * len(entry.data))


def moved_to(entry: Log, source: bytes) -> Log:
    """The same words by another contract."""
    return msgspec.structs.replace(entry, address=source)
