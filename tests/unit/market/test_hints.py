"""What a hint's logs let us know of the pools they name: for every family, with and without their data."""

from __future__ import annotations

import random

import msgspec
import pytest

from operators.graph.dispatch import Listeners
from operators.market.hints import Hinted, read_hint
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import SYNC_TOPIC
from schemas.logs import Log
from tests.unit.graph.families import TIME, Sample, all_families, log, words

SAMPLES = list(all_families())
PAIR = next(sample.pool for sample in SAMPLES if sample.pool.FAMILY == "uniswap_v2")
V2_SWAP = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")


def told(*logs: Log) -> Hinted:
    pools = {sample.pool.address: sample.pool for sample in SAMPLES}
    listeners = Listeners()
    for pool in pools.values():
        listeners.add(pool)
    return read_hint(logs, pools.get, listeners, TIME)


def sync(reserve0: int, pool: Pool = PAIR) -> Log:
    return log(pool.address, SYNC_TOPIC, data=(reserve0, 7))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.pool.FAMILY)
def test_a_whole_log_tells_the_state_that_a_mined_one_would(sample: Sample) -> None:
    rng = random.Random(5)
    for _ in range(20):
        one = sample.log(sample.pool, rng)
        pool = sample.pool.at(TIME) if sample.pool.TIMED else sample.pool
        found = told(one)
        assert sample.pool.address in found.named
        assert pool.apply(one).to_plain() in [each.to_plain() for each in found.pools]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.pool.FAMILY)
def test_a_log_without_its_data_names_its_pool_only(sample: Sample) -> None:
    one = sample.log(sample.pool, random.Random(6))
    while not one.data:  # a log that has none withholds none
        one = sample.log(sample.pool, random.Random(len(one.topics) + one.log_index + 7))
    found = told(msgspec.structs.replace(one, data=b""))
    assert sample.pool.address in found.named
    assert sample.pool.address not in [pool.address for pool in found.pools]


def test_a_pairs_swap_names_it_and_leaves_what_its_sync_told() -> None:
    swap = Log(PAIR.address, (V2_SWAP, bytes(32), bytes(32)), b"", 0, 1)
    assert told(swap) == Hinted((PAIR.address,), ())
    assert told(sync(9), swap) == Hinted((PAIR.address,), (PAIR.apply(sync(9)),))


def test_of_several_logs_the_last_holds_and_one_that_is_withheld_ends_what_is_known() -> None:
    assert told(sync(9), sync(11)).pools == (PAIR.apply(sync(11)),)
    withheld = Log(PAIR.address, (SYNC_TOPIC,), b"", 0, 0)
    assert told(sync(9), withheld) == told(withheld, sync(9)) == Hinted((PAIR.address,), ())


def test_logs_of_others_say_nothing() -> None:
    stranger = Log(b"\x77" * 20, (SYNC_TOPIC,), words(1, 2), 0, 0)
    assert told(stranger, Log(b"\x77" * 20, (), b"", 0, 0)) == Hinted((), ())
