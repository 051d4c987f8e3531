"""Whether the state that simulations would read is the chain's: every slot that a pool in trade declares, against the node."""

from __future__ import annotations

from flows.world import World
from infra.devnet.node import data, to_hex
from infra.kafka.reading import read_events
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from schemas.blocks import BlockRecord

#: Requests of one batch.
_AT_ONCE = 500


def stale_slots(world: World) -> list[str]:
    """Slots of which the log does not say what the node says of the log's newest block. Raises `AssertionError` where there is nothing to compare."""
    shard, tip = GraphShard(), b""
    for event in read_events(world.config.kafka, world.config.chain.id):
        for _, message in fan_out(event, 1):
            shard.apply(message)
        head = event.parts[0]
        tip = head.hash if isinstance(head, BlockRecord) else tip
    traded = [tracked for tracked in shard.pools.values() if not tracked.reason]
    wanted = sorted({(need.address, key) for pool in traded for need in pool.needs.slots for key in need.keys})
    assert wanted, "no pool is in trade"
    node, at = world.devnet.anvil.node, {"blockHash": to_hex(tip)}
    calls = [("eth_getStorageAt", [to_hex(address), to_hex(key), at]) for address, key in wanted]
    told = [
        data(text) for start in range(0, len(calls), _AT_ONCE) for text in node.all(calls[start : start + _AT_ONCE])
    ]
    return [
        f"slot 0x{key.hex()} of 0x{address.hex()}: {ours.hex() if ours else ours}, the node says {theirs.hex()}"
        for (address, key), theirs in zip(wanted, told, strict=True)
        if (ours := shard.accounts[address].slots.get(key)) != theirs
    ]
