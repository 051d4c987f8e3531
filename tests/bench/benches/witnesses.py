"""What pending transactions read, told by traces and by access lists: what each way costs, and whether the witnesses come to the same.

The transactions are those of the bench `burst`. A trace is one request that tells all. A list is one that names accounts and slots, whose state is read
besides, each part of it once a block; of pools that are followed all slots of their own (see `infra/chain/listed.py`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from rich import box
from rich.table import Table

from flows.ingest.desk import own_slots
from infra.chain import blocks
from infra.chain.listed import Lists
from infra.chain.raw_transactions import encode_signed
from infra.chain.reads import PackedRead
from infra.chain.tracing import At, reads
from infra.chain.transactions import SignedTransaction, decode
from infra.ingest.pending_events import pending_record
from infra.toolchain.paths import ToolMissing
from operators.search.tables import warm_up
from operators.simulation.engines import make_engine
from schemas.opportunities import VerdictKind
from tests.bench.burst_chain import BurstChain, absent, burst_chain
from tests.bench.burst_world import BurstWorld, burst_world
from tests.bench.result import Result, Settings
from tests.bench.told_ways import Cost, Outcome, Way, WeighedNode, env_of, outcome, tell

#: As many as the sequencer asks for at once.
AT_ONCE = 32
_POOLS = 300
BY_TRACES, BY_LISTS, WITHOUT_SLOTS = "traces", "access lists", "access lists, no slots of pools besides"


#: A list that this node does not tell.
UNTOLD = "no list: the call fails, and this node tells none then"


class Told(NamedTuple):
    """What one way told, and the cost of each round."""

    found: list[PackedRead | None]
    costs: list[Cost]


def run(settings: Settings) -> Result:
    """Where the recordings and the node are."""
    result = Result()
    if missing := absent(settings.data):
        result.notes.append(f"recordings that are not under {settings.data}: {', '.join(missing)}; left out")
        return result
    logging.getLogger("httpx").setLevel(logging.WARNING)
    shutil.rmtree(settings.folder, ignore_errors=True)
    warm_up()
    try:
        with burst_chain(settings.data, settings.folder.resolve()) as chain:
            world = burst_world(chain, settings.folder.resolve(), _POOLS)
            chain.mine(1)
            asyncio.run(measure(result, chain, world, 2 if settings.quick else 9))
    except ToolMissing as error:
        result.notes.append(f"left out: {error}")
    return result


async def measure(result: Result, chain: BurstChain, world: BurstWorld, rounds: int) -> None:
    """Each way so many times about the node's head; into the result."""
    records = [pending_record(world.config.chain.id, _transaction(told), 0) for told in chain.waiting]
    ways: dict[str, Callable[[WeighedNode], Way]] = {
        BY_TRACES: lambda node: partial(reads, node),
        BY_LISTS: lambda node: Lists(node, partial(own_slots, world.intake.state)).reads,
        WITHOUT_SLOTS: lambda node: Lists(node, lambda _: frozenset()).reads,
    }
    told: dict[str, Told] = {}
    async with WeighedNode(world.config.chain.http_url, world.config.chain.request_timeout_s) as node:
        header = await blocks.head(node)
        at = At.after(header, world.config.chain.block_seconds)
        for number in range(rounds + 1):
            for name, way in ways.items():
                found, cost = await tell(node, way(node), records, at, AT_ONCE)
                # The first round is for the node, which reads its state from disk then, and for connections.
                told[name] = Told(found, [*(told[name].costs if name in told else ()), cost][1 if number == 1 else 0 :])
    env, engine = env_of(world.config.chain.id, world.config.chain.fork, header, at), make_engine("auto")
    outcomes = {
        name: [
            None if read is None else outcome(engine, env, r, read) for r, read in zip(records, t.found, strict=True)
        ]
        for name, t in told.items()
    }
    _say_costs(result, told, len(records))
    _say_outcomes(result, outcomes)


def _transaction(told: bytes) -> SignedTransaction:
    return decode(encode_signed(json.loads(told)))


def _say_costs(result: Result, told: Mapping[str, Told], count: int) -> None:
    table = _table(
        f"of each of {count} pending transactions, {AT_ONCE} at once",
        "told by", "requests", "HTTP requests", "bytes sent", "bytes received", "ms p50", "ms least",
    )  # fmt: skip
    for name, (_, costs) in told.items():
        seconds = sorted(cost.seconds for cost in costs)
        one = costs[0]
        row = {
            "requests": one.requests / count, "posts": one.posts / count, "sent": one.sent / count, "received": one.received / count,
            "ms": median(seconds) / count * 1e3, "ms_least": seconds[0] / count * 1e3,
        }  # fmt: skip
        result.numbers.setdefault("cost", {})[name] = row
        cells = (f"{row['requests']:.1f}", f"{row['posts']:.2f}", f"{row['sent']:,.0f}", f"{row['received']:,.0f}")
        table.add_row(name, *cells, f"{row['ms']:.2f}", f"{row['ms_least']:.2f}")
    result.tables.append(table)
    result.notes.append(
        f"{len(told[BY_TRACES].costs)} rounds in turn, each with nothing known beforehand. The time is the node's (anvil, on this machine) and ours: asking, "
        "reading answers, packing. Traces come with the codes of all contracts each time; for lists each code is read once."
    )


def _say_outcomes(result: Result, outcomes: Mapping[str, Sequence[Outcome | None]]) -> None:
    table = _table("verdicts on the witnesses, against those on the traces'", "told by", "which", "transactions")
    for name in (BY_LISTS, WITHOUT_SLOTS):
        counts = Counter(_compared(*both) for both in zip(outcomes[BY_TRACES], outcomes[name], strict=True))
        for what, number in counts.most_common():
            table.add_row(name, what, str(number))
        result.numbers.setdefault("verdicts", {})[name] = dict(counts)
    result.tables.append(table)


def _compared(by_trace: Outcome | None, by_list: Outcome | None) -> str:
    if by_trace is None:
        return "not traced" if by_list is None else "told by a list alone"
    if by_list is None:
        failed = by_trace.kind in (VerdictKind.REVERTED, VerdictKind.HALTED)
        return UNTOLD if failed else f"no list ({by_trace.kind.value} by the trace)"
    if by_list == by_trace:
        return f"the same: {by_trace.kind.value} {by_trace.reason if by_trace.kind is VerdictKind.REFUSED else ''}".rstrip()
    if by_list.kind is VerdictKind.REFUSED:
        return f"refused by the list ({by_list.reason}), {by_trace.kind.value} by the trace"
    return f"ANOTHER: {by_list.kind.value} by the list, {by_trace.kind.value} by the trace"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number and column != "which" else "left")
    return table
