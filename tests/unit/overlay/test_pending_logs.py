"""The logs of a pending transaction: each gets to the pools that it is about, as a mined one would."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest

import schemas.pending
import schemas.witness
from operators.graph.dispatch import Listeners
from operators.overlay.pending import Overlay, reads_a_pool, simulate_pending
from operators.pools import balancer_v2, balancer_v2_stable
from operators.pools.balancer_v2 import VAULT, VaultPool
from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.simulation.engine import Engine, Execution
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.verdict import Verdict
from schemas.logs import Log
from schemas.opportunities import VerdictKind
from tests.unit.graph import families
from tests.unit.graph.families import TIME, Sample, all_families, log

SAMPLES = all_families()
HEAD = b"\x05" * 32
ENV = BlockEnv(1, 2, TIME + 24, bytes(20), 10**9, 30_000_000, bytes(32), 0, 0, "Cancun", {})


class Emits(Engine):
    """An engine in which every transaction succeeds with the same logs."""

    name = "emits"

    def __init__(self, logs: Sequence[Log]) -> None:
        self._verdict = Verdict(VerdictKind.SUCCESS, "", "", 21_000, 10**9, tuple(logs), b"")

    def execute(
        self, witness: object, env: BlockEnv, txs: Sequence[Transaction], *args: object, **more: object
    ) -> Execution:  # type: ignore[override]
        return Execution((self._verdict,) * len(txs), lambda: Witness({}, {}))


POOLS = {sample.pool.address: sample.pool.at(ENV.timestamp) if sample.pool.TIMED else sample.pool for sample in SAMPLES}
LISTENERS = Listeners()
for _pool in POOLS.values():
    LISTENERS.add(_pool)


def overlay(*logs: Log) -> Overlay:
    record = msgspec.structs.replace(schemas.witness.GOLDEN, block_hash=HEAD)
    return simulate_pending(
        Emits(logs),
        POOLS.get,
        LISTENERS,
        {},
        HEAD,
        ENV,
        schemas.pending.GOLDEN,
        record,
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.pool.FAMILY} {s.pool.address[:1].hex()}")
def test_logs_of_every_family_lead_to_their_pool(sample: Sample) -> None:
    rng = random.Random(17)
    before = sample.pool.at(ENV.timestamp) if sample.pool.TIMED else sample.pool
    for _ in range(20):
        entry = sample.log(before, rng)
        if entry.topics[0] == balancer_v2.PAUSED_STATE_CHANGED and entry.address == VAULT:
            continue
        found = overlay(entry)
        assert found.refusal == ""
        assert [pool.to_plain() for pool in found.pools] == [before.apply(entry).to_plain()]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.pool.FAMILY} {s.pool.address[:1].hex()}")
def test_only_who_reads_the_account_that_logs_can_move_a_pool(sample: Sample) -> None:
    rng, sender = random.Random(23), b"\xee" * 20
    for _ in range(20):
        entry = sample.log(sample.pool, rng)
        assert reads_a_pool((sender, entry.address), POOLS.get, LISTENERS)
    assert not reads_a_pool((sender, *sample.pool.tokens), POOLS.get, LISTENERS)


def test_logs_of_one_pool_follow_on_each_other() -> None:
    place = SAMPLES[0].pool.address
    (after,) = overlay(log(place, SYNC_TOPIC, data=(1, 2)), log(place, SYNC_TOPIC, data=(3, 4))).pools
    assert after.to_plain()[4:6] == (3, 4)


def test_a_pause_of_the_vault_is_laid_over_all_its_pools() -> None:
    found = overlay(log(VAULT, balancer_v2.PAUSED_STATE_CHANGED, data=(1,)))
    expected = sorted(sample.pool.address for sample in SAMPLES if isinstance(sample.pool, VaultPool))
    assert [pool.address for pool in found.pools] == expected
    assert not any(pool.tradable for pool in found.pools)


def test_a_rate_told_in_a_pending_transaction_is_good_from_its_block_on() -> None:
    sample = next(s for s in SAMPLES if s.pool.FAMILY == "balancer_v2_stable")
    (after,) = overlay(log(sample.pool.address, balancer_v2_stable.RATE_BY_INDEX, 1, data=(11 * 10**17,))).pools
    assert isinstance(after, balancer_v2_stable.StablePool)
    assert after.expires[1] == ENV.timestamp + after.durations[1]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.pool.FAMILY} {s.pool.address[:1].hex()}")
def test_what_a_pool_would_never_say_refuses_the_transaction_and_what_others_say_of_it_does_nothing(
    sample: Sample,
) -> None:
    rng = random.Random(19)
    for _ in range(10):
        entry = sample.log(sample.pool, rng)
        assert overlay(families.longer(entry)).refusal == "bad_log:wrong_length"
        stranger = families.moved_to(entry, b"\xee" * 20)
        assert overlay(stranger)[:2] == ("", ())


def test_unknown_logs_and_logs_without_topics_change_nothing() -> None:
    place = SAMPLES[0].pool.address
    found = overlay(Log(place, (), b"", 0, 0), Log(place, (b"\x07" * 32,), b"", 0, 0))
    assert found[:2] == ("", ())
