"""Curve's pools against their deployed code: the view, exchanges with the balances they leave, and states that follow the logs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest

from infra.chain.keccak import keccak
from operators.pools.base import Found, QuoteRefused
from operators.pools.curve import KNOWN_CODE, CurvePool
from operators.pools.curve_ng import CODE_SIZE, CurveNgPool, immutables, refusal_of
from operators.pools.stableswap import NATIVE_COIN, CurveRefusal, StableSwap
from operators.pools.words import Reverts
from schemas.logs import Log
from tests.shared_data import needs_data
from tests.unit.pools.reading_driver import carry_out
from tests.unit.pools.recorded_contracts import CALLER, Reverted, World, code, code_hash, storage, timestamp

pytestmark = needs_data

_LP = "0x" + "99" * 20


class Deployed(NamedTuple):
    """A recorded pool: where its code is, and which slots hold what. `first` are the slots of the first coin and balance."""

    block: str
    address: str
    implementation: str
    decimals: tuple[int, ...]
    coins: tuple[str, ...]
    coin_slot: int
    balance_slot: int
    fee_slot: int
    amp_slots: tuple[int, ...]
    lp_slot: int


def _array(slot: int) -> int:
    return int.from_bytes(keccak(slot.to_bytes(32, "big")), "big")


def _coins(n: int) -> tuple[str, ...]:
    return tuple("0x" + f"{0x21 + k:02x}" * 20 for k in range(n))


_OLD_AMP = (6, 7, 8, 9)
DEPLOYED = {
    "3pool": Deployed(
        "eth_16257471", "0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7", "3pool", (18, 6, 6), _coins(3),
        _array(0), _array(1), 2, _OLD_AMP, 5,
    ),
    "susd": Deployed(
        "eth_10760440", "0xa5407eae9ba41422680e2e00537571bcc53efbfd", "susd", (18, 6, 6, 18), _coins(4),
        _array(0), _array(2), 4, (3,), 7,
    ),
    "seth": Deployed(
        "eth_12300570", "0xc5424b857f758e906013f3555dad202e4bdb4567", "base", (18, 18),
        ("0x" + NATIVE_COIN.hex(), _coins(2)[1]), _array(0), _array(1), 2, _OLD_AMP, 5,
    ),
}  # fmt: skip


def _somewhere(rnd: random.Random, low: int, high: int) -> int:
    """Any order of magnitude is as likely as any other."""
    return min(high, int(low * (high / low) ** rnd.random()) + rnd.randint(0, low))


def _state(rnd: random.Random, deployed: Deployed) -> CurvePool:
    """Any state: balances of up to a thousandfold difference, any amplification and fee, often in the middle of a ramp."""
    unit, now = CurvePool.CONTRACTS[deployed.implementation].form.precision, timestamp(deployed.block)
    size = _somewhere(rnd, 10**3, 10**9)
    balances = tuple(_somewhere(rnd, size * 10**places // 30, size * 10**places * 30) for places in deployed.decimals)
    amps = [_somewhere(rnd, 2 * unit, 20_000 * unit) for _ in range(2)]
    start = now - rnd.randint(0, 10**6)
    ramp = (*amps, start, now + rnd.randint(-1000, 10**6))
    if len(deployed.amp_slots) == 1:
        ramp = (amps[0], amps[0], 0, 0)
    return CurvePool.from_plain(
        (
            bytes.fromhex(deployed.address[2:]),
            tuple(bytes.fromhex(coin[2:]) for coin in deployed.coins),
            tuple(10 ** (36 - places) for places in deployed.decimals),
            deployed.implementation,
            balances,
            ramp,
            rnd.choice((0, 100_000, 1_000_000, 4_000_000, rnd.randint(0, 5 * 10**9))),
            rnd.choice((0, 5 * 10**9, rnd.randint(0, 5 * 10**9))),
            _somewhere(rnd, 10**18, 10**28),
            now,
            "",
        )
    )


def _world(deployed: Deployed, pool: CurvePool) -> World:
    world = World(pool.timestamp)
    slots = storage(deployed.block, deployed.address)
    for k, coin in enumerate(deployed.coins):
        slots[deployed.coin_slot + k] = int(coin, 16)
        slots[deployed.balance_slot + k] = pool.balances[k]
        if k or coin != "0x" + NATIVE_COIN.hex():
            world.token(coin, pool.balances[k])
    amps = pool.ramp if len(deployed.amp_slots) == 4 else pool.ramp[:1]
    slots.update(zip(deployed.amp_slots, amps, strict=True))
    slots.update({deployed.fee_slot: pool.fee, deployed.fee_slot + 1: pool.admin_fee, deployed.lp_slot: int(_LP, 16)})
    world.token(_LP, pool.lp_supply)
    world.put(deployed.address, code(deployed.block, deployed.address), slots, balance=10**30)
    return world


def _logs(world: World, address: str) -> list[Log]:
    return [
        Log(bytes.fromhex(address[2:]), tuple(bytes(topic) for topic in log.data[0]), bytes(log.data[1]), 0, k)
        for k, log in enumerate(world.evm.result.logs)
        if log.address.lower() == address
    ]


def _held(world: World, deployed: Deployed) -> tuple[int, ...]:
    return tuple(world.slot(deployed.address, deployed.balance_slot + k) for k in range(len(deployed.coins)))


def _follow(pool: StableSwap, logs: list[Log]) -> StableSwap:
    for log in logs:
        pool = pool.apply(log)
    return pool


@pytest.mark.parametrize("name", sorted(DEPLOYED))
def test_recorded_code_is_known(name: str) -> None:
    deployed = DEPLOYED[name]
    assert KNOWN_CODE[code_hash(deployed.block, deployed.address)] == deployed.implementation


@pytest.mark.parametrize("name", sorted(DEPLOYED))
@pytest.mark.parametrize("seed", range(4))
def test_views_and_exchanges_are_the_contracts(name: str, seed: int) -> None:
    rnd, deployed, exchanged = random.Random(f"{name}{seed}"), DEPLOYED[name], 0
    while exchanged < 100:
        pool = _state(rnd, deployed)
        i, j = rnd.sample(range(len(pool.tokens)), 2)
        dx = _somewhere(rnd, 1, pool.balances[i] * 3)
        world = _world(deployed, pool)
        try:
            (view,) = world.call(deployed.address, "get_dy(int128,int128,uint256)", i, j, dx)
        except Reverted:
            with pytest.raises(Reverts):
                pool.get_dy(i, j, dx)
        else:
            assert pool.get_dy(i, j, dx) == view
        value = dx if pool.tokens[i] == NATIVE_COIN else 0
        try:
            quote = pool.quote(pool.tokens[i], dx, pool.tokens[j])
        except QuoteRefused as refused:
            if refused.reason != "zero_output":
                with pytest.raises(Reverted):
                    world.call(deployed.address, "exchange(int128,int128,uint256,uint256)", i, j, dx, 0, value=value)
            continue
        world.call(deployed.address, "exchange(int128,int128,uint256,uint256)", i, j, dx, quote.amount_out, value=value)
        assert _held(world, deployed) == quote.state.balances
        assert _follow(pool, _logs(world, deployed.address)) == quote.state
        exchanged += 1


@pytest.mark.parametrize("name", sorted(DEPLOYED))
def test_liquidity_is_followed_by_the_logs(name: str) -> None:
    rnd, deployed = random.Random(name), DEPLOYED[name]
    n, done = len(deployed.coins), 0
    native = "0x" + NATIVE_COIN.hex() in deployed.coins
    kinds = ["add_liquidity", "remove_liquidity", "remove_liquidity_imbalance"] + ["remove_liquidity_one_coin"] * (
        name != "susd"
    )
    while done < 100:
        pool, kind = _state(rnd, deployed), rnd.choice(kinds)
        world = _world(deployed, pool)
        shares = [rnd.choice((0, rnd.randint(0, balance // 20))) for balance in pool.balances]
        burned = rnd.randint(1, pool.lp_supply // 10)
        signature, words, value = {
            "add_liquidity": (f"add_liquidity(uint256[{n}],uint256)", [*shares, 0], shares[0] if native else 0),
            "remove_liquidity": (f"remove_liquidity(uint256,uint256[{n}])", [burned] + [0] * n, 0),
            "remove_liquidity_imbalance": (
                f"remove_liquidity_imbalance(uint256[{n}],uint256)", [*shares, 2**255], 0
            ),
            "remove_liquidity_one_coin": (
                "remove_liquidity_one_coin(uint256,int128,uint256)", [burned, rnd.randrange(n), 0], 0
            ),
        }[kind]  # fmt: skip
        try:
            world.call(deployed.address, signature, *words, value=value)
        except Reverted:
            continue
        after = _follow(pool, _logs(world, deployed.address))
        assert after.balances == _held(world, deployed), kind
        assert after.lp_supply == world.slot(_LP, 0), kind
        done += 1


@pytest.mark.parametrize("name", ["3pool", "seth"])
def test_views_of_liquidity_are_the_contracts(name: str) -> None:
    rnd, deployed = random.Random(name), DEPLOYED[name]
    for _ in range(30):
        pool = _state(rnd, deployed)
        world, n = _world(deployed, pool), len(deployed.coins)
        burned, i, deposit = rnd.randint(1, pool.lp_supply // 3), rnd.randrange(n), rnd.random() < 0.5
        amounts = [rnd.randint(0, balance // 3) for balance in pool.balances]
        asked = (
            ("get_virtual_price()", [], pool.virtual_price),
            (
                "calc_withdraw_one_coin(uint256,int128)",
                [burned, i],
                lambda p=pool, b=burned, k=i: p.withdraw_one(b, k)[0],
            ),
            (
                f"calc_token_amount(uint256[{n}],bool)",
                [*amounts, int(deposit)],
                lambda p=pool, a=amounts, d=deposit: p.calc_token_amount(a, deposit=d),
            ),
        )
        for signature, words, ours in asked:
            try:
                (expected,) = world.call(deployed.address, signature, *words)
            except Reverted:
                with pytest.raises(Reverts):
                    ours()
            else:
                assert ours() == expected, signature


# ---------------------------------------------------------------- the next generation

_NG_BLOCK, _NG = "eth_19932148", "0x02950460e2b9529d0e00284a5fa2d7bdf3fa4d72"
_NG_COINS = ("0x4c9edd5852cd905f086c759e8383e09bff1e68b3", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
_NG_DECIMALS = (18, 6)
_STORED, _FEE, _OFFPEG, _AMP, _ADMIN, _SUPPLY, _HOLDERS = 2, 0xA, 0xB, 0xC, 0x11, 0x31, 0x2F
_NG_ADMIN_FEE = 5 * 10**9


def test_a_next_generation_pool_is_known_by_its_code() -> None:
    deployed = code(_NG_BLOCK, _NG)
    found = immutables(deployed)
    assert found.tokens == tuple(bytes.fromhex(coin[2:]) for coin in _NG_COINS)
    assert found.rates == tuple(10 ** (36 - places) for places in _NG_DECIMALS)
    logic = keccak(deployed[:CODE_SIZE])
    assert refusal_of(logic, found.kinds) is None
    assert refusal_of(logic, (0, 2)) == CurveRefusal.REBASING
    assert refusal_of(logic, (0, 3)) == refusal_of(logic, (1, 0)) == CurveRefusal.RATE_ORACLE
    assert refusal_of(keccak(deployed), found.kinds) == CurveRefusal.UNKNOWN_IMPLEMENTATION


def _ng_state(rnd: random.Random) -> tuple[CurveNgPool, tuple[int, int]]:
    """A state, and what of the stored balances is the admin's."""
    now, size = timestamp(_NG_BLOCK), _somewhere(rnd, 10**3, 10**9)
    balances = tuple(_somewhere(rnd, size * 10**places // 10, size * 10**places * 10) for places in _NG_DECIMALS)
    fee = rnd.choice((0, 1_000_000, 4_000_000, rnd.randint(0, 10**8)))
    amps = [_somewhere(rnd, 1000, 100_000) for _ in range(2)]
    plain = (
        bytes.fromhex(_NG[2:]),
        tuple(bytes.fromhex(coin[2:]) for coin in _NG_COINS),
        tuple(10 ** (36 - places) for places in _NG_DECIMALS),
        "ng",
        balances,
        (*amps, now - rnd.randint(1, 10**6), now + rnd.randint(-1000, 10**6)),
        fee,
        _NG_ADMIN_FEE,
        sum(balances[k] * 10 ** (18 - _NG_DECIMALS[k]) for k in range(2)),
        now,
        "",
        rnd.choice((0, 10**10, 2 * 10**10, 5 * 10**10)),
    )
    return CurveNgPool.from_plain(plain), (rnd.randint(0, balances[0]), rnd.randint(0, balances[1]))


#: Behind the code: how many coins (twice), and lists of a length and eight places.
_COUNTS, _LISTS, _PLACES = (0, 1), {"coins": 3, "kinds": 12, "rates": 21, "methods": 30, "oracles": 39}, 8
#: In storage: lengths of what is stored, the admin's and the oracles, and of the last prices, which are one less.
_LENGTHS = {1: 0, 0x10: 0, 0x19: 0, 0x22: -1}


def _ng_code(pool: CurveNgPool) -> bytes:
    """The deployed code with the coins of this pool behind it."""
    deployed, n = code(_NG_BLOCK, _NG), len(pool.tokens)
    tail = [deployed[k : k + 32] for k in range(CODE_SIZE, len(deployed), 32)]
    for k in _COUNTS:
        tail[k] = n.to_bytes(32, "big")
    for name, start in _LISTS.items():
        values = {"coins": [int.from_bytes(coin, "big") for coin in pool.tokens], "rates": pool.rates}.get(
            name, [0] * n
        )
        padded = [n, *values, *[0] * (_PLACES - n)]
        tail[start : start + 1 + _PLACES] = [value.to_bytes(32, "big") for value in padded]
    return deployed[:CODE_SIZE] + b"".join(tail)


def _ng_world(pool: CurveNgPool, admin: Sequence[int]) -> World:
    world, slots = World(pool.timestamp), storage(_NG_BLOCK, _NG)
    slots |= {slot: len(pool.tokens) + less for slot, less in _LENGTHS.items()}
    for k, coin in enumerate(pool.tokens):
        stored = pool.balances[k] + admin[k]
        slots[_STORED + k], slots[_ADMIN + k] = stored, admin[k]
        world.token("0x" + coin.hex(), stored)
    slots.update({_FEE: pool.fee, _OFFPEG: pool.offpeg_multiplier, _SUPPLY: pool.lp_supply})
    slots.update({_AMP + k: value for k, value in enumerate(pool.ramp)})
    holder = int(keccak(_HOLDERS.to_bytes(32, "big") + bytes.fromhex(CALLER[2:]).rjust(32, b"\0")).hex(), 16)
    slots[holder] = pool.lp_supply
    world.put(_NG, _ng_code(pool), slots)
    return world


def _ng_held(world: World, n: int = 2) -> tuple[int, ...]:
    return tuple(world.slot(_NG, _STORED + k) - world.slot(_NG, _ADMIN + k) for k in range(n))


@pytest.mark.parametrize("seed", range(4))
def test_next_generation_exchanges_are_the_contracts(seed: int) -> None:
    rnd, exchanged = random.Random(seed), 0
    while exchanged < 100:
        pool, admin = _ng_state(rnd)
        i = rnd.randrange(2)
        dx = _somewhere(rnd, 1, pool.balances[i])
        world = _ng_world(pool, admin)
        try:
            quote = pool.quote(pool.tokens[i], dx)
        except QuoteRefused as refused:
            if refused.reason != "zero_output":
                with pytest.raises(Reverted):
                    world.call(_NG, "exchange(int128,int128,uint256,uint256)", i, 1 - i, dx, 0)
            continue
        assert world.call(_NG, "exchange(int128,int128,uint256,uint256)", i, 1 - i, dx, 0) == [quote.amount_out]
        assert _ng_held(world) == quote.state.balances
        assert _follow(pool, _logs(world, _NG)) == quote.state
        assert pool.get_dy(i, 1 - i, dx) == quote.amount_out
        exchanged += 1


def test_next_generation_liquidity_is_followed_by_the_logs() -> None:
    rnd, done = random.Random(7), 0
    while done < 100:
        pool, admin = _ng_state(rnd)
        world = _ng_world(pool, admin)
        shares = [rnd.choice((0, rnd.randint(0, balance // 20))) for balance in pool.balances]
        burned, i = rnd.randint(1, pool.lp_supply // 10), rnd.randrange(2)
        signature, words = rnd.choice(
            (
                ("add_liquidity(uint256[],uint256)", [64, 0, 2, *shares]),
                ("remove_liquidity(uint256,uint256[],address,bool)", [burned, 128, int(CALLER, 16), 0, 2, 0, 0]),
                ("remove_liquidity_imbalance(uint256[],uint256)", [64, 2**255, 2, *shares]),
                ("remove_liquidity_one_coin(uint256,int128,uint256)", [burned, i, 0]),
            )
        )
        try:
            world.call(_NG, signature, *words)
        except Reverted:
            continue
        after = pool
        for log in _logs(world, _NG):
            if log.topics[0] in CurveNgPool.LOG_TOPICS:
                after = after.apply(log)
        assert after.balances == _ng_held(world), signature
        assert after.lp_supply == world.slot(_NG, _SUPPLY), signature
        done += 1


def _ng_of(rnd: random.Random, n: int) -> CurveNgPool:
    pool, _ = _ng_state(rnd)
    # No contract of a coin needs to have the usual decimals.
    places = [rnd.choice((0, 6, 8, 18, 24)) for _ in range(n)]
    size = _somewhere(rnd, 10**3, 10**9)
    return CurveNgPool.from_plain(
        msgspec.structs.replace(
            pool,
            tokens=tuple(bytes.fromhex(coin[2:]) for coin in _coins(n)),
            rates=tuple(10 ** (36 - each) for each in places),
            balances=tuple(_somewhere(rnd, size * 10**each // 10, size * 10**each * 10) for each in places),
        ).to_plain()
    )


@pytest.mark.parametrize("n", range(2, 9))
def test_next_generation_pools_of_any_number_of_coins_are_the_contract(n: int) -> None:
    rnd, exchanged = random.Random(n), 0
    while exchanged < 25:
        pool = _ng_of(rnd, n)
        i, j = rnd.sample(range(n), 2)
        dx = _somewhere(rnd, 1, pool.balances[i])
        admin = [rnd.randint(0, balance // 10) for balance in pool.balances]
        world = _ng_world(pool, admin)
        assert carry_out(CurveNgPool.read(Found("", pool.address, b""), None, pool.timestamp), world.answer) == pool
        try:
            quote = pool.quote(pool.tokens[i], dx, pool.tokens[j])
        except QuoteRefused as refused:
            if refused.reason != "zero_output":
                with pytest.raises(Reverted):
                    world.call(_NG, "exchange(int128,int128,uint256,uint256)", i, j, dx, 0)
            continue
        assert world.call(_NG, "exchange(int128,int128,uint256,uint256)", i, j, dx, 0) == [quote.amount_out]
        assert (
            tuple(world.slot(_NG, _STORED + k) - world.slot(_NG, _ADMIN + k) for k in range(n)) == quote.state.balances
        )
        assert _follow(pool, _logs(world, _NG)) == quote.state
        exchanged += 1


@pytest.mark.slow
def test_ten_thousand_exchanges_of_each_generation_are_the_contracts() -> None:
    for seed in range(1000, 1034):
        for name in sorted(DEPLOYED):
            test_views_and_exchanges_are_the_contracts(name, seed)
    for seed in range(1000, 1100):
        test_next_generation_exchanges_are_the_contracts(seed)
