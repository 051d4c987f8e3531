"""The graph over all families: exact undo, snapshots that change nothing, and logs that get to the pools they are about and to no other."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.graph.dispatch import keys_of
from operators.pools import FAMILIES, balancer_v2, curve, uniswap_v4
from operators.pools.balancer_v2 import VAULT
from operators.pools.base import ALL_POOLS
from operators.pools.uniswap_v2 import SYNC_TOPIC
from schemas.logs import Log
from schemas.pools import PoolOp
from tests.unit.graph import families
from tests.unit.graph.families import MANAGER, TIME, Sample, all_families, log, record
from tests.unit.graph.graph import Graph, faults, touched

SAMPLES = all_families()
EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.pool.FAMILY} {s.pool.address[:1].hex()}")


def graph(shards: int = 4) -> Graph:
    return Graph(shards, [sample.pool for sample in SAMPLES])


def some_logs(market: Graph, rng: random.Random, count: int) -> list[Log]:
    """Logs that can follow one on the other, each of some pool."""
    states, logs = {sample.pool.address: market.pool(sample.pool.address) for sample in SAMPLES}, []
    for _ in range(count):
        sample = rng.choice(SAMPLES)
        pool = states[sample.pool.address]
        entry = sample.log(pool, rng)
        # What the Vault says to all pools reaches all.
        for address, state in states.items():
            if ALL_POOLS in keys_of(entry) and VAULT in state.log_sources:
                states[address] = state.apply(entry)
        if ALL_POOLS not in keys_of(entry):
            states[sample.pool.address] = (pool.at(TIME + 12 * (market.height + 1)) if pool.TIMED else pool).apply(
                entry
            )
        logs.append(entry)
    return logs


def test_there_is_a_sample_of_every_family() -> None:
    assert {sample.pool.FAMILY for sample in SAMPLES} == set(FAMILIES)


# ---------------------------------------------------------------- undo and snapshots


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((1, 3, 8)))
def test_a_revert_gives_back_exactly_what_was(seed: int, shards: int) -> None:
    rng = random.Random(seed)
    market = graph(shards)
    states, blocks = [market.state()], []
    for _ in range(5):
        blocks.append(some_logs(market, rng, rng.randrange(12)))
        assert not faults(market.block(*blocks[-1]))
        states.append(market.state())
        if rng.random() < 0.3:
            market.resume()
    depth = rng.randrange(1, 6)
    for back in range(depth):
        market.revert()
        assert market.state() == states[-2 - back]
    for again in range(depth):
        market.block(*blocks[len(blocks) - depth + again])
        assert market.state() == states[len(blocks) - depth + again + 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_resumed_graph_goes_on_exactly_as_one_that_lived(seed: int) -> None:
    rng = random.Random(seed)
    lived, resumed = graph(), graph()
    for _ in range(4):
        logs = some_logs(lived, rng, rng.randrange(10))
        lived.block(*logs)
        resumed.block(*logs)
        resumed.resume()
        assert resumed.state() == lived.state()
        assert [s.snapshot() for s in resumed.shards] == [s.snapshot() for s in lived.shards]
    for _ in range(4):
        assert touched(lived.revert()) == touched(resumed.revert())
        assert resumed.state() == lived.state()


@EACH
def test_what_a_log_does_is_what_the_family_says(sample: Sample) -> None:
    rng = random.Random(7)
    market = Graph(pools=[sample.pool])
    for _ in range(40):
        before = market.pool(sample.pool.address)
        entry = sample.log(before, rng)
        answers = market.block(entry)
        after = market.pool(sample.pool.address)
        assert not faults(answers)
        expected = before.at(TIME + 12 * market.height) if before.TIMED else before
        assert after.to_plain() == expected.apply(entry).to_plain()
        assert touched(answers) == [sample.pool.address]


def test_the_digest_sees_every_family() -> None:
    rng = random.Random(3)
    market = graph()
    for sample in SAMPLES:
        pool = market.pool(sample.pool.address)
        before = market.state()[1]
        for _ in range(60):
            pool = pool.apply(sample.log(pool, rng))
        assert pool.digest_entry() != market.pool(sample.pool.address).digest_entry()
        market.admit(record(pool))
        assert market.state()[1] != before


def test_admitting_a_pool_twice_is_admitting_it_once() -> None:
    once, twice = graph(), graph()
    for sample in SAMPLES:
        twice.admit(record(sample.pool))
    assert once.state() == twice.state()


# ---------------------------------------------------------------- bad logs


@EACH
@pytest.mark.parametrize(
    ("spoil", "reasons"),
    [
        (families.cut, {"wrong_length"}),
        (families.longer, {"wrong_length"}),
        (families.fewer_topics, {"wrong_topic_count", "wrong_length"}),
        (families.overflowing, {"overflow", "out_of_range", "contradicts_state", "wrong_length"}),
    ],
    ids=["cut", "longer", "topics", "overflow"],
)
def test_a_bad_log_suspends_its_pool_for_a_reason_and_no_other(
    sample: Sample, spoil: Callable[[Log], Log], reasons: set[str]
) -> None:
    rng = random.Random(5)
    for _ in range(12):
        market = graph()
        before = market.state()
        entry = sample.log(sample.pool, rng)
        if entry.topics[0] == balancer_v2.PAUSED_STATE_CHANGED and entry.address == VAULT:
            # The Vault's word goes to all of its pools.
            continue
        suspended = [address for address, tracked in _after(market, spoil(entry)).items() if tracked]
        # A log that does not say which pool it is about puts all pools in doubt that listen to its contract.
        shared = spoil is families.fewer_topics and entry.address != sample.pool.address
        expected = (
            [a for a, t in sorted(market.tracked.items()) if entry.address in t.pool.log_sources]
            if shared
            else [sample.pool.address]
        )
        assert suspended == expected
        market.revert()
        assert market.state() == before
        market.block(spoil(entry))
        assert {fault.partition(":")[2] for fault in _faults_again(market, spoil(entry))} <= reasons


def _after(market: Graph, entry: Log) -> dict[bytes, str]:
    answers = market.block(entry)
    assert faults(answers), entry
    return {address: tracked.reason for address, tracked in sorted(market.tracked.items())}


def _faults_again(market: Graph, entry: Log) -> list[str]:
    market.revert()
    return faults(market.block(entry))


@EACH
def test_a_log_of_the_right_topic_from_the_wrong_contract_changes_nothing(sample: Sample) -> None:
    """Also where the contract is one whose logs are recorded: anybody may emit anything."""
    rng = random.Random(11)
    for source in (b"\xee" * 20, *(other.pool.address for other in SAMPLES if other.pool.FAMILY == "uniswap_v2")):
        market = graph()
        before = market.state()
        for _ in range(12):
            entry = families.moved_to(sample.log(sample.pool, rng), source)
            if entry.topics[0] == SYNC_TOPIC and source in market.tracked:
                continue
            assert set(faults(market.block(entry))) <= {"bad_log:wrong_contract"}
            assert market.state() == before


@EACH
def test_topics_and_data_at_random_are_a_typed_fault_or_nothing(sample: Sample) -> None:
    rng = random.Random(13)
    topics = [*sample.pool.LOG_TOPICS, bytes(32)]
    market = graph()
    for _ in range(150):
        entry = Log(
            rng.choice(sample.pool.log_sources),
            tuple([rng.choice(topics), *(rng.randbytes(32) for _ in range(rng.randrange(4)))][: rng.randrange(5)]),
            rng.randbytes(rng.choice((0, 1, 31, 32, 64, 96, 128, 160, 192, 224, 288))), 0, 0,
        )  # fmt: skip
        found = faults(market.block(entry))
        assert all(fault.startswith("bad_log:") for fault in found)
        assert bool(found) == any(tracked.lost for tracked in market.tracked.values())
        market.revert()


def test_a_pool_that_was_lost_stands_still_until_it_is_admitted_anew_or_the_block_goes() -> None:
    sample = SAMPLES[0]
    market = graph()
    address = sample.pool.address
    good, bad = log(address, SYNC_TOPIC, data=(1, 2)), log(address, SYNC_TOPIC, data=(1,))
    assert faults(market.block(good, bad, good)) == ["bad_log:wrong_length"]
    lost = market.tracked[address]
    state = market.state()
    assert (lost.lost, lost.reason) == (True, "bad_log:wrong_length")
    # It no longer knows its state: what comes after says nothing about it, and is no fault again.
    assert faults(market.block(log(address, SYNC_TOPIC, data=(5, 6)), bad)) == []
    assert market.state() == state
    market.resume()
    assert market.state() == state
    market.admit(record(sample.pool))
    assert not market.tracked[address].lost and market.tracked[address].reason == ""
    market.revert()
    assert market.state() == state
    market.revert()
    assert market.pool(address) == sample.pool


def test_the_first_refusal_stays() -> None:
    sample = SAMPLES[0]
    market = graph()
    market.admit(record(sample.pool, refusal="transfer_tax"))
    market.block(log(sample.pool.address, SYNC_TOPIC))
    assert market.tracked[sample.pool.address].reason == "transfer_tax"
    assert market.tracked[sample.pool.address].lost


# ---------------------------------------------------------------- singletons


def test_pools_of_the_manager_we_do_not_track_are_not_ours() -> None:
    market = graph()
    before = market.state()
    other = b"\x77" * 32
    entries = (
        log(MANAGER, uniswap_v4.SWAP_TOPIC, other, 9, data=(1, 2, 3, 4, 5, 6)),
        log(MANAGER, uniswap_v4.MODIFY_LIQUIDITY_TOPIC, other, 9, data=(0, 60, 1, 0)),
        log(MANAGER, uniswap_v4.INITIALIZE_TOPIC, other, 1, 2, data=(3000, 60, 0, 1 << 96, 0)),
    )
    assert faults(market.block(*entries)) == []
    assert market.state() == before


def test_what_the_vault_says_to_all_its_pools_reaches_all_and_only_them() -> None:
    market = graph(8)
    of_vault = sorted(sample.pool.address for sample in SAMPLES if VAULT in sample.pool.log_sources)
    assert len(of_vault) >= 3
    pause = log(VAULT, balancer_v2.PAUSED_STATE_CHANGED, data=(1,))
    answers = market.block(pause)
    assert not faults(answers)
    assert touched(answers) == of_vault
    for address, tracked in market.tracked.items():
        assert tracked.pool.tradable == (address not in of_vault)
    market.revert()
    assert all(tracked.pool.tradable for tracked in market.tracked.values())


def test_another_contract_that_copies_the_vaults_word_says_nothing() -> None:
    market = graph()
    before = market.state()
    for source in (MANAGER, b"\xee" * 20, SAMPLES[0].pool.address):
        assert faults(market.block(log(source, balancer_v2.PAUSED_STATE_CHANGED, data=(1,)))) == []
    assert market.state() == before


def test_another_contract_that_names_a_pool_of_the_vault_is_counted_and_does_nothing() -> None:
    market = graph()
    before = market.state()
    victim = next(sample for sample in SAMPLES if isinstance(sample.pool, balancer_v2.WeightedPool))
    pool = victim.pool
    assert isinstance(pool, balancer_v2.WeightedPool)
    entry = log(SAMPLES[0].pool.address, balancer_v2.SWAP, pool.pool_id, *pool.tokens, data=(1, 1))
    assert set(faults(market.block(entry))) <= {"bad_log:wrong_contract"}
    assert market.state() == before


# ---------------------------------------------------------------- time


def test_a_block_has_its_time_before_its_logs() -> None:
    """A ramp that a log begins, and an exchange some blocks later: the amount is that of the amplification by then."""
    sample = next(s for s in SAMPLES if s.pool.FAMILY == "curve")
    market = Graph(pools=[sample.pool])
    address = sample.pool.address
    start = TIME + 12 * (market.height + 1)
    market.block(log(address, curve.RAMP_A, data=(10_000, 20_000, start, start + 120)))
    for _ in range(4):
        market.block()
    state = market.pool(address).at(start + 60)
    bought = state.quote(state.tokens[0], 10**22).amount_out
    stale = sample.pool.quote(state.tokens[0], 10**22).amount_out
    assert bought != stale
    assert faults(market.block(log(address, curve.TOKEN_EXCHANGE, 9, data=(0, 10**22, 1, bought)))) == []
    market.revert()
    assert faults(market.block(log(address, curve.TOKEN_EXCHANGE, 9, data=(0, 10**22, 1, stale)))) == [
        "bad_log:contradicts_state"
    ]


# ---------------------------------------------------------------- records


def test_records_that_are_none_are_typed_faults() -> None:
    pool = SAMPLES[0].pool
    good = record(pool)
    market = Graph()
    cases = [
        ({"family": "nobody"}, ["unknown_family"]),
        ({"state": b""}, ["bad_state"]),
        ({"state": good.state[:-1]}, ["bad_state"]),
        ({"address": b"\x99" * 20}, ["bad_state"]),
        ({"state": b"", "refusal": "not_this_family"}, []),
        ({"family": "nobody", "refusal": "not_this_family"}, []),
        ({"op": PoolOp.SUSPEND}, ["suspended_unknown_pool"]),
    ]
    for change, expected in cases:
        assert faults(market.admit(msgspec.structs.replace(good, **change))) == expected
        assert not market.tracked
