"""Balancer V2's pools against their deployed code: what `onSwap` answers the Vault, both kinds of swap, any balances, fee, rates and ramp."""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec
import pytest
from eth_abi import encode

from infra.chain.keccak import keccak
from operators.pools.balancer_v2 import MAX_BALANCE, SWAP, VAULT, WeightedPool
from operators.pools.balancer_v2_stable import NEVER, StablePool
from operators.pools.base import QuoteRefused
from operators.pools.words import Reverts
from schemas.logs import Log
from tests.shared_data import needs_data
from tests.unit.pools.recorded_contracts import Reverted, World, code, receipts, storage, timestamp

pytestmark = needs_data

_REQUEST = "(uint8,address,address,uint256,bytes32,uint256,address,address,bytes)"
_VAULT = "0x" + VAULT.hex()
_MISC_SLOT, _AMP_SLOT = 8, 9


class Weighted(NamedTuple):
    """A recorded weighted pool: where its code is and where in the slot of flags its fee is."""

    block: str
    address: str
    id_end: str
    tokens: tuple[str, str]
    decimals: tuple[int, int]
    weights: tuple[int, int]
    pow_version: str
    fee_offset: int


_WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
WEIGHTED = {
    "first, even": Weighted(
        "eth_15199017", "0x96646936b91d6b9d7d0c47c496afbf3d6ec7b6f8", "000200000000000000000019",
        ("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", _WETH), (6, 18), (5 * 10**17, 5 * 10**17), "v1", 86,
    ),
    "first, 80/20": Weighted(
        "eth_15274915", "0xbf96189eee9357a95c7719f4f5047f76bde804e5", "000200000000000000000087",
        ("0x5a98fcbea516cf06857215779fd812ca3bef1b32", _WETH), (18, 18), (8 * 10**17, 2 * 10**17), "v1", 86,
    ),
    "later, 20/80": Weighted(
        "eth_19929064", "0xf16aee6a71af1a9bc8f56975a4c2705ca7a782bc", "0002000000000000000004bb",
        (_WETH, "0xdbdb4d16eda451d0503b854cf79d55697f90c8df"), (18, 18), (2 * 10**17, 8 * 10**17), "v2", 192,
    ),
}  # fmt: skip


def _somewhere(rnd: random.Random, low: int, high: int) -> int:
    """Any order of magnitude is as likely as any other."""
    return min(high, int(low * (high / low) ** rnd.random()) + rnd.randint(0, low))


def _fee(rnd: random.Random) -> int:
    return rnd.choice((10**12, 3 * 10**15, 10**16, rnd.randint(10**12, 10**17)))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _request(kind: int, pool: WeightedPool | StablePool, sold: int, bought: int, amount: int) -> tuple[object, ...]:
    # The last change is said to be in this block: pools with a price oracle then leave it alone.
    tokens = ["0x" + token.hex() for token in pool.tokens]
    return kind, tokens[sold], tokens[bought], amount, pool.pool_id, 2**31, _VAULT, _VAULT, b""


def _weighted_state(rnd: random.Random, deployed: Weighted) -> WeightedPool:
    balances = tuple(_somewhere(rnd, 10**places // 100, 10 ** (places + 9)) for places in deployed.decimals)
    return WeightedPool.from_plain(
        (
            _bytes(deployed.address),
            _bytes(deployed.address + deployed.id_end),
            tuple(map(_bytes, deployed.tokens)),
            tuple(10 ** (18 - places) for places in deployed.decimals),
            balances,
            (0, 0),
            _fee(rnd),
            0,
            "",
            deployed.weights,
            deployed.pow_version,
        )
    )


def _weighted_world(deployed: Weighted, pool: WeightedPool) -> World:
    world = World(timestamp(deployed.block))
    fee = {_MISC_SLOT: pool.swap_fee << deployed.fee_offset}
    world.put(deployed.address, code(deployed.block, deployed.address), storage(deployed.block, deployed.address) | fee)
    return world


@pytest.mark.parametrize("name", sorted(WEIGHTED))
@pytest.mark.parametrize("seed", range(4))
def test_weighted_swaps_are_the_contracts(name: str, seed: int) -> None:
    rnd, deployed = random.Random(f"{name}{seed}"), WEIGHTED[name]
    signature = f"onSwap({_REQUEST},uint256,uint256)"
    answered = 0
    for _ in range(80):
        pool, sold, kind = _weighted_state(rnd, deployed), rnd.randrange(2), rnd.randrange(2)
        amount = _somewhere(rnd, 1, pool.balances[1 - sold if kind else sold] * 2 // 5)
        world = _weighted_world(deployed, pool)
        arguments = (_request(kind, pool, sold, 1 - sold, amount), pool.balances[sold], pool.balances[1 - sold])
        data = keccak(signature.encode())[:4] + encode([_REQUEST, "uint256", "uint256"], arguments)
        ours = pool.given_out if kind else pool.given_in
        try:
            (expected,) = world.call_raw(deployed.address, data, sender=_VAULT)
        except Reverted:
            with pytest.raises(Reverts):
                ours(sold, 1 - sold, amount)
            continue
        assert ours(sold, 1 - sold, amount) == expected
        answered += 1
    assert answered > 40
    assert world.call(deployed.address, "getNormalizedWeights()")[2:] == list(deployed.weights)
    assert world.call(deployed.address, "getSwapFeePercentage()") == [pool.swap_fee]


def _recorded(deployed: Weighted) -> WeightedPool:
    """The pool as it was before the block."""
    # Both balances of a two-token pool share a word, below the block of their last change.
    packed = next(
        value
        for value in storage(deployed.block, _VAULT).values()
        if value >> 224 and 0 < value >> 224 < 2**26 and value >> 112 & MAX_BALANCE
    )
    fee = storage(deployed.block, deployed.address)[_MISC_SLOT] >> deployed.fee_offset & (2**64 - 1)
    balances = (packed & MAX_BALANCE, packed >> 112 & MAX_BALANCE)
    return msgspec.structs.replace(_weighted_state(random.Random(1), deployed), balances=balances, swap_fee=fee)


@pytest.mark.parametrize("name", sorted(WEIGHTED))
def test_recorded_swaps(name: str) -> None:
    """The block's logs of the Vault and the pool, applied in order to the balances before it: each swap is the quote."""
    deployed = WEIGHTED[name]
    pool = _recorded(deployed)
    swaps = 0
    for log in _logs_of(deployed):
        if log.topics[0] == SWAP:
            token_in, token_out = log.topics[2][12:], log.topics[3][12:]
            amount_in, amount_out = (int.from_bytes(log.data[k : k + 32], "big") for k in (0, 32))
            quote = pool.quote(token_in, amount_in, token_out)
            given_out = pool.quote_exact_out(token_in, amount_out, token_out)
            assert amount_out == quote.amount_out or amount_in == given_out.amount_in
            swaps += 1
        pool = pool.apply(log)
    assert swaps


def _logs_of(deployed: Weighted) -> list[Log]:
    pool_id = deployed.address + deployed.id_end
    return [
        Log(_bytes(log["address"]), tuple(map(_bytes, log["topics"])), _bytes(log["data"]), 0, int(log["logIndex"], 16))
        for receipt in receipts(deployed.block)
        for log in receipt["logs"]
        if log["address"].lower() == deployed.address or (log["topics"] and log["topics"][1:2] == [pool_id])
        if _bytes(log["topics"][0]) in WeightedPool.LOG_TOPICS
    ]


# ---------------------------------------------------------------- a composable stable pool

_BLOCK, _STABLE = "eth_19917570", "0x596192bb6e41802428ac943d2f1476c1af25cc0e"
_ID_END = "000000000000000000000659"
_TOKENS = (_STABLE, "0xbf5495efe5db9ce00f80364c8b423567e58d2110", _WETH)
_RATED = 1


def _rate_slot() -> int:
    """The slot of the one rate cache: it holds a time to come, a duration and two rates."""
    now = timestamp(_BLOCK)
    (slot,) = (slot for slot, value in storage(_BLOCK, _STABLE).items() if now < value >> 224 < now + 10**6)
    return slot


def _stable_state(rnd: random.Random) -> StablePool:
    now, size = timestamp(_BLOCK), _somewhere(rnd, 10**15, 10**27)
    amps = [_somewhere(rnd, 1000, 5_000_000) for _ in range(2)]
    start = now - rnd.randint(1, 10**6)
    rate = rnd.randint(5 * 10**17, 2 * 10**18)
    return StablePool.from_plain(
        (
            _bytes(_STABLE),
            _bytes(_STABLE + _ID_END),
            tuple(map(_bytes, _TOKENS)),
            (1, 1, 1),
            (2**111 + rnd.randint(0, 10**24), *(_somewhere(rnd, size // 30 + 1, size * 30) for _ in range(2))),
            (0, 0, 0),
            _fee(rnd),
            0,
            "",
            (10**18, rate, 10**18),
            (0, 10_800, 0),
            (NEVER, now + rnd.randint(0, 10_800), NEVER),
            0,
            (amps[0], amps[1], start, now + rnd.randint(-1000, 10**6)),
            "down",
            now,
        )
    )


def _stable_world(pool: StablePool) -> World:
    world = World(pool.timestamp)
    initial, future, start, end = pool.ramp
    slots = storage(_BLOCK, _STABLE) | {
        _MISC_SLOT: pool.swap_fee << 192,
        _AMP_SLOT: initial | future << 64 | start << 128 | end << 192,
        _rate_slot(): pool.expires[_RATED] << 224
        | pool.durations[_RATED] << 192
        | pool.rates[_RATED] << 96
        | pool.rates[_RATED],
    }
    world.put(_STABLE, code(_BLOCK, _STABLE), slots)
    return world


def _ask(world: World, pool: StablePool, kind: int, sold: int, bought: int, amount: int) -> int:
    signature = f"onSwap({_REQUEST},uint256[],uint256,uint256)"
    data = keccak(signature.encode())[:4] + encode(
        [_REQUEST, "uint256[]", "uint256", "uint256"],
        (_request(kind, pool, sold, bought, amount), pool.balances, sold, bought),
    )
    (answer,) = world.call_raw(_STABLE, data, sender=_VAULT)
    return answer


@pytest.mark.parametrize("seed", range(6))
def test_stable_swaps_are_the_contracts(seed: int) -> None:
    rnd = random.Random(seed)
    answered = 0
    for _ in range(80):
        pool, kind = _stable_state(rnd), rnd.randrange(2)
        sold, bought = rnd.sample((1, 2), 2)
        amount = _somewhere(rnd, 1, pool.balances[bought if kind else sold])
        world = _stable_world(pool)
        ours = pool.given_out if kind else pool.given_in
        try:
            expected = _ask(world, pool, kind, sold, bought, amount)
        except Reverted:
            with pytest.raises(Reverts):
                ours(sold, bought, amount)
            continue
        assert ours(sold, bought, amount) == expected
        answered += 1
    assert answered > 40


def test_an_expired_rate_is_asked_again_and_so_refused() -> None:
    pool = _stable_state(random.Random(1))
    late = pool.at(pool.expires[_RATED])
    assert _ask(_stable_world(late), late, 0, 1, 2, 10**15) == late.given_in(1, 2, 10**15)
    assert late.tradable
    later = pool.at(pool.expires[_RATED] + 1)
    with pytest.raises(Reverted):
        # The rate provider is not there to answer.
        _ask(_stable_world(later), later, 0, 1, 2, 10**15)
    assert not later.tradable
    with pytest.raises(QuoteRefused, match="not_modelled"):
        later.quote(later.tokens[1], 10**15, later.tokens[2])
    with pytest.raises(QuoteRefused, match="unknown_token"):
        pool.quote(pool.tokens[0], 10**15, pool.tokens[2])


@pytest.mark.slow
def test_ten_thousand_swaps_of_each_kind_are_the_contracts() -> None:
    for seed in range(1000, 1042):
        for name in sorted(WEIGHTED):
            test_weighted_swaps_are_the_contracts(name, seed)
    for seed in range(1000, 1125):
        test_stable_swaps_are_the_contracts(seed)
