"""Recorded transactions and hints as a feed faster than a node can trace: each is announced, or refused by a counted reason, or evicted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.replay import run_replay
from infra.kafka.broker import LocalBroker
from tests.bench.pending_run import PendingWorld
from tests.bench.recorded_mempool import Sighting, absent, merged_block, sightings
from tests.shared_data import DATA

pytestmark = [pytest.mark.chain, pytest.mark.kafka, pytest.mark.slow]

RATE = 1000.0
MIB = 1 << 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Iterator[PendingWorld]:
    """A node in the state before a recorded block."""
    if lacking := absent(DATA):
        pytest.skip(f"recorded data is not here: {', '.join(lacking)}")
    folder = tmp_path_factory.mktemp("pending_feed")
    with PendingWorld(DATA, folder, merged_block(DATA, whole=False), broker) as running:
        yield running


def some() -> list[Sighting]:
    """The transactions of the node's own block, which can be traced and executed, among others and hints."""
    hashes = {bytes.fromhex(fields["hash"][2:]) for fields in merged_block(DATA, whole=False).block["transactions"]}
    feed = sightings(DATA)
    return [*feed[:150], *(one for one in feed[150:] if one.hash in hashes)]


def test_none_is_lost_where_there_is_room(world: PendingWorld) -> None:
    fate = world.run(some(), RATE)
    assert fate.announced == fate.sent and fate.sent["transactions"] > 100 and fate.sent["hints"] > 20
    assert (fate.lost, fate.evicted, sum(fate.refused.values())) == (0, 0, 0)
    pending = {reason: count for reason, count in fate.rejected.items() if reason.startswith("pending: ")}
    assert sum(pending.values()) - pending.get("pending: no_witness", 0) >= 10, pending
    assert len(fate.latencies["transactions"]) == fate.sent["transactions"]
    replayed = run_replay(fate.config)
    assert replayed.decisions == replayed.equal > sum(fate.sent.values())


def test_none_is_lost_without_being_counted_where_there_is_little_room(world: PendingWorld) -> None:
    fate = world.run(sightings(DATA), 4 * RATE, max_pending=32, max_hints=16)
    assert fate.lost == 0
    assert fate.refused["queue_full"] > 0 and fate.evicted > 0
    # Far more came than is kept.
    for before, most in fate.memory.values():
        assert most - before < 64 * MIB
