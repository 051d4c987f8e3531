"""What the sequencer knows of its own log: the chain it wrote, the pools in it, the state it keeps fresh, the next number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from operators.ingest.doubts import Doubts
from operators.ingest.drift import Drift
from operators.ingest.head_tracker import HeadTracker, Link
from operators.ingest.held import GONE, HeldPools
from operators.ingest.log_sources import LogSources
from operators.ingest.resume import LogBroken, current_chain, known_pools, link_of
from operators.ingest.tracked_state import TrackedState, as_slots
from operators.ingest.untraced import Untraced
from operators.pools.base import BadState, Found
from operators.pools.records import pool_of
from schemas.blocks import BlockRecord
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import PoolOp, PoolRecord

#: The owner under which our own accounts' needs are tracked: no pool has this address.
OURSELVES = b"ourselves"
_CODES_KEPT = 1 << 18


def found_in(record: PoolRecord) -> Found:
    """A pool of the log as it was found."""
    return Found(record.family, record.address, record.factory, record.seed)


class LogState:
    """Follows the log. Changed only by what was committed, so it is never ahead of it."""

    def __init__(self, depth: int, executor: bytes, owner: bytes, factories: Sequence[FactoryConfig] = ()) -> None:
        """Of `factories` the announcements are recorded."""
        self._depth = depth
        self.next_seq = 0
        self._published: set[bytes] = set()
        self.pools: dict[bytes, PoolRecord] = {}
        self.tracked = TrackedState()
        self.tracked.track_whole(executor)
        self.tracked.put(OURSELVES, {owner: frozenset(), executor: frozenset()})
        #: Pools to be admitted (again), in order, by their keys.
        self.to_admit: dict[bytes, Found] = {}
        #: Pools suspended by a command.
        self.held = HeldPools()
        #: Pools that are not traded because the node did not trace.
        self.untraced = Untraced()
        #: Pools about which the node contradicted itself.
        self.doubts = Doubts()
        self.log_sources = LogSources(factories)
        self.drift = Drift()
        self._resuming = False
        self._blocks: dict[bytes, BlockRecord] = {}
        self._tracker: HeadTracker | None = None

    # ---------------------------------------------------------------- the chain

    @property
    def fresh(self) -> bool:
        """Whether the log has no block yet."""
        return self._tracker is None

    @property
    def tracker(self) -> HeadTracker:
        """The chain's linkage. Raises `LogBroken` before the first block."""
        if self._tracker is None:
            raise LogBroken("the log has no block yet")
        return self._tracker

    @property
    def tip(self) -> BlockRecord:
        """The newest block in the log."""
        return self._blocks[self.tracker.tip.hash]

    def block(self, link: Link) -> BlockRecord:
        """The record of a block of the chain."""
        return self._blocks[link.hash]

    @property
    def interval(self) -> int:
        """Seconds between the two newest blocks, at least 1: what the next one is expected to take."""
        chain = self.tracker.chain
        if len(chain) < 2:
            return 1
        return max(1, self.tip.timestamp - self._blocks[chain[-2].hash].timestamp)

    def resume(self, next_seq: int, blocks: Sequence[BlockRecord], pools: Iterable[PoolRecord]) -> None:
        """Take over what the log's tail says. Raises `LogBroken`."""
        self.next_seq = next_seq
        chain = current_chain(blocks)
        if not chain:
            if next_seq:
                raise LogBroken(f"the log ends with seq {next_seq - 1} but its tail has no block that stands")
            return
        self._blocks = {b.hash: b for b in chain}
        self._tracker = HeadTracker([link_of(b) for b in chain], self._depth)
        self._prune()
        known = known_pools(pools, blocks)
        for record, admitted_at in known.suspended:
            self.held.hold(record, admitted_at)
        self._resuming = True
        for record in known.standing.values():
            self.admitted(record)
        for record in known.outdated.values():
            self.admitted(record)
            self._again(record)
        self._resuming = False

    def applied(self, block: BlockRecord) -> None:
        """A block was written."""
        link = link_of(block)
        self._tracker = HeadTracker([link], self._depth) if self._tracker is None else self._tracker.extended(link)
        self._blocks[block.hash] = block
        self._prune()

    def reverted(self, block: BlockRecord) -> None:
        """A block was taken off. Pools admitted on it or above are to be admitted again: their recorded state is gone with it."""
        self._tracker = self.tracker.reverted()
        self._blocks.pop(block.hash, None)
        self.drift.reverted(block.number)
        self.doubts.reverted(block.number)
        for record in self.pools.values():
            if record.block_number >= block.number:
                self._again(record)

    def logged(self, number: int, logs: Sequence[Log]) -> None:
        """These logs of the block were written. Pools that moved away from what their records name are to be admitted again."""
        for address in self.drift.block(number, logs):
            self._again(self.pools[address])

    def _prune(self) -> None:
        keep = {link.hash for link in self.tracker.chain}
        if len(self._blocks) > len(keep):
            self._blocks = {h: b for h, b in self._blocks.items() if h in keep}

    # ---------------------------------------------------------------- codes

    @property
    def published(self) -> Set[bytes]:
        """Hashes of the codes that a witness of this session has carried."""
        return self._published

    def publish(self, hashes: Iterable[bytes]) -> None:
        """Codes were written. When too many are remembered all are forgotten: they are merely written once more."""
        if len(self._published) > _CODES_KEPT:
            self._published.clear()
        self._published.update(hashes)

    # ---------------------------------------------------------------- pools

    def admitted(self, record: PoolRecord) -> None:
        """A pool event was written."""
        self.to_admit.pop(record.address, None)
        self.untraced.note(record)
        if record.op is PoolOp.SUSPEND:
            old = self.pools.pop(record.address, None)
            if record.refusal != GONE:
                since = old.block_number if old else self.held.held_since(record.address)
                self.held.hold(record, record.block_number if since is None else since)
            self.log_sources.drop(record.address)
            self.tracked.drop(record.address)
            self.drift.dropped(record.address)
            return
        self.held.release(record.address)
        self.pools[record.address] = record
        self.tracked.put(record.address, as_slots(record.needs))
        self.log_sources.drop(record.address)
        self.drift.dropped(record.address)
        if not record.state:
            return
        try:
            pool = pool_of(record)
        except BadState:
            # Written by another version of its family: what the chain has now is read instead.
            self._again(record)
            return
        self.log_sources.put(record.address, pool.log_sources)
        if not record.refusal:
            self.drift.admitted(pool, record.needs, record.block_number, known=not self._resuming)

    def _again(self, record: PoolRecord) -> None:
        self.to_admit[record.address] = found_in(record)

    def readmit(self, address: bytes) -> bool:
        """Have a pool of the log admitted anew, held or not; False for one that the log does not have."""
        record = self.pools.get(address) or self.held.get(address)
        if record is not None:
            self._again(record)
        return record is not None

    def discover(self, found: Iterable[Found]) -> None:
        """Pools that are to be in the log: those that are not will be admitted."""
        for pool in found:
            if pool.address not in self.pools and pool.address not in self.held:
                self.to_admit.setdefault(pool.address, pool)
