"""What keeps a market in step with its chain, measured: our graph shards. Another library is another function that makes a `Row`.

A row is measured in a process of its own, which starts with nothing of the market in memory: see `measured`.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from operators.graph.messages import ShardInput, ShardOutput, fan_out
from operators.graph.shard import GraphShard
from schemas.event import Event
from tests.bench.pool_rows import AMOUNTS, QUOTED, V2, V3, apply_seconds, asks, quote_seconds
from tests.bench.synthetic_market import LOGS, SyntheticMarket, logs_of

#: The default of `search.shards`.
SHARDS = 16
#: Logs of the longer blocks that tell what one more log costs.
LONG = 9 * LOGS
_PATIENCE = 600


@dataclass(frozen=True)
class Row:
    """One contender at one size. Seconds and bytes; None: it cannot do that.

    `bootstrap` for all pools from their records, `log` one log decoded, dispatched and applied alone, `block` a block of `LOGS` logs that
    changes `CHANGED` pools, `resident` the growth of the process per pool, `snapshot` the whole state as bytes, `stored` their number,
    `resume` from those bytes to the state. `apply_v2`, `apply_v3` one log's bytes decoded and applied to its pool, nothing around it;
    `quote_v2`, `quote_v3` one exact-input swap with the state after it. `note`: what is to be said of the row.
    """

    name: str
    size: int
    bootstrap: float | None = None
    log: float | None = None
    block: float | None = None
    resident: float | None = None
    snapshot: float | None = None
    stored: int | None = None
    resume: float | None = None
    apply_v2: float | None = None
    apply_v3: float | None = None
    quote_v2: float | None = None
    quote_v3: float | None = None
    note: str = ""


#: Measures a contender on a market of this size.
Measure = Callable[[int], Row]


class Shards:
    """The graph as the flow runs it: every event split over all shards, every shard answering."""

    def __init__(self, shards: list[GraphShard] | None = None) -> None:
        self.shards = shards or [GraphShard() for _ in range(SHARDS)]

    def split(self, event: Event) -> list[ShardInput]:
        """Decode and dispatch."""
        return [message for _, message in fan_out(event, len(self.shards))]

    def feed(self, event: Event) -> list[ShardOutput]:
        """Decode, dispatch and apply."""
        return [shard.apply(message) for shard, message in zip(self.shards, self.split(event), strict=True)]

    def snapshot(self) -> list[bytes]:
        """What Bytewax writes at the end of an epoch, one value a key."""
        return [pickle.dumps(shard.snapshot(), protocol=pickle.HIGHEST_PROTOCOL) for shard in self.shards]

    @classmethod
    def resumed(cls, stored: Iterable[bytes]) -> Shards:
        """From what was written."""
        return cls([GraphShard(pickle.loads(value)) for value in stored])  # our own bytes of a moment ago


def graph_shards(size: int) -> Row:
    """Our own row. Raises `AssertionError` where a fault shows that the logs did not fit, or a resume changed anything."""
    market, graph = SyntheticMarket(size), Shards()
    blocks = market.blocks(64 + 20)
    before = resident()
    graph.feed(market.start())
    bootstrap = 0.0
    for event in market.admissions():
        start = time.perf_counter()
        answers = graph.feed(event)
        bootstrap += time.perf_counter() - start
        assert not any(answer.faults for answer in answers)
    del event, answers
    grown = resident() - before
    # Snapshots are taken all the time while the flow runs; the first packs every pool and is part of the start.
    graph.snapshot()
    for event in blocks[:64]:
        graph.feed(event)
    seconds = [_timed(lambda event=event: graph.feed(event)) for event in blocks[64:]]  # type: ignore[misc]
    snapshot, stored = [], []
    for event in market.blocks(64 + 25)[64 + 20 :]:
        graph.feed(event)
        start = time.perf_counter()
        stored = graph.snapshot()
        snapshot.append(time.perf_counter() - start)
    start = time.perf_counter()
    again = Shards.resumed(stored)
    resume = time.perf_counter() - start
    assert [shard.digest for shard in again.shards] == [shard.digest for shard in graph.shards]
    pools = {key: tracked.pool for shard in graph.shards for key, tracked in shard.pools.items()}
    # Blocks after the last one.
    apply = apply_seconds(pools, [logs_of(event) for event in market.blocks(64 + 45)[64 + 25 :]])
    quote = {kind: quote_seconds(pools, asks(pools, kind, QUOTED, AMOUNTS)) for kind in (V2, V3)}
    return Row(
        "sluice", size, bootstrap=bootstrap, log=_one_log(market), block=median(seconds), resident=grown / size,
        snapshot=median(snapshot), stored=sum(map(len, stored)), resume=resume,
        apply_v2=apply[V2], apply_v3=apply[V3], quote_v2=quote[V2], quote_v3=quote[V3],
    )  # fmt: skip


def _one_log(market: SyntheticMarket) -> float:
    """Seconds for a log beyond the first of a block: two lengths of block are compared, so what a block costs anyhow falls out."""
    graph = Shards()
    few = SyntheticMarket(min(market.size, 1000))
    graph.feed(few.start())
    for event in few.admissions():
        graph.feed(event)
    short, long = (few.blocks(40, logs)[20:] for logs in (LOGS, LONG))
    for event in few.blocks(20):
        graph.feed(event)
    times = [median(_timed(lambda event=event: graph.feed(event)) for event in part) for part in (short, long)]  # type: ignore[misc]
    return max(0.0, times[1] - times[0]) / (LONG - LOGS)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident() -> int:
    """Bytes of memory that this process has in use, after a collection; 0 where the system does not tell."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def measured(measure: Measure, size: int) -> Row:
    """The row, measured in a process of its own. Raises `RuntimeError` where that process failed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(measure, size, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_PATIENCE):
            raise RuntimeError(f"no answer within {_PATIENCE} s")
        row = ours.recv()
    except EOFError:
        raise RuntimeError(f"the process that measured {size} pools ended without an answer") from None
    finally:
        process.kill()
        process.join()
    assert isinstance(row, Row)
    return row


def _measure(measure: Measure, size: int, pipe: Connection) -> None:
    pipe.send(measure(size))
