"""How V2 pairs are found and read: from the factory's logs and the pair's own answers, given from a table and by the deployed code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.chain.keccak import keccak
from operators.pools.base import AdmissionReason, AdmissionRefused, Found
from operators.pools.uniswap_v2 import (
    GET_RESERVES,
    PAIR_CREATED_TOPIC,
    TOKEN0,
    TOKEN1,
    UINT112_MAX,
    V2Pool,
    pair_address,
)
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.reads import Code, Read, Slot, View
from tests.unit.pools import pair_in_evm
from tests.unit.pools.reading_driver import carry_out, table

T0, T1, OTHER = (bytes([number]) * 20 for number in (2, 3, 9))
FACTORY = FactoryConfig(name="fork", address=b"\x5c" * 20, init_code_hash=b"\x96" * 32, fee_pips=2500)
# Pairs have their address from factory and tokens, so the address is the last thing to be known.
PAIR = pair_address(FACTORY, T0, T1)
assert PAIR is not None
FOUND = Found("uniswap_v2", PAIR, FACTORY.address)
TIME = 1_700_000_000


def word(value: bytes | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def answers(reserve0: int = 5, reserve1: int = 7) -> dict[Read, bytes | None]:
    return {
        View(FOUND.address, TOKEN0): word(T0),
        View(FOUND.address, TOKEN1): word(T1),
        View(FOUND.address, GET_RESERVES): word(reserve0) + word(reserve1) + word(TIME),
    }


def read(given: dict[Read, bytes | None], factory: FactoryConfig | None = FACTORY, found: Found = FOUND) -> V2Pool:
    return carry_out(V2Pool.read(found, factory, TIME), table(given))


def refusal(given: dict[Read, bytes | None], factory: FactoryConfig | None = FACTORY) -> AdmissionRefused:
    with pytest.raises(AdmissionRefused) as caught:
        read(given, factory)
    assert FOUND.address.hex() in caught.value.detail
    return caught.value


# ---------------------------------------------------------------- what a pair answers


def test_selectors_and_topic() -> None:
    assert keccak(b"PairCreated(address,address,address,uint256)") == PAIR_CREATED_TOPIC
    for signature, selector in ((b"token0()", TOKEN0), (b"token1()", TOKEN1), (b"getReserves()", GET_RESERVES)):
        assert keccak(signature)[:4] == selector


def test_a_pair_is_read_in_one_round_with_its_factorys_fee() -> None:
    assert read(answers()) == V2Pool(FOUND.address, T0, T1, 2500, 5, 7)


@pytest.mark.parametrize("reserves", [(0, 0), (0, 7), (7, 0)])
def test_an_empty_pair_is_one_that_nobody_trades(reserves: tuple[int, int]) -> None:
    pool = read(answers(*reserves))
    assert (pool.reserve0, pool.reserve1) == reserves
    assert not pool.tradable
    assert not pool.refusal


def test_reserves_at_the_edge_and_beyond() -> None:
    assert read(answers(UINT112_MAX, UINT112_MAX)).reserve1 == UINT112_MAX
    for beyond in ((UINT112_MAX + 1, 1), (1, UINT112_MAX + 1), (2**256 - 1, 0)):
        assert refusal(answers(*beyond)).reason is AdmissionReason.BAD_STATE


@pytest.mark.parametrize("question", [TOKEN0, TOKEN1, GET_RESERVES])
@pytest.mark.parametrize(
    "answer", [None, b"", bytes(31), bytes(32), bytes(33), b"\xff" * 32, b"\xff" * 64, bytes(95), bytes(97)]
)
def test_what_answers_otherwise_is_no_pair(question: bytes, answer: bytes | None) -> None:
    given = answers() | {View(FOUND.address, question): answer}
    assert refusal(given).reason is AdmissionReason.NOT_THIS_FAMILY


def test_an_address_without_code_is_no_pair() -> None:
    assert refusal({}).reason is AdmissionReason.NOT_THIS_FAMILY


@given(st.lists(st.none() | st.binary(max_size=100), min_size=3, max_size=3))
def test_garbage_is_refused_and_nothing_else(garbage: list[bytes | None]) -> None:
    given = dict(zip(answers(), garbage, strict=True))
    assert refusal(given).reason in AdmissionReason


# ---------------------------------------------------------------- whose pair it is


@pytest.mark.parametrize(
    "factory",
    [
        None,
        FACTORY.model_copy(update={"address": b"\x5d" * 20}),
        FACTORY.model_copy(update={"init_code_hash": b"\x97" * 32}),
        FACTORY.model_copy(update={"init_code_hash": None}),
        FACTORY.model_copy(update={"deployer": b"\x5d" * 20}),
        FACTORY.model_copy(update={"variant": "with_a_twist"}),
    ],
    ids=["none", "address", "code", "no code", "deployer", "variant"],
)
def test_a_pair_of_another_factory_is_refused(factory: FactoryConfig | None) -> None:
    assert refusal(answers(), factory).reason is AdmissionReason.UNKNOWN_FACTORY


@pytest.mark.parametrize(("token0", "token1"), [(T1, T0), (T0, T0), (T0, OTHER), (OTHER, T1)])
def test_a_pair_of_other_tokens_than_its_address_says_is_refused(token0: bytes, token1: bytes) -> None:
    given = answers() | {View(FOUND.address, TOKEN0): word(token0), View(FOUND.address, TOKEN1): word(token1)}
    assert refusal(given).reason is AdmissionReason.UNKNOWN_FACTORY


def test_a_deployer_of_its_own_makes_the_address() -> None:
    apart = FACTORY.model_copy(update={"address": b"\x01" * 20, "deployer": FACTORY.address})
    assert read(answers(), apart).address == FOUND.address


def test_the_known_pair_of_mainnet() -> None:
    """USDC/WETH of Uniswap V2, whose address everybody knows."""
    uniswap = FactoryConfig(
        name="uniswap_v2",
        address=bytes.fromhex("5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"),
        init_code_hash=bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"),
    )
    usdc = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
    weth = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
    assert pair_address(uniswap, usdc, weth) == bytes.fromhex("b4e16d0168e52d35cacd2c6185b44281ec28c9dc")


# ---------------------------------------------------------------- the deployed code answers


def test_the_deployed_pair_answers_as_the_reading_asks() -> None:
    pair = pair_in_evm.Pair((10**18, 3 * 10**12), (17, 4))

    def answer(read: Read) -> bytes | None:
        assert isinstance(read, View) and not isinstance(read, Slot | Code)
        return pair.view(read.data)

    found = Found("uniswap_v2", pair_in_evm.PAIR, FACTORY.address)
    # Where a test puts the pair is not where its factory would: everything but the address is right.
    with pytest.raises(AdmissionRefused) as caught:
        carry_out(V2Pool.read(found, FACTORY, TIME), answer)
    assert caught.value.reason is AdmissionReason.UNKNOWN_FACTORY
    assert pair_in_evm.TOKEN0.hex() in caught.value.detail and pair_in_evm.TOKEN1.hex() in caught.value.detail


def test_the_deployed_pair_at_its_factorys_address_is_admitted() -> None:
    """Tokens and factory chosen, the pair's code where they put it: the whole reading, answered by the code."""
    factory = FACTORY
    place = pair_address(factory, pair_in_evm.TOKEN0, pair_in_evm.TOKEN1)
    assert place is not None
    pair = pair_in_evm.Pair((10**18, 3 * 10**12), (17, 4), place)

    def answer(read: Read) -> bytes | None:
        assert isinstance(read, View) and read.to == place
        return pair.view(read.data)

    pool = carry_out(V2Pool.read(Found("uniswap_v2", place, factory.address), factory, TIME), answer)
    # What was sent to the pair but not yet swapped for is no reserve.
    assert pool == V2Pool(place, pair_in_evm.TOKEN0, pair_in_evm.TOKEN1, 2500, 10**18, 3 * 10**12)


# ---------------------------------------------------------------- what a factory announces


def created(pair: bytes, *, factory: bytes = FACTORY.address) -> Log:
    return Log(factory, (PAIR_CREATED_TOPIC, word(T0), word(T1)), word(pair) + word(1), 0, 0)


def announced(*logs: Log) -> tuple[Found, ...]:
    reading = V2Pool.announced(logs, FACTORY)

    def nothing(read: Read) -> bytes | None:
        raise AssertionError(f"a factory's log names its pair, and {read} was asked")

    return carry_out(reading, nothing)


def test_pairs_are_announced_in_order_and_each_once() -> None:
    one, two = b"\x11" * 20, b"\x12" * 20
    logs = created(two), created(one), created(two), created(one)
    assert announced(*logs) == tuple(Found("uniswap_v2", pair, FACTORY.address) for pair in (two, one))


@pytest.mark.parametrize(
    "log",
    [
        created(OTHER, factory=b"\x5d" * 20),
        Log(FACTORY.address, (), bytes(64), 0, 0),
        Log(FACTORY.address, (b"\x07" * 32, word(T0), word(T1)), bytes(64), 0, 0),
        Log(FACTORY.address, (PAIR_CREATED_TOPIC, word(T0)), bytes(64), 0, 0),
        Log(FACTORY.address, (PAIR_CREATED_TOPIC, word(T0), word(T1), word(1)), bytes(64), 0, 0),
        Log(FACTORY.address, (PAIR_CREATED_TOPIC, word(T0), word(T1)), bytes(63), 0, 0),
        Log(FACTORY.address, (PAIR_CREATED_TOPIC, word(T0), word(T1)), b"", 0, 0),
        Log(FACTORY.address, (PAIR_CREATED_TOPIC, word(T0), word(T1)), b"\x01" * 64, 0, 0),
    ],
    ids=["another's", "no topic", "other topic", "two topics", "four topics", "short", "empty", "no address"],
)
def test_what_is_no_announcement_is_passed_over(log: Log) -> None:
    assert announced(log) == ()
    assert announced(log, created(OTHER)) == (Found("uniswap_v2", OTHER, FACTORY.address),)


def test_the_key_is_the_contract() -> None:
    assert V2Pool.key_of(Log(OTHER, (), b"", 0, 0)) == OTHER
