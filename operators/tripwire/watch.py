"""One shard of the tripwire: the graph shard's own core, with a tally of each pool's logs, and the samples drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from operators.graph.journal import DEPTH, Journal, UndoForm
from operators.graph.messages import ShardInput
from operators.graph.shard import GraphShard
from operators.graph.tracked import Tracked
from operators.pools import FAMILIES
from operators.pools.base import Found, Pool
from operators.tripwire.messages import Mark, Sample, Sampled, TakenOff
from operators.tripwire.rotation import Rotation, sample_size
from operators.tripwire.tally import Tally
from schemas.decisions import EventKind
from schemas.logs import Log
from schemas.pools import PoolOp, PoolRecord

SNAPSHOT_VERSION = 1


class WatchSettings(NamedTuple):
    """`delay` blocks pass before a sample is given out, so that a late log can be told from a missing one. `least` pools are sampled per
    shard and block where there are so many; `block_seconds` is the chain's."""

    delay: int
    least: int
    block_seconds: int
    journal_depth: int = DEPTH


class _Counted(NamedTuple):
    """A pool's logs after the block with which it was admitted, and how many of them its last sample knew."""

    since: int
    tally: Tally
    last: Mark


class _UndoCount(NamedTuple):
    address: bytes
    before: _Counted | None


def _plain_counted(counted: _Counted) -> tuple[int, ...]:
    return counted.since, *counted.tally, counted.last.number, *counted.last.tally


def _counted(since: int, logs: int, total: int, last: int, last_logs: int, last_total: int) -> _Counted:
    return _Counted(since, Tally(logs, total), Mark(last, Tally(last_logs, last_total)))


_UNDO: UndoForm[_UndoCount] = UndoForm(
    lambda undo: (undo.address, *(() if undo.before is None else _plain_counted(undo.before))),
    lambda plain: _UndoCount(plain[0], _counted(*plain[1:]) if plain[1:] else None),
)


class _Waiting(NamedTuple):
    """A sample that is not given out yet: the block with its event, and of each pool its state and tally at that block."""

    seq: int
    number: int
    block_hash: bytes
    timestamp: int
    pools: tuple[tuple[bytes, Pool, Tally], ...]


class _Graph(GraphShard):
    """The graph shard, telling of every log that it applies to a pool."""

    def __init__(
        self, snapshot: tuple[Any, ...] | None, journal_depth: int, applied: Callable[[bytes, Log], None]
    ) -> None:
        super().__init__(snapshot, journal_depth)
        self._applied = applied

    def _apply_log(self, tracked: Tracked, log: Log) -> None:
        self._applied(tracked.pool.address, log)
        super()._apply_log(tracked, log)


class WatchShard:
    """Keeps its pools as the search flow does, and draws a sample of them at each block."""

    def __init__(self, settings: WatchSettings, shard: int, state: tuple[Any, ...] | None = None) -> None:
        self._settings = settings
        self._shard = shard
        version, graph, counted, journal, found, cursor, waiting = state or (
            SNAPSHOT_VERSION,
            None,
            (),
            (),
            (),
            b"",
            (),
        )
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"tripwire snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self.graph = _Graph(graph, settings.journal_depth, self._count)
        self._counted: dict[bytes, _Counted] = {address: _counted(*plain) for address, *plain in counted}
        self._journal: Journal[_UndoCount] = Journal(_UNDO, settings.journal_depth)
        self._journal.restore(journal)
        #: How each pool was found; never changes, so it is not undone.
        self._found: dict[bytes, Found] = {plain[1]: Found(*plain) for plain in found}
        self._rotation = Rotation(cursor)
        self._waiting: list[_Waiting] = [_waiting_from_plain(w) for w in waiting]

    def apply(self, message: ShardInput) -> list[Sample | TakenOff]:
        """Take one event's share; the samples that are due after it. Raises `JournalError` on an impossible revert."""
        # What simulations read is not looked at here and need not be kept.
        self._admit(message.pool)
        if message.kind is EventKind.BLOCK:
            self._journal.begin(message.number, message.block_hash)
        self.graph.apply(msgspec.structs.replace(message, accounts=()))
        if message.kind is EventKind.REVERT:
            return self._take_off(message)
        if message.kind is not EventKind.BLOCK:
            return []
        self._waiting.append(self._draw(message))
        due = [w for w in self._waiting if w.number + self._settings.delay <= message.number]
        self._waiting = self._waiting[len(due) :]
        return [self._told(waiting, message.number) for waiting in due]

    def snapshot(self) -> tuple[Any, ...]:
        """The whole state as versioned plain data."""
        return (
            SNAPSHOT_VERSION,
            self.graph.snapshot(),
            tuple((address, *_plain_counted(c)) for address, c in self._counted.items()),
            self._journal.snapshot(),
            tuple(tuple(found) for found in self._found.values()),
            self._rotation.cursor,
            tuple(_plain_waiting(w) for w in self._waiting),
        )

    # ------------------------------------------------------------ what the log says

    def _admit(self, record: PoolRecord | None) -> None:
        if record is None or record.op is not PoolOp.ADD:
            return
        self._found[record.address] = Found(record.family, record.address, record.factory, record.seed)
        # The state it comes with holds what its logs said up to here.
        self._set(record.address, _Counted(record.block_number, Tally(), Mark(record.block_number, Tally())))

    def _count(self, address: bytes, log: Log) -> None:
        known = self._counted[address]
        self._set(address, known._replace(tally=known.tally.plus(log)))

    def _set(self, address: bytes, counted: _Counted) -> None:
        self._journal.note([_UndoCount(address, self._counted.get(address))])
        self._counted[address] = counted

    def _undo(self, undo: _UndoCount) -> None:
        if undo.before is None:
            self._counted.pop(undo.address, None)
        else:
            self._counted[undo.address] = undo.before

    def _take_off(self, message: ShardInput) -> list[Sample | TakenOff]:
        self._journal.revert(message.number, message.block_hash, self._undo)
        self._waiting = [w for w in self._waiting if w.block_hash != message.block_hash]
        return [TakenOff(message.number, message.block_hash)] if self._shard == 0 else []

    # ------------------------------------------------------------ samples

    def _draw(self, block: ShardInput) -> _Waiting:
        pools = self.graph.pools
        tradable = {address: None for address, tracked in pools.items() if not tracked.reason}
        size = sample_size(len(tradable), self._settings.block_seconds, self._settings.least)
        drawn = tuple(
            (address, pools[address].pool, self._counted[address].tally)
            for address in self._rotation.next(tradable, size)
        )
        return _Waiting(block.seq, block.number, block.block_hash, block.timestamp, drawn)

    def _told(self, waiting: _Waiting, head: int) -> Sample:
        pools: list[Sampled] = []
        for address, pool, then in waiting.pools:
            counted = self._standing(address, waiting.number)
            if counted is not None:
                pools.append(Sampled(self._found[address], pool, counted.since, counted.last, then, counted.tally))
                self._set(address, counted._replace(last=Mark(waiting.number, then)))
        return Sample(
            waiting.seq, self._shard, waiting.number, waiting.block_hash, waiting.timestamp, head, tuple(pools)
        )

    def _standing(self, address: bytes, number: int) -> _Counted | None:
        """What is counted of a pool that still is what it was when block `number` was sampled: not suspended, not admitted anew."""
        tracked, counted = self.graph.pools.get(address), self._counted.get(address)
        if tracked is None or tracked.reason or counted is None or counted.since >= number:
            return None
        return counted


def _plain_waiting(waiting: _Waiting) -> tuple[Any, ...]:
    pools = tuple((a, pool.FAMILY, pool.to_plain(), tuple(tally)) for a, pool, tally in waiting.pools)
    return (*waiting[:4], pools)


def _waiting_from_plain(plain: tuple[Any, ...]) -> _Waiting:
    seq, number, block_hash, timestamp, pools = plain
    drawn = tuple((a, FAMILIES[f].from_plain(p), Tally(*tally)) for a, f, p, tally in pools)
    return _Waiting(seq, number, block_hash, timestamp, drawn)
