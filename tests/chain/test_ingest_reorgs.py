"""Reorgs and gaps under a running sequencer: the log takes blocks off newest first and puts the new ones on."""

from __future__ import annotations

import pytest

from infra.devnet.contracts import call_data, pair_address
from infra.devnet.devnet import Devnet
from infra.devnet.node import data, to_hex
from infra.devnet.reorg import Content, reorg, rollback
from schemas.blocks import BlockRecord
from schemas.config import KafkaConfig
from schemas.decisions import EventKind
from schemas.pools import PoolOp, PoolRecord
from tests.chain.ingest_rig import Rig, wait_until
from tests.chain.pausable_proxy import PausableProxy

pytestmark = [pytest.mark.chain, pytest.mark.kafka]


def head(rig: Rig) -> bytes:
    return data(rig.node.call("eth_getBlockByNumber", "latest", False)["hash"])


def test_reorgs_of_depth_1_to_5(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka)
    expected: list[tuple[EventKind, bytes]] = []
    with rig.started() as running:
        for _ in range(6):
            rig.block()
        rig.caught_up(running)
        start = len(rig.events())
        for depth in range(1, 6):
            done = reorg(rig.node, depth, Content.SHUFFLED if depth % 2 else Content.EMPTY, seed=depth)
            expected += [(EventKind.REVERT, h) for h in reversed(done.orphaned)]
            expected += [(EventKind.BLOCK, h) for h in done.adopted]
            rig.block()
            expected.append((EventKind.BLOCK, head(rig)))
            wait_until("the new head", lambda: running.block == rig.height)
            rig.caught_up(running)
    events = rig.events()
    rig.assert_is_chain(events)
    kinds = (EventKind.BLOCK, EventKind.REVERT)
    assert [(e.kind, e.part(BlockRecord).hash) for e in events[start:] if e.kind in kinds] == expected


def test_a_pool_goes_and_comes_back_with_its_block(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka)
    factory, weth = devnet.market.factories[1], devnet.market.weth
    with rig.started() as running:
        rig.block()
        rig.caught_up(running)
        # Fresh "tokens" without code: the factory does not mind, and the pool is admitted all the same.
        other = b"\x77" * 19 + b"\x01"
        # A pair's creation is more than the devnet's blocks hold.
        rig.node.call("evm_setBlockGasLimit", hex(8_000_000))
        rig.block()
        rig.send_as_owner(factory.address, call_data("createPair(address,address)", weth, other), gas=4_000_000)
        rig.block(traffic=False)
        rig.caught_up(running)
        pair = pair_address(factory.address, *sorted((weth, other)))
        created = rig.events()
        done = reorg(rig.node, 1, Content.EMPTY)
        wait_until("the suspension", lambda: running.progress.pools == len(devnet.market.pairs))
        rig.block(traffic=False)
        rig.caught_up(running)
        wait_until("the pool", lambda: running.progress.pools == len(devnet.market.pairs) + 1)
    mine = [e for e in rig.events() if (p := e.part(PoolRecord)) is not None and p.address == pair]
    assert [e.part(PoolRecord).op for e in mine] == [PoolOp.ADD, PoolOp.SUSPEND, PoolOp.ADD]
    # Right behind the block that made it.
    assert created[mine[0].seq - 1].part(BlockRecord).hash == done.orphaned[0]
    assert to_hex(mine[0].part(PoolRecord).factory) == to_hex(factory.address)


def test_a_silent_rollback_is_followed(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka, silent_after_s=1.0)
    with rig.started() as running:
        for _ in range(3):
            rig.block()
        rig.caught_up(running)
        rollback(rig.node, 2)
        wait_until("the retreat", lambda: running.block == rig.height)
        rig.block()
        rig.caught_up(running)
    events = rig.events()
    rig.assert_is_chain(events)
    assert sum(e.kind is EventKind.REVERT for e in events) == 2


def test_a_feed_that_fell_silent_is_noticed_and_its_gap_filled(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka, silent_after_s=1.0)
    with PausableProxy(devnet.anvil.port) as proxy:
        chain = rig.config.chain.model_copy(update={"ws_url": f"ws://127.0.0.1:{proxy.port}"})
        rig.config = rig.config.model_copy(update={"chain": chain})
        with rig.started() as running:
            rig.block()
            rig.caught_up(running)
            proxy.pause()
            for _ in range(4):
                rig.block()
            # The watchdog asks over HTTP although the WebSocket is still dead.
            rig.caught_up(running)
            proxy.resume()
            rig.block()
            rig.caught_up(running)
    events = rig.events()
    rig.assert_is_chain(events)
