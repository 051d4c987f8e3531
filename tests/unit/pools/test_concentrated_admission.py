"""Finding and reading pools of concentrated liquidity: what announces one, and every way in which an address is none, by tables of answers."""

from __future__ import annotations

from typing import Any

import pytest

from infra.chain.keccak import keccak
from operators.pools.base import AdmissionReason, AdmissionRefused, Found
from operators.pools.concentrated import ConcentratedPool
from operators.pools.concentrated_storage import mapped, read_ticks, slot_key
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import POOL_CREATED_TOPIC, V3Pool, pool_address
from operators.pools.uniswap_v4 import DYNAMIC_FEE, INITIALIZE_TOPIC, V4Pool, pool_id_of, pool_key
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_TICK, sqrt_price_at
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.plain import pack_plain
from schemas.reads import Read, Reading, Slot, View
from tests.unit.pools.reading_driver import carry_out, table

T0, T1, MAKER, DEPLOYER, OTHER, HOOK = (bytes([number]) * 20 for number in (2, 3, 8, 9, 10, 11))
Q96 = 1 << 96
CODE_HASH = b"\x77" * 32
# The deployed factories of mainnet: address, what deploys their pools, the hash of the pools' creation code.
UNISWAP = FactoryConfig(
    name="uniswap_v3",
    family="uniswap_v3",
    address="0x1f98431c8ad98523631ae4a59f267346ea31f984",  # type: ignore[arg-type]
    init_code_hash="0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54",  # type: ignore[arg-type]
)
PANCAKE = FactoryConfig(
    name="pancake_v3",
    family="pancake_v3",
    address="0x0bfbcf9fa4f9c56b0f40a671ad40e0805a091865",  # type: ignore[arg-type]
    deployer="0x41ff9aa7e16b8b1a8a8dc4f0efacd93d02d071c9",  # type: ignore[arg-type]
    init_code_hash="0x6ce8eb472fa82df5469c6ab6d485f17c3ad13c8cd7af59b3d4a8026c5ce0f7e2",  # type: ignore[arg-type]
)
USDC, WETH = (
    bytes.fromhex(token)
    for token in ("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
)


def maker(family: type[ConcentratedPool], **changed: Any) -> FactoryConfig:
    fields: dict[str, Any] = {"name": "maker", "family": family.FAMILY, "address": MAKER}
    if family is not V4Pool:
        fields |= {"init_code_hash": CODE_HASH}
    return FactoryConfig(**fields | changed)


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big", signed=value < 0)


def log(topic: bytes, *topics: int | bytes, data: tuple[int | bytes, ...] = (), address: bytes = MAKER) -> Log:
    return Log(address, (topic, *map(word, topics)), b"".join(map(word, data)), 0, 0)


def done(reading: Reading[Any]) -> Any:
    """The result of a reading that asks for nothing."""
    return carry_out(reading, table({}))


# ---------------------------------------------------------------- what announces a pool


def created(pool: bytes = b"\x15" * 20, **fields: Any) -> Log:
    return log(POOL_CREATED_TOPIC, T0, T1, 3000, data=(60, pool), **fields)


def initialize(fee: int = 3000, spacing: int = 60, hooks: bytes = bytes(20), pool_id: bytes = b"") -> Log:
    name = pool_id or pool_id_of(T0, T1, fee, spacing, hooks)
    return log(INITIALIZE_TOPIC, name, T0, T1, data=(fee, spacing, hooks, Q96, 0))


def test_topics_are_the_hashes_of_the_events() -> None:
    assert keccak(b"PoolCreated(address,address,uint24,int24,address)") == POOL_CREATED_TOPIC
    assert (V3Pool.FACTORY_TOPICS, PancakeV3Pool.FACTORY_TOPICS) == ((POOL_CREATED_TOPIC,),) * 2
    assert V4Pool.FACTORY_TOPICS == (INITIALIZE_TOPIC,)
    assert not any(family.TIMED for family in (V3Pool, PancakeV3Pool, V4Pool))


@pytest.mark.parametrize("family", [V3Pool, PancakeV3Pool])
def test_a_factory_announces_each_pool_once_and_in_order(family: type[V3Pool]) -> None:
    first, second = b"\x15" * 20, b"\x14" * 20
    good = created(first)
    noise = [
        created(b"\x16" * 20, address=OTHER),
        log(b"\7" * 32, T0, T1, 3000, data=(60, b"\x16" * 20)),
        log(POOL_CREATED_TOPIC, T0, T1, data=(60, b"\x16" * 20)),
        log(POOL_CREATED_TOPIC, T0, T1, 3000, data=(60,)),
        Log(MAKER, good.topics, good.data[:-1], 0, 0),
        log(POOL_CREATED_TOPIC, T0, T1, 3000, data=(60, b"\x16" * 21)),
        Log(MAKER, (), b"", 0, 0),
    ]
    found = done(family.announced([good, *noise, created(second), good], maker(family)))
    assert found == (Found(family.FAMILY, first, MAKER), Found(family.FAMILY, second, MAKER))


def test_a_manager_announces_each_pool_once_with_its_key() -> None:
    pool_id = pool_id_of(T0, T1, 3000, 60, bytes(20))
    good = initialize()
    noise = [
        Log(OTHER, good.topics, good.data, 0, 0),
        Log(MAKER, good.topics[:3], good.data, 0, 0),
        Log(MAKER, good.topics, good.data[:-1], 0, 0),
        # An id that is not the hash of the key, tokens out of order, and a spacing that no manager takes.
        initialize(pool_id=b"\x21" * 32),
        log(INITIALIZE_TOPIC, pool_id, T1, T0, data=(3000, 60, bytes(20), Q96, 0)),
        initialize(spacing=1 << 15),
    ]
    found = done(V4Pool.announced([good, *noise, good, initialize(500, 10)], maker(V4Pool)))
    assert [entry.address for entry in found] == [
        pool_key(MAKER, pool_id),
        pool_key(MAKER, pool_id_of(T0, T1, 500, 10, bytes(20))),
    ]
    assert found[0] == Found("uniswap_v4", pool_key(MAKER, pool_id), MAKER, pack_plain((T0, T1, 3000, 60, bytes(20))))


def test_pools_of_mainnet_are_where_their_factories_put_them() -> None:
    for factory, fee, pool in (
        (UNISWAP, 500, "88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"),
        (UNISWAP, 3000, "8ad599c3a0ff1de082011efddc58f1908eb6e6d8"),
        (PANCAKE, 500, "1ac1a8feaaea1900c4166deeed0c11cc10669d36"),
    ):
        assert pool_address(factory, USDC, WETH, fee).hex() == pool


# ---------------------------------------------------------------- storage of a pool that is right


def packed(net: int, gross: int) -> bytes:
    return ((net % (1 << 128)) << 128 | gross).to_bytes(32, "big")


def ticks_at(holder: bytes, ticks: int, bitmap: int, spacing: int, held: dict[int, tuple[int, int]]) -> dict[Read, Any]:
    words: dict[int, int] = {}
    answers: dict[Read, Any] = {}
    for tick, entry in held.items():
        words[tick // spacing >> 8] = words.get(tick // spacing >> 8, 0) | 1 << (tick // spacing & 255)
        answers[Slot(holder, slot_key(mapped(tick, ticks)))] = packed(*entry)
    return answers | {
        Slot(holder, slot_key(mapped(word_, bitmap))): bits.to_bytes(32, "big") for word_, bits in words.items()
    }


HELD = {-600: (10**18, 10**18), 600: (-(10**18), 10**18)}


def v3_answers(family: type[V3Pool], factory: FactoryConfig, **changed: Any) -> tuple[Found, dict[Read, Any]]:
    """A pool at a price of 1 with one position, as the chain has it; `changed` are views by name, and `held`."""
    address = pool_address(factory, T0, T1, 3000)
    views: dict[str, tuple[int | bytes, ...]] = {
        "token0()": (T0,),
        "token1()": (T1,),
        "fee()": (3000,),
        "tickSpacing()": (60,),
        "liquidity()": (10**18,),
        "slot0()": (Q96, 0, 2, 3, 4, 0, 1),
    }
    held = changed.pop("held", HELD)
    stored = views["slot0()"], views["liquidity()"]
    views |= {f"{name}()": value for name, value in changed.items()}
    answers: dict[Read, Any] = {
        View(address, keccak(name.encode())[:4]): b"".join(map(word, value)) for name, value in views.items()
    }
    (price, tick, *_), (liquidity,) = stored
    layout = family._STORAGE
    answers[Slot(address, slot_key(0))] = (price | tick % (1 << 24) << 160 | 1 << 240).to_bytes(32, "big")
    answers[Slot(address, slot_key(family._LIQUIDITY_SLOT))] = word(liquidity)
    answers |= ticks_at(address, layout.ticks, layout.bitmap, 60, held)
    return Found(family.FAMILY, address, factory.address), answers


def v4_answers(**changed: Any) -> tuple[Found, dict[Read, Any]]:
    pool_id = pool_id_of(T0, T1, 3000, 60, bytes(20))
    first = int.from_bytes(keccak(pool_id + word(6)), "big")
    fields = {"price": Q96, "tick": 0, "fee": 3000, "protocol": 5, "liquidity": 10**18, "held": HELD} | changed
    slot0 = fields["price"] | fields["tick"] % (1 << 24) << 160 | fields["protocol"] << 184 | fields["fee"] << 208
    answers: dict[Read, Any] = {
        Slot(MAKER, slot_key(first)): slot0.to_bytes(32, "big"),
        Slot(MAKER, slot_key(first + 3)): word(fields["liquidity"]),
    }
    answers |= ticks_at(MAKER, first + 4, first + 5, 60, fields["held"])
    seed = pack_plain((T0, T1, 3000, 60, bytes(20)))
    return Found("uniswap_v4", pool_key(MAKER, pool_id), MAKER, seed), answers


@pytest.mark.parametrize("family", [V3Pool, PancakeV3Pool])
@pytest.mark.parametrize("deployer", [None, DEPLOYER])
def test_a_pool_is_read(family: type[V3Pool], deployer: bytes | None) -> None:
    factory = maker(family, deployer=deployer)
    found, answers = v3_answers(family, factory)
    pool = carry_out(family.read(found, factory, 7), table(answers))
    assert (pool.address, pool.tokens, pool.fee_pips, pool.tick_spacing) == (found.address, (T0, T1), 3000, 60)
    assert (pool.sqrt_price, pool.tick, pool.liquidity, pool.observation, pool.observations) == (Q96, 0, 10**18, 2, 4)
    assert [(tick, tuple(pool.ticks.held(at))) for at, tick in enumerate(pool.ticks.index)] == list(HELD.items())
    assert pool.tradable and pool.holder == pool.address and pool.log_sources == (pool.address,)
    assert family.key_of(log(b"\1" * 32, address=pool.address)) == pool.address


def test_a_pool_of_the_singleton_is_read() -> None:
    found, answers = v4_answers()
    pool = carry_out(V4Pool.read(found, maker(V4Pool), 7), table(answers))
    assert (pool.address, pool.tokens, pool.protocol_fee, pool.liquidity) == (found.address, (T0, T1), 5, 10**18)
    assert pool.tradable and pool.holder == MAKER and pool.log_sources == (MAKER,)
    assert {entry.address for entry in pool.slots()} == {MAKER}


def test_a_pool_without_a_price_costs_one_round() -> None:
    factory = maker(V3Pool)
    found, answers = v3_answers(V3Pool, factory, slot0=(0, 0, 0, 0, 0, 0, 0), liquidity=(0,), held={})
    answers = {read: answer for read, answer in answers.items() if isinstance(read, View)}
    pool = carry_out(V3Pool.read(found, factory, 0), table(answers))
    assert (pool.tradable, pool.refusal, pool.observations) == (False, "", 1)


@pytest.mark.parametrize(("fee", "hooks", "refusal"), [(3000, HOOK, "hooks"), (DYNAMIC_FEE, bytes(20), "dynamic_fee")])
def test_what_is_not_modelled_comes_back_refused_and_costs_nothing(fee: int, hooks: bytes, refusal: str) -> None:
    pool_id = pool_id_of(T0, T1, fee, 60, hooks)
    found = Found("uniswap_v4", pool_key(MAKER, pool_id), MAKER, pack_plain((T0, T1, fee, 60, hooks)))
    pool = done(V4Pool.read(found, maker(V4Pool), 0))
    assert (pool.refusal, pool.tradable, pool.pool_id) == (refusal, False, pool_id)
    assert pool == V4Pool.from_initialize(initialize(fee, 60, hooks))


@pytest.mark.parametrize("spacing", [1, 10, 60, 200, 16_383, 32_767])
def test_all_words_are_read_up_to_the_outermost_ticks(spacing: int) -> None:
    last = MAX_TICK // spacing * spacing
    layout = V3Pool._STORAGE
    held = {-last: (5, 5), 0: (-1, 7), last: (-4, 4)}
    asked: list[Read] = []
    answers = table(ticks_at(T0, layout.ticks, layout.bitmap, spacing, held))

    def answer(read: Read) -> bytes | None:
        asked.append(read)
        return answers(read)

    found = carry_out(read_ticks(T0, layout, spacing), answer)
    assert found == [(tick, *entry) for tick, entry in held.items()]
    words = (last // spacing >> 8) - (-last // spacing >> 8) + 1
    assert len(asked) == words + 3


# ---------------------------------------------------------------- every way to be none


def refused(reading: Reading[Any], answers: dict[Read, Any]) -> AdmissionRefused:
    with pytest.raises(AdmissionRefused) as caught:
        carry_out(reading, table(answers))
    return caught.value


@pytest.mark.parametrize("family", [V3Pool, PancakeV3Pool])
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"token0": ()}, AdmissionReason.NOT_THIS_FAMILY),
        ({"token1": (T1, 0)}, AdmissionReason.NOT_THIS_FAMILY),
        ({"slot0": (Q96, 0, 0, 1, 1, 1)}, AdmissionReason.NOT_THIS_FAMILY),
        ({"token0": (b"\1" * 21,)}, AdmissionReason.NOT_THIS_FAMILY),
        ({"fee": (1_000_000,)}, AdmissionReason.NOT_THIS_FAMILY),
        ({"fee": (1 << 255,)}, AdmissionReason.NOT_THIS_FAMILY),
        ({"fee": (500,)}, AdmissionReason.UNKNOWN_FACTORY),
        ({"token0": (OTHER,)}, AdmissionReason.UNKNOWN_FACTORY),
        ({"slot0": (Q96 + 1, 0, 2, 3, 4, 0, 1)}, AdmissionReason.BAD_STATE),
        ({"slot0": (Q96, 1, 2, 3, 4, 0, 1)}, AdmissionReason.BAD_STATE),
        ({"slot0": (Q96, 0, 9, 3, 4, 0, 1)}, AdmissionReason.BAD_STATE),
        ({"slot0": (Q96, 0, 2, 3, 4, 1 << 40, 1)}, AdmissionReason.BAD_STATE),
        ({"slot0": (Q96, 0, 2, 3, 4, -1, 1)}, AdmissionReason.BAD_STATE),
        ({"liquidity": (10**18 + 1,)}, AdmissionReason.BAD_STATE),
        ({"tickSpacing": (0,)}, AdmissionReason.BAD_STATE),
        ({"tickSpacing": (-60,)}, AdmissionReason.BAD_STATE),
        ({"tickSpacing": (1 << 15,)}, AdmissionReason.BAD_STATE),
        ({"tickSpacing": (1 << 255,)}, AdmissionReason.BAD_STATE),
        ({"tickSpacing": (61,)}, AdmissionReason.BAD_STATE),
        ({"held": {}}, AdmissionReason.BAD_STATE),
        ({"held": HELD | {660: (1, 1)}}, AdmissionReason.BAD_STATE),
        ({"held": HELD | {660: (0, 0)}}, AdmissionReason.BAD_STATE),
        ({"held": HELD | {660: (2, 1)}}, AdmissionReason.BAD_STATE),
        ({"held": HELD | {887_280: (0, 1)}}, AdmissionReason.BAD_STATE),
        ({"held": {-600: (10**18, 10**18), 0: (-(10**18), 10**18)}}, AdmissionReason.BAD_STATE),
    ],
)
def test_what_is_no_pool_is_refused(family: type[V3Pool], changed: dict[str, Any], reason: AdmissionReason) -> None:
    factory = maker(family)
    found, answers = v3_answers(family, factory, **changed)
    error = refused(family.read(found, factory, 0), answers)
    assert error.reason is reason
    assert found.address.hex() in error.detail


def test_a_pool_is_of_the_factory_that_its_address_proves() -> None:
    factory = maker(V3Pool)
    found, answers = v3_answers(V3Pool, factory)
    for other in (None, maker(V3Pool, address=OTHER), maker(V3Pool, deployer=OTHER), maker(PancakeV3Pool)):
        assert refused(V3Pool.read(found, other, 0), answers).reason is AdmissionReason.UNKNOWN_FACTORY
    assert refused(V3Pool.read(found, factory, 0), {}).reason is AdmissionReason.NOT_THIS_FAMILY
    # Both families answer alike: it is the factory that tells them apart.
    assert refused(PancakeV3Pool.read(found, factory, 0), answers).reason is AdmissionReason.UNKNOWN_FACTORY


@pytest.mark.parametrize(
    "changed",
    [
        {"price": 0},
        {"fee": 500},
        {"price": MAX_SQRT_PRICE, "tick": MAX_TICK - 1},
        {"price": sqrt_price_at(61), "tick": 59},
        {"tick": MIN_TICK - 1},
        {"protocol": 1001},
        {"liquidity": 7},
        {"liquidity": 1 << 128},
        {"held": {}},
        {"held": HELD | {660: (0, 0)}},
        {"held": HELD | {660: (1, 1)}},
    ],
)
def test_what_is_no_pool_of_the_singleton_is_refused(changed: dict[str, Any]) -> None:
    found, answers = v4_answers(**changed)
    error = refused(V4Pool.read(found, maker(V4Pool), 0), answers)
    assert error.reason is AdmissionReason.BAD_STATE
    assert found.address.hex() in error.detail


@pytest.mark.parametrize(
    "seed",
    [
        b"",
        b"\xff" * 9,
        pack_plain(()),
        pack_plain((T0, T1, 3000, 60)),
        pack_plain((T0, T1, "3000", 60, bytes(20))),
        pack_plain((T0, T1, 500, 10, bytes(20))),
        pack_plain((T0, T1, -1, 60, bytes(20))),
        pack_plain((T0, T1, 1 << 256, 60, bytes(20))),
        pack_plain((T0[1:], T1, 3000, 60, bytes(20))),
        pack_plain((T1, T0, 3000, 60, bytes(20))),
        pack_plain((T0, T1, 3000, 60, HOOK)),
    ],
)
def test_a_pool_of_the_singleton_comes_with_its_key(seed: bytes) -> None:
    found, answers = v4_answers()
    error = refused(V4Pool.read(found._replace(seed=seed), maker(V4Pool), 0), answers)
    assert error.reason is AdmissionReason.NOT_THIS_FAMILY
    assert found.address.hex() in error.detail


def test_a_pool_of_another_manager_is_of_no_factory_of_ours() -> None:
    found, answers = v4_answers()
    for factory in (None, maker(V4Pool, address=OTHER), maker(V3Pool)):
        assert refused(V4Pool.read(found, factory, 0), answers).reason is AdmissionReason.UNKNOWN_FACTORY


def test_no_token_is_asked_for_its_decimals() -> None:
    """With 0 or 77 of them a pool is the same: amounts are base units, and nothing but the pool's own contract is read."""
    factory = maker(V3Pool)
    found, answers = v3_answers(V3Pool, factory)
    asked: list[Read] = []

    def answer(read: Read) -> bytes | None:
        asked.append(read)
        return table(answers)(read)

    assert carry_out(V3Pool.read(found, factory, 0), answer).quote(T0, 10**6).amount_out > 0
    assert {read.to if isinstance(read, View) else read.address for read in asked} == {found.address}
