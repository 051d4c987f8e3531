"""Pools that are tracked and not traded because the node did not trace what a trade through them reads: they are tried again, a little at a time."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from schemas.pools import PoolOp, PoolRecord

#: Refusal of a pool whose reads could not be traced.
UNTRACEABLE = "untraceable"
#: Blocks between two tries, of one pool each, on a node that does not trace.
TRY_EVERY = 8
#: Pools of one try where the last one showed that the node traces again.
_AT_ONCE = 64


class Untraced:
    """The untraceable pools of the log, those tried longest ago first."""

    def __init__(self) -> None:
        self._pools: dict[bytes, None] = {}
        self._next = 0
        self._count = 1

    def note(self, record: PoolRecord) -> None:
        """A pool event was written."""
        if record.op is PoolOp.ADD and record.refusal == UNTRACEABLE:
            self._pools[record.address] = None
            # The node was asked just now.
            self._next = max(self._next, record.block_number + TRY_EVERY)
        else:
            self._pools.pop(record.address, None)

    def due(self, number: int) -> list[bytes]:
        """The pools to be tried at this block; none where it is not yet time."""
        return list(islice(self._pools, self._count)) if number >= self._next else []

    def tried(self, pools: Collection[bytes], number: int) -> None:
        """These were tried at a block, and what came of it was noted before."""
        still = [pool for pool in pools if pool in self._pools]
        for pool in still:
            del self._pools[pool]
            self._pools[pool] = None
        self._count = _AT_ONCE if len(still) < len(pools) else 1
        # Where some could be traced the others are tried at once, until none can.
        self._next = number if self._count > 1 else number + TRY_EVERY
