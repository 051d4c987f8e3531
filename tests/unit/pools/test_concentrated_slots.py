"""The slots a pool of concentrated liquidity names, and reading it whole, against the deployed contracts.

An engine that knows exactly the named slots must make the contract's swap; without any one of those that the swap touches, it must say which.
"""

from __future__ import annotations

import pytest
from eth_abi import decode

from operators.pools.base import AdmissionRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import OBSERVATIONS_AHEAD, V3Pool
from operators.pools.uniswap_v4 import V4Pool
from operators.pools.v3_math.tick_math import MAX_TICK, MIN_TICK, sqrt_price_at
from operators.simulation.engines import make_engine
from operators.simulation.revm_engine import available
from operators.simulation.verdict import Report, Verdict
from schemas.opportunities import VerdictKind
from schemas.pools import AccountSlots
from tests.unit.pools.concentrated_in_evm import RealPool, RealV3, calldata, deploy, hexed, unhex
from tests.unit.pools.reading_driver import carry_out
from tests.unit.pools.test_concentrated_bytecode import FAMILIES, PROTOCOL_FEES, follow

ENGINES = ["pyrevm", pytest.param("revm", marks=pytest.mark.skipif(not available(), reason="engine revm is not built"))]


def lively(family: type[ConcentratedPool], spacing: int) -> tuple[RealPool, ConcentratedPool]:
    """A pool with positions near and far, fees for the protocol, and an oracle of five places of which some are in use."""
    real = deploy(family, 3000, spacing)
    real.initialize(sqrt_price_at(0))
    pool = follow(real, real.bare)
    end = MAX_TICK // spacing
    for lower, upper in ((-end, end), (-2, 2), (-300, 150), (-20, -15), (1, 300), (-900, -800)):
        real.position(max(lower, -end) * spacing, min(upper, end) * spacing, 10**18)
        pool = follow(real, pool)
    part = PROTOCOL_FEES[family][-1]
    real.set_protocol_fee(part, part)
    pool = follow(real, pool)
    if family is not V4Pool:
        real.world.raw_call(real.emitter, calldata("increaseObservationCardinalityNext(uint16)", 5))
    for zero_for_one, limit in ((True, -1), (False, 1), (True, 0)):
        real.world.pass_time()
        real.swap(zero_for_one, 10**30, sqrt_price_at(limit))
        pool = follow(real, pool)
    real.world.pass_time()
    return real, pool


def read(real: RealPool) -> ConcentratedPool:
    found, factory = real.known_as()
    return carry_out(type(real.bare).read(found, factory, 0), real.world.answer)


def swapped(real: RealPool, verdict: Verdict) -> tuple[int, int]:
    assert verdict.kind is VerdictKind.SUCCESS, verdict
    amount0, amount1 = decode(("int256", "int256"), verdict.output)
    return (-amount0, -amount1) if isinstance(real.bare, V4Pool) else (amount0, amount1)


def reach(pool: ConcentratedPool, zero_for_one: bool) -> int:
    lowest, highest = pool.reach()
    return sqrt_price_at(lowest) if zero_for_one else sqrt_price_at(highest)


@pytest.mark.parametrize("spacing", [1, 60, 200])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pool_read_is_the_pool_the_logs_made(family: type[ConcentratedPool], spacing: int) -> None:
    real, pool = lively(family, spacing)
    found = read(real)
    assert found.digest_entry() == pool.digest_entry()
    assert (found.ticks, found.refusal, found.audit()) == (pool.ticks, "", "")
    assert family.from_plain(found.to_plain()) == found
    assert found.at(1 << 40) is found
    if isinstance(found, V3Pool):
        # Three swaps that moved the price, each in a block of its own.
        assert (found.observation, found.observations) == (3, 5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("spacing", [1, 60])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_slots_are_all_that_a_swap_within_reach_needs(
    family: type[ConcentratedPool], spacing: int, engine: str
) -> None:
    real, _ = lively(family, spacing)
    pool, runs = read(real), make_engine(engine)
    for zero_for_one in (True, False):
        swap = zero_for_one, 10**36, reach(pool, zero_for_one)
        ours = pool.swap(*swap)
        assert pool._walk(*swap).crossed >= 2
        assert swapped(real, real.swap_on(runs, pool.slots(), *swap)) == (ours.amount0, ours.amount1)
        beyond = sqrt_price_at(MIN_TICK + 1 if zero_for_one else MAX_TICK - 1)
        verdict = real.swap_on(runs, pool.slots(), zero_for_one, 10**36, beyond)
        assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, "missing_slot")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_slot_that_is_left_out_is_named(family: type[ConcentratedPool]) -> None:
    """And no slot is named that no swap reads, but for what the swap would need elsewhere: ticks and words on the other side, later observations."""
    real, _ = lively(family, 60)
    pool, runs = read(real), make_engine()
    (named,) = pool.slots()
    missed = set()
    for key in named.keys:
        rest = AccountSlots(address=named.address, keys=tuple(k for k in named.keys if k != key))
        for zero_for_one in (True, False):
            verdict = real.swap_on(runs, (rest,), zero_for_one, 10**36, reach(pool, zero_for_one))
            if verdict.kind is VerdictKind.REFUSED:
                assert verdict.reason == "missing_slot" and key.hex() in verdict.detail
                missed.add(key)
    unread = len(named.keys) - len(missed)
    # The oracle has five places, of which a swap reads two; the words at both ends of the reach are all read.
    assert unread == (0 if family is V4Pool else 3)


@pytest.mark.parametrize("family", [V3Pool, PancakeV3Pool])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_the_oracle_goes_round(family: type[V3Pool], place: int) -> None:
    """The newest observation and the next, also where the next is the first again or the oracle grows."""
    real, _ = lively(family, 60)
    for number in range(place + 2):
        real.world.pass_time()
        real.swap(number % 2 == 0, 10**30, sqrt_price_at(-7 if number % 2 == 0 else 7))
    real.world.pass_time()
    pool = read(real)
    assert isinstance(pool, V3Pool)
    assert pool.observation == (3 + place + 2) % 5
    swap = True, 10**36, reach(pool, True)
    ours = pool.swap(*swap)
    assert swapped(real, real.swap_on(make_engine(), pool.slots(), *swap)) == (ours.amount0, ours.amount1)


def test_of_a_large_oracle_some_places_ahead_are_named() -> None:
    fields = {"token0": b"\1" * 20, "token1": b"\2" * 20, "fee_pips": 500, "tick_spacing": 10}
    pool = V3Pool.from_parts(address=b"\3" * 20, sqrt_price=1 << 96, observation=1430, observations=1440, **fields)  # type: ignore[arg-type]
    (named,) = pool.slots()
    places = {int.from_bytes(key, "big") - 8 for key in named.keys} & set(range(1440))
    assert places == {*range(1430, 1440), *range(OBSERVATIONS_AHEAD - 9)}


@pytest.mark.parametrize("spacing", [1, 10, 60, 200])
def test_the_reach_is_bounded(spacing: int) -> None:
    for tick in (MIN_TICK, -5, 0, 123_456, MAX_TICK - 1):
        pool = V3Pool.from_parts(
            address=b"\3" * 20,
            token0=b"\1" * 20,
            token1=b"\2" * 20,
            fee_pips=500,
            tick_spacing=spacing,
            sqrt_price=sqrt_price_at(tick),
            tick=tick,
        )
        lowest, highest = pool.reach()
        assert MIN_TICK <= lowest <= tick <= highest <= MAX_TICK
        assert len(pool.slots()[0].keys) <= 5 + 1 + 8


# ---------------------------------------------------------------- the farm of a PancakeSwap pool


def test_probes_of_a_pancake_pool_read_what_its_farm_reads() -> None:
    real, _ = lively(PancakeV3Pool, 60)
    pool = read(real)
    assert {probe.to for probe in pool.probes()} == {pool.address}
    for probe, zero_for_one in zip(pool.probes(), (True, False), strict=True):
        # Carried out by one who pays, such a call is a swap to the end of the reach.
        ours = pool.swap(zero_for_one, 1 << 200, reach(pool, zero_for_one))
        words = [int.from_bytes(probe.data[at : at + 32], "big") for at in range(4, len(probe.data), 32)]
        assert words == [int.from_bytes(pool.address, "big"), zero_for_one, 1 << 200, ours.state.sqrt_price, 160, 0]
        # Carried out by one who does not, it comes as far as the payment: the contract asks the caller, who has no code.
        assert real.world.answer(probe) is None
    bare = PancakeV3Pool.from_parts(
        address=pool.address, token0=pool.token0, token1=pool.token1, fee_pips=100, tick_spacing=1
    )  # type: ignore[attr-defined]
    assert bare.probes() == ()


@pytest.mark.skipif(not available(), reason="only engine revm tells the slots that were touched")
def test_probes_touch_what_a_swap_reads_of_the_farm() -> None:
    real, _ = lively(PancakeV3Pool, 60)
    assert isinstance(real, RealV3)
    farm = real.farm()
    pool, engine = read(real), make_engine("revm")
    touched: set[tuple[bytes, bytes]] = set()
    for probe in pool.probes():
        verdict = real.run_on(engine, pool.slots(), hexed(probe.to), probe.data, farm, report=Report(touched=True))
        assert verdict.kind is VerdictKind.REVERTED
        touched |= {(slot.address, slot.key) for slot in verdict.touched or ()}
    found = AccountSlots(address=unhex(farm), keys=tuple(key for address, key in touched if address == unhex(farm)))
    assert found.keys
    for zero_for_one in (True, False):
        swap = zero_for_one, 10**36, reach(pool, zero_for_one)
        missing = real.swap_on(engine, pool.slots(), *swap)
        assert (missing.kind, missing.reason) == (VerdictKind.REFUSED, "missing_account")
        ours = pool.swap(*swap)
        assert swapped(real, real.swap_on(engine, (*pool.slots(), found), *swap)) == (ours.amount0, ours.amount1)


def test_other_families_need_no_probes() -> None:
    for family in (V3Pool, V4Pool):
        assert lively(family, 60)[1].probes() == ()


# ---------------------------------------------------------------- what is no pool


def test_an_address_without_a_pool_is_none_of_the_family() -> None:
    real, _ = lively(V3Pool, 60)
    found, factory = real.known_as()
    for family in (V3Pool, PancakeV3Pool):
        for address in (real.world.token0, "0x" + "77" * 20):
            with pytest.raises(AdmissionRefused, match="not_this_family"):
                carry_out(family.read(found._replace(address=unhex(address)), factory, 0), real.world.answer)
