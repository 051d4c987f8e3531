"""Reorgs that reach the blocks with which a log begins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.ingest import IngestStopped
from flows.world import World
from infra.devnet.node import quantity
from infra.devnet.reorg import Content, reorg
from infra.kafka.broker import LocalBroker
from tests.chaos.rebuild import RunningIngest, another_log, pool_count, rebuild

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Iterator[World]:
    with World(
        tmp_path_factory.mktemp("start"), seed=33, broker=broker, topic_prefix="chaos33.", live=False, with_v3=False
    ) as running:
        clock = running.devnet.clock(0.01)
        for _ in range(8):
            clock.step()
        yield running


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_pools_admitted_on_an_orphaned_head_are_admitted_again(world: World, depth: int, restart: bool) -> None:
    """The log begins some blocks back, so all its pools come in at the head, which is then replaced."""
    node = world.devnet.anvil.node
    head = quantity(node.call("eth_blockNumber"))
    pools = pool_count(world)
    config = another_log(world.config, start_block=head - depth)
    with RunningIngest(config) as ingest:
        ingest.wait_for(head, pools)
        assert len(ingest.graph().pools) == pools
        if not restart:
            reorg(node, depth, Content.SHUFFLED, seed=depth)
            world.devnet.builder.build_block()
            ingest.wait_for(head + 1, pools)
    if restart:
        reorg(node, depth, Content.SHUFFLED, seed=depth)
        world.devnet.builder.build_block()
        ingest = RunningIngest(config)
        with ingest:
            ingest.wait_for(head + 1, pools)
    assert ingest.graph() == rebuild(world)


def test_reorg_below_the_first_block_of_the_log_stops_with_a_reason(world: World) -> None:
    node = world.devnet.anvil.node
    head = quantity(node.call("eth_blockNumber"))
    config = another_log(world.config, start_block=head - 1)
    ingest = RunningIngest(config)
    with pytest.raises(IngestStopped, match=f"below block {head - 1}"), ingest:
        ingest.wait_for(head, pool_count(world))
        before = ingest.graph()
        reorg(node, 3, Content.EMPTY)
        world.devnet.builder.build_block()
        ingest.join()
        # What was in the log stands: nothing of the other chain was mixed into it.
        assert ingest.graph() == before
