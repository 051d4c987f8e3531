"""Balancer pools as they are read: of the deployed Vault and pools in an EVM, and of recorded pools by a table of answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from eth_abi import encode

from infra.chain.keccak import keccak
from operators.pools.balancer_v2 import POOL_CREATED, VAULT, BalancerRefusal, WeightedPool
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.balancer_vault import POOL_PAUSED, VAULT_PAUSED
from operators.pools.base import AdmissionReason, AdmissionRefused, Found, QuoteRefused
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.plain import pack_plain, unpack_plain
from schemas.reads import Read, Reading, Slot, View
from tests.acceptance.onchain_answers import answers_and_states, coins
from tests.acceptance.pool_checks.balancer import pool_of
from tests.shared_data import DATA, needs_data
from tests.unit.pools.reading_driver import carry_out, table
from tests.unit.pools.recorded_contracts import shown
from tests.unit.pools.test_balancer_bytecode import (
    WEIGHTED,
    _stable_state,
    _stable_world,
    _weighted_state,
    _weighted_world,
)
from tests.unit.pools.vault_in_evm import FACTORY, factory, put_vault

ONE = 10**18
#: Of the pool token that a pool is.
_DECIMALS_SLOT = 5
AnyPool = WeightedPool | StablePool


def read(pool: AnyPool, answer: Callable[[Read], bytes | None], variant: str, timestamp: int = 0) -> AnyPool:
    """The pool as its own family reads it, through the form in which it travels."""
    found = Found(pool.FAMILY, pool.address, FACTORY)
    reading: Reading[Any] = type(pool).read(found, factory(variant), timestamp)
    state = carry_out(reading, answer)
    assert type(pool).from_plain(unpack_plain(pack_plain(state.to_plain()))) == state
    return state


# ---------------------------------------------------------------- deployed contracts


def _with_managed(rnd: random.Random, pool: Any) -> Any:
    managed = tuple(rnd.choice((0, rnd.randint(0, balance))) for balance in pool.balances)
    return msgspec.structs.replace(pool, managed=managed)


@needs_data
@pytest.mark.parametrize("name", sorted(WEIGHTED))
def test_a_weighted_pool_is_read_as_it_is(name: str) -> None:
    rnd, deployed = random.Random(name), WEIGHTED[name]
    for _ in range(20):
        pool = _with_managed(rnd, _weighted_state(rnd, deployed))
        world = _weighted_world(deployed, pool)
        put_vault(world, pool)
        assert read(pool, world.answer, deployed.pow_version) == pool


@needs_data
def test_a_composable_pool_is_read_as_it_is_also_in_the_middle_of_a_ramp() -> None:
    rnd, ramping = random.Random(1), 0
    for _ in range(40):
        pool = _with_managed(rnd, _stable_state(rnd))
        world = _stable_world(pool)
        put_vault(world, pool)
        world.store(shown(pool.address), _DECIMALS_SLOT, 18)
        found = read(pool, world.answer, "composable", pool.timestamp)
        assert isinstance(found, StablePool)
        if pool.ramp[3] > pool.timestamp:
            ramping += 1
            assert found == pool
        else:
            # What the ramp was is over and forgotten.
            assert found == msgspec.structs.replace(pool, ramp=(pool.ramp[1], pool.ramp[1], 0, 0))
        for later in (pool.timestamp, pool.timestamp + 10**5, pool.timestamp + 10**7):
            assert found.at(later).amp == pool.at(later).amp
    assert ramping > 20


@needs_data
def test_a_pool_of_the_vault_is_of_one_family_alone() -> None:
    rnd = random.Random(1)
    weighted, stable = _weighted_state(rnd, WEIGHTED["later, 20/80"]), _stable_state(rnd)
    for pool, world, other in (
        (weighted, _weighted_world(WEIGHTED["later, 20/80"], weighted), StablePool),
        (stable, _stable_world(stable), WeightedPool),
    ):
        put_vault(world, pool)
        world.store(shown(pool.address), _DECIMALS_SLOT, 18)
        with pytest.raises(AdmissionRefused) as refused:
            carry_out(other.read(Found("", pool.address, FACTORY), factory(""), 0), world.answer)
        assert refused.value.reason is AdmissionReason.NOT_THIS_FAMILY


# ---------------------------------------------------------------- recorded pools


def _call(signature: str, *words: bytes) -> bytes:
    return keccak(signature.encode())[:4] + b"".join(word.rjust(32, b"\0") for word in words)


def recorded_answers(pool: AnyPool, timestamp: int = 0) -> dict[Read, bytes | None]:
    """What a chain answers that has this pool. A rate that never expires has no provider."""
    answers: dict[Read, bytes | None] = {}

    def say(to: bytes, call: bytes, types: list[str], *values: Any) -> None:
        answers[View(to, call)] = encode(types, values)

    say(pool.address, _call("getPoolId()"), ["bytes32"], pool.pool_id)
    say(pool.address, _call("getVault()"), ["address"], VAULT)
    say(pool.address, _call("getSwapFeePercentage()"), ["uint256"], pool.swap_fee)
    for address, bit in ((pool.address, POOL_PAUSED), (VAULT, VAULT_PAUSED)):
        state = (bool(pool.paused & bit), 5, 6)
        say(address, _call("getPausedState()"), ["bool", "uint256", "uint256"], *state)
    say(FACTORY, _call("isPoolFromFactory(address)", pool.address), ["bool"], True)
    listed = (pool.tokens, pool.balances, 7)
    say(VAULT, _call("getPoolTokens(bytes32)", pool.pool_id), ["address[]", "uint256[]", "uint256"], *listed)
    for token, scale, balance, out in zip(pool.tokens, pool.scaling, pool.balances, pool.managed, strict=True):
        info = _call("getPoolTokenInfo(bytes32,address)", pool.pool_id, token)
        say(VAULT, info, ["uint256", "uint256", "uint256", "address"], balance - out, out, 7, bytes(20))
        say(token, _call("decimals()"), ["uint8"], 19 - len(str(scale)))
    if isinstance(pool, WeightedPool):
        say(pool.address, _call("getNormalizedWeights()"), ["uint256[]"], pool.weights)
        return answers
    amp = (pool.at(timestamp).amp, timestamp < pool.ramp[3], 1000)
    say(pool.address, _call("getAmplificationParameter()"), ["uint256", "bool", "uint256"], *amp)
    providers = [b"\5" * 20 if expires != NEVER else bytes(20) for expires in pool.expires]
    say(pool.address, _call("getRateProviders()"), ["address[]"], providers)
    for token, *cache in zip(pool.tokens, pool.rates, pool.durations, pool.expires, strict=True):
        if cache[2] != NEVER:
            say(pool.address, _call("getPriceRateCache(address)", token), ["uint256"] * 3, *cache)
            old = [cache[0], 1, *cache[1:]]
            say(pool.address, _call("getTokenRateCache(address)", token), ["uint256"] * 4, *old)
    return answers


def _cached(pool: AnyPool) -> AnyPool:
    """The same with a cache for every rate that is not one: recordings leave out when they expire."""
    if not isinstance(pool, StablePool):
        return pool
    rated = [rate != ONE for rate in pool.rates]
    return msgspec.structs.replace(
        pool,
        durations=tuple(3600 if each else 0 for each in rated),
        expires=tuple(2000 if each else NEVER for each in rated),
        timestamp=1000,
    )


def _variant(pool: AnyPool) -> str:
    if isinstance(pool, WeightedPool):
        return pool.pow_version
    return "composable" if pool.invariant_version == "down" else "meta"


@needs_data
def test_recorded_pools_are_read_and_answer_what_the_chain_did() -> None:
    answers, states, _ = answers_and_states(DATA, frozenset({"querySwap"}))
    pools = {key: pool for key, state in states.items() if "pool_id" in state and (pool := pool_of(state)) is not None}
    found = {
        key: read(cached, table(recorded_answers(cached, 1000)), _variant(pool), 1000)
        for key, pool in pools.items()
        for cached in (_cached(pool),)
    }
    assert len(found) >= 15
    assert all(found[key] == _cached(pool) for key, pool in pools.items())
    checked = 0
    for answer in answers:
        pool = found.get((answer.pool, answer.block))
        if pool is None or answer.value is None:
            continue
        symbols = [token["symbol"] for token in states[answer.pool, answer.block]["tokens"]]
        direction = coins(answer.parts, symbols)
        if direction is None or (isinstance(pool, StablePool) and pool.own_token in direction):
            continue
        given = pool.given_in if "GIVEN_IN" in answer.parts else pool.given_out
        assert given(*direction, answer.amount) == answer.value, answer.where
        checked += 1
    assert checked > 400


# ---------------------------------------------------------------- what is refused

A, T0, T1, T2 = (bytes([number]) * 20 for number in (1, 2, 3, 4))
POOL_ID = A + bytes(11) + b"\7"


def weighted(**changes: Any) -> WeightedPool:
    pool = WeightedPool(
        A, POOL_ID, (T0, T1), (1, 10**12), (10**21, 10**9), (0, 0), 10**15, 0, "", (ONE // 2,) * 2, "v2"
    )
    return msgspec.structs.replace(pool, **changes)


def composable(**changes: Any) -> StablePool:
    pool = StablePool(
        A, POOL_ID, (A, T0, T1), (1, 1, 10**12), (2**111, 10**21, 10**9), (0, 0, 0), 10**14, 0, "", (ONE, 2 * ONE, ONE),
        (0, 3600, 0), (NEVER, 2000, NEVER), 0, (200_000, 200_000, 0, 0), "down", 1000,
    )  # fmt: skip
    return msgspec.structs.replace(pool, **changes)


def test_a_pause_of_pool_or_vault_is_read() -> None:
    for paused in range(4):
        assert read(weighted(), table(recorded_answers(weighted(paused=paused))), "v2") == weighted(paused=paused)


def test_a_stable_pool_without_rates_is_read() -> None:
    pool = composable(
        tokens=(T0, T1, T2), rates=(ONE,) * 3, durations=(0,) * 3, expires=(NEVER,) * 3, own_token=NO_OWN_TOKEN,
        invariant_version="rounded",
    )  # fmt: skip
    answers = recorded_answers(pool, 1000)
    del answers[View(A, _call("getRateProviders()"))]
    assert read(pool, table(answers), "", 1000) == pool


@pytest.mark.parametrize(("pool", "variant"), [(weighted(), "managed"), (composable(), "phantom")])
def test_a_factory_of_an_unknown_variant_makes_refused_pools_that_are_followed(pool: AnyPool, variant: str) -> None:
    state = read(pool, table(recorded_answers(pool, 1000)), variant, 1000)
    assert state.refusal == BalancerRefusal.UNKNOWN_POOL_TYPE
    assert not state.tradable
    with pytest.raises(QuoteRefused, match="not_modelled"):
        state.quote(T0, 10**18, T1)
    fee = Log(A, (type(state).LOG_TOPICS[3],), (5).to_bytes(32, "big"), 0, 0)
    assert state.apply(fee).swap_fee == 5


def test_a_rate_without_a_cache_is_refused() -> None:
    pool = composable(durations=(0, 0, 0), expires=(NEVER, 1000, NEVER))
    assert read(pool, table(recorded_answers(pool, 1000)), "composable", 1000).refusal == BalancerRefusal.UNCACHED_RATE


def test_a_ramp_whose_ends_are_not_found_is_refused() -> None:
    pool = composable(ramp=(200_000, 400_000, 500, 1500))
    answers = recorded_answers(pool, 1000)
    state = read(pool, table(answers), "composable", 1000)
    assert state.refusal == BalancerRefusal.UNKNOWN_RAMP
    packed = 200_000 | 400_000 << 64 | 500 << 128 | 1500 << 192
    answers[Slot(A, (7).to_bytes(32, "big"))] = packed.to_bytes(32, "big")
    assert read(pool, table(answers), "composable", 1000) == pool
    # Another word that would do as well leaves it open which one is meant.
    answers[Slot(A, (8).to_bytes(32, "big"))] = (packed + (1 << 192) + (1 << 128)).to_bytes(32, "big")
    assert pool.amp == 300_000
    ambiguous = 100_000 | 500_000 << 64 | 500 << 128 | 1500 << 192
    answers[Slot(A, (8).to_bytes(32, "big"))] = ambiguous.to_bytes(32, "big")
    assert read(pool, table(answers), "composable", 1000).refusal == BalancerRefusal.UNKNOWN_RAMP


def _changed(pool: AnyPool, to: bytes, call: bytes, answer: bytes | None) -> dict[Read, bytes | None]:
    return {**recorded_answers(pool, 1000), View(to, call): answer}


_WORD = (1).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("pool", "to", "call", "answer", "reason"),
    [
        (weighted(), A, _call("getPoolId()"), None, AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), A, _call("getPoolId()"), b"\5" * 32, AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), A, _call("getVault()"), _WORD, AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), A, _call("getVault()"), b"", AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), A, _call("getNormalizedWeights()"), None, AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), A, _call("getNormalizedWeights()"), _WORD, AdmissionReason.NOT_THIS_FAMILY),
        (composable(), A, _call("getAmplificationParameter()"), None, AdmissionReason.NOT_THIS_FAMILY),
        (weighted(), FACTORY, _call("isPoolFromFactory(address)", A), bytes(32), AdmissionReason.UNKNOWN_FACTORY),
        (weighted(), FACTORY, _call("isPoolFromFactory(address)", A), None, AdmissionReason.UNKNOWN_FACTORY),
        (weighted(), A, _call("getSwapFeePercentage()"), None, AdmissionReason.BAD_STATE),
        (weighted(), A, _call("getSwapFeePercentage()"), ONE.to_bytes(32, "big"), AdmissionReason.BAD_STATE),
        (weighted(), VAULT, _call("getPausedState()"), None, AdmissionReason.BAD_STATE),
        (weighted(), VAULT, _call("getPoolTokens(bytes32)", POOL_ID), None, AdmissionReason.BAD_STATE),
        (weighted(), VAULT, _call("getPoolTokens(bytes32)", POOL_ID), b"\xff" * 96, AdmissionReason.BAD_STATE),
        (weighted(), T0, _call("decimals()"), None, AdmissionReason.BAD_STATE),
        (weighted(), T0, _call("decimals()"), (77).to_bytes(32, "big"), AdmissionReason.BAD_STATE),
        (weighted(), A, _call("getScalingFactors()"), encode(["uint256[]"], [[ONE, ONE]]), AdmissionReason.BAD_STATE),
        (
            weighted(), A, _call("getNormalizedWeights()"), encode(["uint256[]"], [[ONE, ONE]]),
            AdmissionReason.BAD_STATE,
        ),
        (
            weighted(), VAULT, _call("getPoolTokenInfo(bytes32,address)", POOL_ID, T0), bytes(128),
            AdmissionReason.BAD_STATE,
        ),
        (composable(), A, _call("getTokenRateCache(address)", T0), None, AdmissionReason.BAD_STATE),
        (composable(), A, _call("getTokenRateCache(address)", T1), _WORD * 4, AdmissionReason.BAD_STATE),
        (composable(), A, _call("getRateProviders()"), None, AdmissionReason.BAD_STATE),
    ],
)  # fmt: skip
def test_answers_that_are_none_have_a_reason(
    pool: AnyPool, to: bytes, call: bytes, answer: bytes | None, reason: AdmissionReason
) -> None:
    with pytest.raises(AdmissionRefused) as refused:
        read(pool, table(_changed(pool, to, call, answer)), _variant(pool), 1000)
    assert refused.value.reason is reason


def test_a_token_of_no_decimals_is_scaled_up_to_eighteen() -> None:
    pool = weighted(scaling=(1, ONE), balances=(10**21, 500))
    assert read(pool, table(recorded_answers(pool)), "v2") == pool


def test_a_pool_without_a_configured_factory_is_not_admitted() -> None:
    found = Found(WeightedPool.FAMILY, A, b"")
    with pytest.raises(AdmissionRefused) as refused:
        carry_out(WeightedPool.read(found, None, 0), table(recorded_answers(weighted())))
    assert refused.value.reason is AdmissionReason.UNKNOWN_FACTORY
    with pytest.raises(AdmissionRefused) as refused:
        carry_out(WeightedPool.read(found, None, 0), table({}))
    assert refused.value.reason is AdmissionReason.NOT_THIS_FAMILY


# ---------------------------------------------------------------- how pools are found


def _created(pool: bytes, maker: bytes = FACTORY, topics: tuple[bytes, ...] = (POOL_CREATED,)) -> Log:
    return Log(maker, (*topics, pool.rjust(32, b"\0")), b"", 0, 0)


def test_a_factory_announces_each_pool_once() -> None:
    maker: FactoryConfig = factory("v2")
    logs = [
        _created(A), _created(T0), _created(A), _created(T1, maker=T2), _created(T1, topics=(bytes(32),)),
        _created(T1, topics=(POOL_CREATED, bytes(32))), Log(FACTORY, (POOL_CREATED,), b"", 0, 0), _created(b"\5" * 32),
    ]  # fmt: skip
    for family in (WeightedPool, StablePool):
        found = carry_out(family.announced(logs, maker), table({}))
        assert found == (Found(family.FAMILY, A, FACTORY), Found(family.FAMILY, T0, FACTORY))
    assert keccak(b"PoolCreated(address)") == POOL_CREATED
