"""The recorded markets, kept in step and quoted: every pool with all its ticks, then the blocks of changes that follow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from infra.toolchain import rivals
from operators.pools import pancake_v3, uniswap_v3
from operators.pools.base import Pool
from operators.pools.concentrated import ConcentratedPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from tests.acceptance.market_recordings import Recording
from tests.bench.degenbot_graph import NAME, Step, kept
from tests.bench.graph_rows import Shards
from tests.bench.pool_rows import V2, V3, Ask, asks, kind_of, quote_seconds
from tests.bench.synthetic_market import admission, header, word

_AMOUNTS = 2


@dataclass(frozen=True)
class RecordedRow:
    """One contender and one recording, which begins at `block` with so many pools of either kind and goes on for `blocks`: seconds to load all
    pools, to advance by a block (median), and for a quote of either kind."""

    name: str
    block: int
    v2: int
    v3: int
    blocks: int
    load: float | None = None
    advance: float | None = None
    quote_v2: float | None = None
    quote_v3: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Story:
    """A recording as both contenders take it. `after`: our pools at its end."""

    block: int
    pools: Sequence[Pool]
    steps: Sequence[Step]
    after: dict[bytes, Pool]
    v2: list[list[Ask]]
    v3: list[list[Ask]]

    @property
    def asked(self) -> int:
        """How many quotes."""
        return sum(map(len, (*self.v2, *self.v3)))

    def row(self, name: str) -> RecordedRow:
        """A contender's row, without its numbers."""
        v2 = sum(kind_of(pool) == V2 for pool in self.pools)
        return RecordedRow(name, self.block, v2, len(self.pools) - v2, len(self.steps))


def story(recording: Recording) -> Story:
    """The first update as pools, every later one as the logs its pools must have written; a pool whose positions changed is made anew,
    since the recording has no log of that."""
    first, *later = recording.updates
    after = {pool.address: pool for pool in first.pools}
    steps = []
    for update in later:
        logs: list[Log] = []
        anew = []
        for pool in update.pools:
            known = after.get(pool.address)
            if known is None or _ticks(known) != _ticks(pool):
                anew.append(pool)
            else:
                logs.append(_log(pool, len(logs)))
            after[pool.address] = pool
        steps.append(Step(logs, anew))
    v2, v3 = (asks(after, kind, len(after), _AMOUNTS) for kind in (V2, V3))
    return Story(first.block, first.pools, steps, after, v2, v3)


def ours(told: Story) -> RecordedRow:
    """Our shards. Raises `AssertionError` where they do not end at the recorded states."""
    graph = Shards()
    graph.feed(Event(1, 0, EventKind.BLOCK, (header(1),)))
    load = _fed(graph, [admission(seq, pool) for seq, pool in enumerate(told.pools, 1)])
    seconds, seq = [], len(told.pools)
    for number, step in enumerate(told.steps, 2):
        events = [admission(seq + place, pool) for place, pool in enumerate(step.anew, 1)]
        seq += len(events) + 1
        events.append(
            Event(1, seq, EventKind.BLOCK, (header(number), LogsRecord(1, seq, 1, 2, bytes(32), tuple(step.logs))))
        )
        seconds.append(_fed(graph, events))
    assert {key: tracked.pool for shard in graph.shards for key, tracked in shard.pools.items()} == told.after
    return replace(
        told.row("sluice"), load=load, advance=median(seconds), quote_v2=quote_seconds(told.after, told.v2),
        quote_v3=quote_seconds(told.after, told.v3),
    )  # fmt: skip


def degenbots(told: Story) -> RecordedRow:
    """degenbot's; without numbers, and with the reason as its note, where it is not there."""
    tokens = {token for pool in told.after.values() for token in pool.tokens}
    try:
        found = kept(sorted(tokens), told.pools, len(told.pools), told.steps, told.after, [*told.v2, *told.v3])
    except rivals.RivalsUnavailable as error:
        return replace(told.row(NAME), note=f"degenbot: {error}")
    split = len(told.v2)
    return replace(
        told.row(NAME), load=found.bootstrap, advance=median(found.blocks), quote_v2=median(found.quotes[:split]),
        quote_v3=median(found.quotes[split:]),
        note=f"from block {told.block}: {found.equal:,} of {told.asked:,} quotes of degenbot equal to ours to the wei.",
    )  # fmt: skip


def _fed(graph: Shards, events: Sequence[Event]) -> float:
    spent = 0.0
    for event in events:
        start = time.perf_counter()
        answers = graph.feed(event)
        spent += time.perf_counter() - start
        assert not any(answer.faults for answer in answers)
    return spent


def _ticks(pool: Pool) -> object:
    return pool.ticks if isinstance(pool, ConcentratedPool) else None


def _log(pool: Pool, index: int) -> Log:
    """The log by which the pool's contract announces this state."""
    if isinstance(pool, V2Pool):
        return Log(pool.address, (SYNC_TOPIC,), word(pool.reserve0) + word(pool.reserve1), 0, index)
    assert isinstance(pool, ConcentratedPool)
    words = (0, 0, pool.sqrt_price, pool.liquidity, pool.tick)
    is_pancake = isinstance(pool, PancakeV3Pool)
    topic = pancake_v3.SWAP_TOPIC if is_pancake else uniswap_v3.SWAP_TOPIC
    data = b"".join(map(word, (*words, 0, 0) if is_pancake else words))
    return Log(pool.address, (topic, bytes(32), bytes(32)), data, 0, index)
