"""Curve pools as they are read: deployed code in an EVM with any state, and pools of every kind that is not modelled."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from eth_abi import encode

from infra.chain.keccak import keccak
from operators.pools.base import AdmissionReason, AdmissionRefused, Found, Limits, QuoteRefused
from operators.pools.curve import KNOWN_CODE, TOKEN_EXCHANGE, CurvePool
from operators.pools.curve_factories import META_DEPLOYED, PLAIN_DEPLOYED, PLAIN_NG_DEPLOYED
from operators.pools.curve_layout import NG, PLAIN
from operators.pools.curve_ng import CODE_SIZE, CurveNgPool
from operators.pools.stableswap import NATIVE_COIN, CurveRefusal, StableSwap
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.plain import pack_plain, unpack_plain
from schemas.reads import Code, Read, Slot, View
from tests.acceptance.onchain_answers import answers_and_states
from tests.acceptance.pool_checks.curve import plain_pool
from tests.shared_data import DATA, needs_data
from tests.unit.pools.reading_driver import carry_out, table
from tests.unit.pools.recorded_contracts import Reverted, World, code, storage, timestamp
from tests.unit.pools.test_curve_bytecode import _NG, _NG_BLOCK, DEPLOYED, _ng_state, _ng_world, _state, _world

A, T0, T1, T2, FACTORY = (bytes([number]) * 20 for number in (1, 2, 3, 4, 9))
FAMILIES: tuple[type[StableSwap], ...] = (CurvePool, CurveNgPool)


def read(family: type[StableSwap], address: bytes, answer: Any, now: int = 0) -> StableSwap:
    """The pool as the family reads it, through the form in which it travels."""
    state = carry_out(family.read(Found(family.FAMILY, address, b""), None, now), answer)
    assert family.from_plain(unpack_plain(pack_plain(state.to_plain()))) == state
    return state


# ---------------------------------------------------------------- deployed contracts


@needs_data
@pytest.mark.parametrize("name", sorted(DEPLOYED))
def test_a_plain_pool_is_read_as_it_is(name: str) -> None:
    rnd, deployed = random.Random(name), DEPLOYED[name]
    refusal = CurveRefusal.NATIVE_COIN.value if name == "seth" else ""
    for _ in range(20):
        pool = msgspec.structs.replace(_state(rnd, deployed), refusal=refusal)
        world = _world(deployed, pool)
        assert read(CurvePool, pool.address, world.answer, pool.timestamp) == pool
        with pytest.raises(AdmissionRefused, match="not_this_family"):
            read(CurveNgPool, pool.address, world.answer)


@needs_data
def test_a_next_generation_pool_is_read_as_it_is() -> None:
    rnd = random.Random(1)
    for _ in range(20):
        pool, admin = _ng_state(rnd)
        world = _ng_world(pool, admin)
        assert read(CurveNgPool, pool.address, world.answer, pool.timestamp) == pool
        with pytest.raises(AdmissionRefused, match="not_this_family"):
            read(CurvePool, pool.address, world.answer)


@needs_data
@pytest.mark.parametrize("name", ["3pool", "susd"])
def test_a_pool_that_was_stopped_is_refused(name: str) -> None:
    deployed = DEPLOYED[name]
    even = tuple(10**6 * 10**places for places in deployed.decimals)
    pool = msgspec.structs.replace(_state(random.Random(1), deployed), balances=even, fee=4_000_000)
    trade = (deployed.address, "exchange(int128,int128,uint256,uint256)", 0, 1, 10**18, 0)
    _world(deployed, pool).call(*trade)
    stopped = _world(deployed, pool)
    stopped.store(deployed.address, PLAIN[name].killed, 1)
    assert read(CurvePool, pool.address, stopped.answer).refusal == CurveRefusal.KILLED
    with pytest.raises(Reverted):
        stopped.call(*trade)


@needs_data
def test_the_recorded_tripool_is_read_with_its_ramp_and_answers_what_the_chain_did() -> None:
    answers, states, _ = answers_and_states(DATA, frozenset({"get_dy"}))
    address = "0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7"
    (state,) = (state for (pool, _), state in states.items() if pool == address)
    recorded = plain_pool(state)
    found = read(CurvePool, recorded.address, table(slots_of(recorded)), recorded.timestamp)
    assert found == recorded
    symbols = [token["symbol"] for token in state["tokens"]]
    pairs = [
        (symbols.index(sold), symbols.index(bought), answer)
        for answer in answers
        if answer.pool == address
        for part in answer.parts
        if "->" in part
        for sold, _, bought in (part.partition("->"),)
    ]
    assert pairs
    for i, j, answer in pairs:
        assert found.get_dy(i, j, answer.amount) == answer.value


def slots_of(pool: CurvePool) -> dict[Read, bytes | None]:
    """What a chain answers that has this pool."""
    deployed = DEPLOYED[pool.implementation]
    layout, token = PLAIN[pool.implementation], b"\x77" * 20
    lists = [int.from_bytes(coin, "big") for coin in pool.tokens] + list(pool.balances)
    amp = pool.ramp if len(layout.amp) == 4 else pool.ramp[:1]
    values = [*lists, pool.fee, pool.admin_fee, int.from_bytes(token, "big"), 0, *amp]
    answers: dict[Read, bytes | None] = {
        Slot(pool.address, slot.to_bytes(32, "big")): value.to_bytes(32, "big")
        for slot, value in zip(layout.state_slots(), values, strict=True)
    }
    answers[Code(pool.address)] = code(deployed.block, deployed.address)
    answers[View(token, _call("totalSupply()"))] = pool.lp_supply.to_bytes(32, "big")
    return answers


@needs_data
def test_an_answer_that_is_missing_has_a_reason() -> None:
    pool = _state(random.Random(1), DEPLOYED["3pool"])
    answers = slots_of(pool)
    without_supply = {read: answer for read, answer in answers.items() if not isinstance(read, View)}
    with pytest.raises(AdmissionRefused) as refused:
        read(CurvePool, pool.address, table(without_supply))
    assert refused.value.reason is AdmissionReason.BAD_STATE
    for slot in (PLAIN["3pool"].amp[0], PLAIN["3pool"].coins):
        with pytest.raises(AdmissionRefused) as refused:
            read(CurvePool, pool.address, table({**answers, _slot(pool, slot): bytes(32)}))
        assert refused.value.reason is AdmissionReason.BAD_STATE
    fee = {**answers, _slot(pool, PLAIN["3pool"].fee): (10**10).to_bytes(32, "big")}
    with pytest.raises(AdmissionRefused, match="exceeds its limit"):
        read(CurvePool, pool.address, table(fee))


def _slot(pool: StableSwap, slot: int) -> Slot:
    return Slot(pool.address, slot.to_bytes(32, "big"))


# ---------------------------------------------------------------- pools that are not modelled


def _call(signature: str, *words: int) -> bytes:
    return keccak(signature.encode())[:4] + b"".join(word.to_bytes(32, "big") for word in words)


def answers_of(*views: tuple[str, bytes | int], coins: tuple[bytes, ...] = (T0, T1), index: str = "uint256") -> Any:
    """A contract of unknown code that answers these views, and its coins by one type of index."""
    answers: dict[Read, bytes | None] = {Code(A): b"\x60"}
    for k, coin in enumerate(coins):
        answers[View(A, _call(f"coins({index})", k))] = coin.rjust(32, b"\0")
    for signature, value in views:
        name, _, argument = signature.partition("=")
        call = _call(name, int(argument)) if argument else _call(name)
        answers[View(A, call)] = value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")
    return table(answers)


@pytest.mark.parametrize(
    ("family", "answer", "refusal"),
    [
        (CurvePool, answers_of(), CurveRefusal.UNKNOWN_IMPLEMENTATION),
        (CurvePool, answers_of(index="int128"), CurveRefusal.UNKNOWN_IMPLEMENTATION),
        (CurvePool, answers_of(("gamma()", 5), coins=(T0, T1, T2)), CurveRefusal.CRYPTO),
        # A two-coin crypto pool of the latest kind tells how many coins it has.
        (CurvePool, answers_of(("gamma()", 5), ("N_COINS()", 2)), CurveRefusal.CRYPTO),
        (CurvePool, answers_of(("base_pool()", T2)), CurveRefusal.METAPOOL),
        (CurvePool, answers_of(("base_virtual_price()", 10**18)), CurveRefusal.METAPOOL),
        (CurvePool, answers_of(("oracle_method()", 5)), CurveRefusal.RATE_ORACLE),
        (CurvePool, answers_of(("stored_rates()", 5)), CurveRefusal.RATE_ORACLE),
        (
            CurvePool,
            answers_of(("underlying_coins(int128)=0", T2), ("underlying_coins(int128)=1", T1), index="int128"),
            CurveRefusal.LENDING,
        ),
        # Coins that are their own underlying ones lend nothing.
        (
            CurvePool,
            answers_of(("underlying_coins(int128)=0", T0), ("underlying_coins(int128)=1", T1), index="int128"),
            CurveRefusal.UNKNOWN_IMPLEMENTATION,
        ),
        (CurvePool, answers_of(coins=(NATIVE_COIN, T1)), CurveRefusal.UNKNOWN_IMPLEMENTATION),
        (
            CurveNgPool,
            answers_of(("N_COINS()", 2), ("offpeg_fee_multiplier()", 0)),
            CurveRefusal.UNKNOWN_IMPLEMENTATION,
        ),
        (
            CurveNgPool,
            answers_of(("N_COINS()", 2), ("offpeg_fee_multiplier()", 5), ("BASE_POOL()", T2)),
            CurveRefusal.METAPOOL,
        ),
    ],
)
def test_a_pool_that_is_not_modelled_says_why(family: type[StableSwap], answer: Any, refusal: CurveRefusal) -> None:
    state = read(family, A, answer, 1000)
    assert state.refusal == refusal
    assert state.tokens[1] == T1
    assert not state.tradable
    assert state.slots() == state.probes() == ()
    assert state.log_price(T1, state.tokens[0]) == -float("inf")
    assert state.limits(T1, state.tokens[0]) == Limits(0, 0)
    # Its logs are of a code that is not known: they are passed over, but not those of another contract.
    assert state.apply(Log(A, (TOKEN_EXCHANGE,), b"", 0, 0)) is state
    for refused in (
        lambda: state.quote(T1, 10**18, state.tokens[0]),
        lambda: state.quote_exact_out(T1, 10**18, state.tokens[0]),
    ):
        with pytest.raises(QuoteRefused, match="not_modelled"):
            refused()
    with pytest.raises(AdmissionRefused, match="not_this_family"):
        read(CurvePool if family is CurveNgPool else CurveNgPool, A, answer)


@pytest.mark.parametrize(
    "answer",
    [
        table({}),
        answers_of(coins=(T0,)),
        answers_of(coins=()),
        # A contract that answers everything with nothing.
        lambda read: b"",
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_no_curve_pool_is_not_of_the_family(family: type[StableSwap], answer: Any) -> None:
    with pytest.raises(AdmissionRefused) as refused:
        read(family, A, answer)
    assert refused.value.reason is AdmissionReason.NOT_THIS_FAMILY


def test_a_pool_that_lists_a_coin_twice_is_no_state() -> None:
    with pytest.raises(AdmissionRefused) as refused:
        read(CurvePool, A, answers_of(coins=(T0, T0)))
    assert refused.value.reason is AdmissionReason.BAD_STATE


_AAVE = ("eth_12520364", "0xdebf20617708857ebe4f679508e7b7863a8a8eee", CurveRefusal.LENDING)
_RENBTC = ("eth_12047794", "0x7fc77b5c7614e1533320ea6ddc2eb61fa00a9714", CurveRefusal.UNKNOWN_IMPLEMENTATION)
_TRICRYPTO = ("eth_14029313", "0xd51a44d3fae010294c616388b506acda1bfaae46", CurveRefusal.CRYPTO)


@needs_data
@pytest.mark.parametrize(("block", "address", "refusal"), [_AAVE, _RENBTC, _TRICRYPTO])
def test_deployed_pools_of_other_kinds_say_why(block: str, address: str, refusal: CurveRefusal) -> None:
    world = World(timestamp(block))
    world.put(address, code(block, address), storage(block, address))
    state = read(CurvePool, bytes.fromhex(address[2:]), world.answer, timestamp(block))
    assert state.refusal == refusal


def _ng_code(kinds: tuple[int, int]) -> bytes:
    """The deployed code with coins of other kinds behind it."""
    deployed = code(_NG_BLOCK, _NG)
    at = CODE_SIZE + 32 * 13
    return deployed[:at] + b"".join(kind.to_bytes(32, "big") for kind in kinds) + deployed[at + 64 :]


@needs_data
@pytest.mark.parametrize(
    ("kinds", "refusal"),
    [((0, 2), CurveRefusal.REBASING), ((0, 3), CurveRefusal.RATE_ORACLE), ((1, 0), CurveRefusal.RATE_ORACLE)],
)
def test_next_generation_pools_of_other_coins_say_why(kinds: tuple[int, int], refusal: CurveRefusal) -> None:
    pool, admin = _ng_state(random.Random(1))
    world = _ng_world(pool, admin)
    answers = {Code(pool.address): _ng_code(kinds)}
    state = read(CurveNgPool, pool.address, lambda read: answers.get(read) or world.answer(read))
    assert (state.refusal, state.tokens, state.implementation) == (refusal.value, pool.tokens, "")


@needs_data
def test_code_whose_immutables_are_none_is_no_state() -> None:
    pool, admin = _ng_state(random.Random(1))
    world = _ng_world(pool, admin)
    answers = {Code(pool.address): code(_NG_BLOCK, _NG)[: CODE_SIZE + 64]}
    with pytest.raises(AdmissionRefused) as refused:
        read(CurveNgPool, pool.address, lambda read: answers.get(read) or world.answer(read))
    assert refused.value.reason is AdmissionReason.BAD_STATE


def test_every_known_code_has_a_layout() -> None:
    assert set(KNOWN_CODE.values()) == set(PLAIN) == set(CurvePool.CONTRACTS)
    assert all(len(set(layout.swap_slots())) == len(layout.swap_slots()) for layout in PLAIN.values())
    assert len(set(NG.swap_slots(8))) == len(NG.swap_slots(8))


# ---------------------------------------------------------------- how pools are found

MAKER = FactoryConfig(name="stand-in", family="curve_ng", address=FACTORY)


def _deployed(topic: bytes, coins: tuple[bytes, ...], maker: bytes = FACTORY) -> Log:
    if topic == PLAIN_NG_DEPLOYED:
        data = encode(["address[]", "uint256", "uint256", "address"], [coins, 100, 4_000_000, T2])
    elif topic == PLAIN_DEPLOYED:
        padded = [*coins, *[bytes(20)] * (4 - len(coins))]
        data = encode(["address[4]", "uint256", "uint256", "address"], [padded, 100, 4_000_000, T2])
    else:
        data = encode(["address"] * 2 + ["uint256"] * 2 + ["address"], [coins[0], T2, 100, 4_000_000, T2])
    return Log(maker, (topic,), data, 0, 0)


def _factory(*pools: tuple[bytes, bytes]) -> dict[Read, bytes | None]:
    """A factory that lists these pools, each with its first coin."""
    answers: dict[Read, bytes | None] = {View(FACTORY, _call("pool_count()")): len(pools).to_bytes(32, "big")}
    for k, (pool, coin) in enumerate(pools):
        answers[View(FACTORY, _call("pool_list(uint256)", k))] = pool.rjust(32, b"\0")
        answers[View(pool, _call("coins(uint256)", 0))] = coin.rjust(32, b"\0")
    return answers


P0, P1, P2 = (bytes([number]) * 20 for number in (0x11, 0x12, 0x13))


@pytest.mark.parametrize(("family", "plain"), [(CurvePool, PLAIN_DEPLOYED), (CurveNgPool, PLAIN_NG_DEPLOYED)])
def test_a_factory_announces_the_last_of_its_list(family: type[StableSwap], plain: bytes) -> None:
    answers = _factory((P0, T0), (P1, T0), (P2, T1))
    logs = [_deployed(plain, (T0, T1)), _deployed(META_DEPLOYED, (T1, T2))]
    found = carry_out(family.announced(logs, MAKER), table(answers))
    assert found == tuple(Found(family.FAMILY, pool, FACTORY) for pool in (P1, P2))
    assert carry_out(family.announced(logs[1:], MAKER), table(answers)) == found[1:]


def test_a_list_that_does_not_end_with_what_was_announced_is_announced_whole() -> None:
    answers = _factory((P0, T0), (P1, T1), (P2, T2))
    found = carry_out(CurveNgPool.announced([_deployed(PLAIN_NG_DEPLOYED, (T0, T1))], MAKER), table(answers))
    assert [each.address for each in found] == [P0, P1, P2]


def test_logs_that_are_no_announcement_are_passed_over() -> None:
    logs = [
        _deployed(PLAIN_NG_DEPLOYED, (T0, T1), maker=A), _deployed(PLAIN_DEPLOYED, (T0, T1)),
        Log(FACTORY, (), b"", 0, 0), Log(FACTORY, (PLAIN_NG_DEPLOYED,), b"", 0, 0),
        Log(FACTORY, (PLAIN_NG_DEPLOYED,), b"\xff" * 64, 0, 0), Log(FACTORY, (PLAIN_NG_DEPLOYED,), b"\xff" * 33, 0, 0),
        Log(FACTORY, (META_DEPLOYED, bytes(32)), bytes(160), 0, 0),
    ]  # fmt: skip
    assert carry_out(CurveNgPool.announced(logs, MAKER), table({})) == ()


@pytest.mark.parametrize("answers", [{}, _factory(), {View(FACTORY, _call("pool_count()")): (1).to_bytes(32, "big")}])
def test_a_factory_that_keeps_no_list_is_refused(answers: dict[Read, bytes | None]) -> None:
    with pytest.raises(AdmissionRefused) as refused:
        carry_out(CurveNgPool.announced([_deployed(PLAIN_NG_DEPLOYED, (T0, T1))], MAKER), table(answers))
    assert refused.value.reason is AdmissionReason.BAD_STATE


def test_factory_topics_are_the_events() -> None:
    assert keccak(b"PlainPoolDeployed(address[4],uint256,uint256,address)") == PLAIN_DEPLOYED
    assert keccak(b"PlainPoolDeployed(address[],uint256,uint256,address)") == PLAIN_NG_DEPLOYED
    assert keccak(b"MetaPoolDeployed(address,address,uint256,uint256,address)") == META_DEPLOYED
