"""A whole graph of shards, fed with events as the flow feeds it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

import schemas.blocks
import schemas.logs
from operators.graph.digest import combine
from operators.graph.messages import ShardOutput, fan_out
from operators.graph.shard import GraphShard, Tracked
from operators.pools.base import Pool
from schemas.blocks import BlockOp, BlockRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log
from schemas.pools import PoolRecord
from tests.unit.graph.families import TIME, record


class Graph:
    """Shards and the number of the next event; blocks are 12 seconds apart."""

    def __init__(self, shards: int = 4, pools: Iterable[Pool] = ()) -> None:
        self.shards = [GraphShard() for _ in range(shards)]
        self._seq = -1
        self._blocks: list[BlockRecord] = []
        self.block()
        for pool in pools:
            self.admit(record(pool))

    @property
    def height(self) -> int:
        """The number of the newest block, from 1."""
        return len(self._blocks)

    @property
    def tracked(self) -> dict[bytes, Tracked]:
        """All pools by address."""
        return {address: tracked for shard in self.shards for address, tracked in sorted(shard.pools.items())}

    def pool(self, address: bytes) -> Pool:
        """A pool's state."""
        return self.tracked[address].pool

    def state(self) -> tuple[object, bytes]:
        """What two graphs must share to be the same: every pool as plain data with its refusal and needs, and the digest."""
        pools = tuple(
            (a, t.pool.FAMILY, t.pool.to_plain(), t.reason, t.needs.slots, t.lost)
            for a, t in sorted(self.tracked.items())
        )
        return pools, combine(shard.digest for shard in self.shards)

    def admit(self, pool: PoolRecord) -> list[ShardOutput]:
        """A pool event."""
        return self._apply(Event(1, self._next(), EventKind.POOL, (pool,)))

    def block(self, *logs: Log) -> list[ShardOutput]:
        """The next block."""
        number = len(self._blocks) + 1
        header = msgspec.structs.replace(
            schemas.blocks.GOLDEN, number=number, hash=number.to_bytes(32, "big"), timestamp=TIME + 12 * number
        )
        self._blocks.append(header)
        parts = (header, msgspec.structs.replace(schemas.logs.GOLDEN, logs=logs))
        return self._apply(Event(1, self._next(), EventKind.BLOCK, parts))

    def revert(self) -> list[ShardOutput]:
        """Take the newest block off."""
        header = msgspec.structs.replace(self._blocks.pop(), op=BlockOp.REVERT)
        return self._apply(Event(1, self._next(), EventKind.REVERT, (header,)))

    def resume(self) -> None:
        """A crash: every shard made anew from its snapshot."""
        self.shards = [GraphShard(shard.snapshot()) for shard in self.shards]

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _apply(self, event: Event) -> list[ShardOutput]:
        inputs = [message for _, message in fan_out(event, len(self.shards))]
        assert [message.shard for message in inputs] == list(range(len(self.shards)))
        return [shard.apply(message) for shard, message in zip(self.shards, inputs, strict=True)]


def faults(answers: list[ShardOutput]) -> list[str]:
    """All faults of an event."""
    return [fault for answer in answers for fault in answer.faults]


def touched(answers: list[ShardOutput]) -> list[bytes]:
    """The pools that an event changed."""
    return sorted(address for answer in answers for address in answer.touched)
