"""A block of 450 logs and 400 pending transactions at once: from their arrival to the signed bundles, on two cores.

The way measured is the live one without network and Kafka: the node's answers as JSON, parsed and checked; senders recovered; records made, encoded
and, in the search's process, decoded; graph, overlay, search, simulation, decision; bundles signed, with the relay's header. The sequencer works in
one process and the search in another, as live; all of the search's shards are in the one. Beside it the same job as a chain of calls to the node.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.table import Table

from infra.chain.raw_transactions import encode_signed
from infra.chain.transactions import SignedTransaction, decode
from infra.devnet.node import quantity, to_hex
from infra.toolchain.paths import ToolMissing
from operators.search.tables import warm_up
from operators.simulation.engines import describe
from schemas.decisions import EventKind
from tests.bench import burst_run, rpc
from tests.bench.burst_calls import BATCH, CallTimes, Routes, agreeing, ask, asked
from tests.bench.burst_chain import BurstChain, absent, burst_chain
from tests.bench.burst_intake import AFTERWARDS
from tests.bench.burst_run import Burst, OneEvent, Run
from tests.bench.burst_world import BurstWorld, burst_world
from tests.bench.result import Result, Settings, percentile

#: Pools in the graph.
POOLS = 10_000
#: The target in milliseconds for all of it, on two cores.
WHOLE_MS = 100
_SHARES = (0.5, 0.9)


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
            _measure(result, chain, settings)
    except ToolMissing as error:
        result.notes.append(f"left out: {error}")
    return result


def _measure(result: Result, chain: BurstChain, settings: Settings) -> None:
    world = burst_world(chain, settings.folder.resolve(), POOLS)
    burst = Burst(chain.mine(1), chain.waiting)
    asked_s = burst_run.ask_once(world, burst)
    before = os.getloadavg()[0]
    runs = [burst_run.run(world, burst) for _ in range(5 if settings.quick else 40)]
    result.notes.append(
        f"{len(runs)} repetitions, each from the same state; load average {before:.1f} before and {os.getloadavg()[0]:.1f} after on {os.cpu_count()} "
        "cores, of which two are used. Stages are in processor time, which other people's work changes less than the clock's."
    )
    _say_case(result, chain, world, runs[0])
    result.notes.append(
        "Not in it: Kafka, and the node's own time for the answers, which live goes before (transactions are traced as they come, a few at a time). This node, "
        f"anvil, took {asked_s[0]:.1f} s for the block, which it traces by running each transaction behind all before it, and {asked_s[1]:.1f} s for the pending ones."
    )
    _ends(result, runs)
    _stages(result, runs)
    _each(result, runs)
    _rival(result, chain, world, runs, 2 if settings.quick else 7)


# ---------------------------------------------------------------- what it is


def _say_case(result: Result, chain: BurstChain, world: BurstWorld, one: Run) -> None:
    node = chain.node.node
    receipts = node.call("eth_getBlockReceipts", "latest")
    logs = sum(len(receipt["logs"]) for receipt in receipts)
    pending = [event for event in one.events if event.kind == EventKind.PENDING]
    refused = Counter(reason for event in one.events for reason, count in event.rejected for _ in range(count))
    blocks = ", ".join(f"{count} of {number}" for number, count in sorted(chain.waiting_of.items()))
    signed = sum(event.signed is not None for event in one.events)
    result.notes += [
        f"The case: {len(pending)} recorded mainnet transactions pending ({blocks}) behind a block of {len(receipts)} recorded ones of 19929064 and 19932703 with "
        f"{logs} logs, on a node that holds the state before these blocks laid together. {world.pools:,} pools in the graph: {world.real} on the node (recorded "
        "Uniswap V2 pairs, and beside each a second one at its price, without which nearly no route would pay; the recordings do not hold enough of the V3 pools' ticks "
        "to follow those), the others made up and at rest.",
        f"Of the pending, {sum(event.moved for event in pending)} do something to a pool, {sum(event.candidates > 0 for event in pending)} have a route behind them; the block "
        f"has {sum(event.candidates for event in one.events) - sum(event.candidates for event in pending)} routes. {signed} bundles signed. Not followed, or not chosen: "
        + ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items())),
        f"Engine: {describe('auto')}",
    ]
    result.numbers["case"] = {
        "pending": len(pending), "logs": logs, "pools": world.pools, "on_the_node": world.real, "signed": signed,
        "moving": sum(event.moved for event in pending), "routes": sum(event.candidates for event in one.events),
        "rejected": dict(refused),
    }  # fmt: skip


# ---------------------------------------------------------------- how long


def _ends(result: Result, runs: Sequence[Run]) -> None:
    rows = {
        f"all decided and signed, two cores (target {WHOLE_MS})": [one.whole_s for one in runs],
        "the same, if each process had its core to itself": [one.ended_by_processor_s()[1] for one in runs],
        "the block's own bundle signed": [one.block_s for one in runs],
        "the same, with a core for each process": [one.ended_by_processor_s()[0] for one in runs],
        "the block in the log": [one.block_written_s for one in runs],
        "all in the log": [one.all_written_s for one in runs],
    }
    table = _table(
        "milliseconds from the arrival, by the clock where nothing else is said", "until", "p50", "p90", "least"
    )
    result.numbers["ends_ms"] = {}
    for name, seconds in rows.items():
        ordered = sorted(1e3 * each for each in seconds)
        values = [*(percentile(ordered, share) for share in _SHARES), ordered[0]]
        table.add_row(name, *(f"{value:.1f}" for value in values))
        result.numbers["ends_ms"][name] = dict(zip(("p50", "p90", "least"), values, strict=True))
    result.tables.append(table)


def _stages(result: Result, runs: Sequence[Run]) -> None:
    stages = {name: sorted(1e3 * one.stages[name] for one in runs) for name in runs[0].stages}
    whole = sum(map(median, stages.values()))
    sequencer = set(runs[0].intake)
    table = _table(
        "milliseconds of processor time, one core", "stage", "process", "p50", "least", "share", "µs a transaction"
    )
    pending = sum(event.kind == EventKind.PENDING for event in runs[0].events)
    for kind in (EventKind.BLOCK, EventKind.PENDING):
        mine = {name: values for name, values in stages.items() if name.startswith(kind)}
        for name, values in mine.items():
            each = f"{median(values) / pending * 1e3:.1f}" if kind is EventKind.PENDING else ""
            where = "sequencer" if name in sequencer else "search"
            table.add_row(name, where, *_cells(values, whole), each)
        total = sorted(sum(one.stages[name] for name in mine) * 1e3 for one in runs)
        each = f"{median(total) / pending * 1e3:.1f}" if kind is EventKind.PENDING else ""
        table.add_row(f"{kind.value}: all", "", *_cells(total, whole), each, end_section=True)
        if kind is EventKind.BLOCK:
            signed = sorted(sum(one.stages[name] for name in mine if name != AFTERWARDS) * 1e3 for one in runs)
            result.notes.append(
                f"The block to its signed bundle, compute of one core: p50 {median(signed):.1f} ms, p99 {percentile(signed, 0.99):.1f} ms, least {signed[0]:.1f} ms. Both processes are in it, and "
                "reading what the node traces of the block's state changes. They have just begun and took one block before; the bench `block` (T9) has the same block in processes that took several."
            )
    totals = {
        "sequencer": sorted(sum(one.intake.values()) * 1e3 for one in runs),
        "search": sorted((sum(one.stages.values()) - sum(one.intake.values())) * 1e3 for one in runs),
        "both": sorted(sum(one.stages.values()) * 1e3 for one in runs),
    }
    for name, values in totals.items():
        table.add_row(f"all: {name}", name, *_cells(values, whole), "")
    result.tables.append(table)
    result.numbers["stages_ms"] = {
        name: {"p50": median(values), "least": values[0]} for name, values in {**stages, **totals}.items()
    }


def _cells(ordered: Sequence[float], whole: float) -> tuple[str, str, str]:
    return f"{median(ordered):.2f}", f"{ordered[0]:.2f}", f"{median(ordered) / whole:.1%}"


def _each(result: Result, runs: Sequence[Run]) -> None:
    """What a pending transaction costs the search, by what became of it."""
    kinds: dict[str, list[float]] = {}
    for one in runs:
        for event in one.events:
            if event.kind == EventKind.PENDING:
                kinds.setdefault(_kind(event), []).append(sum(event.shares.values()) * 1e6)
    table = _table("a pending transaction in the search, µs of processor time", "which", "of 400", "p50", "p90", "most")
    for name in sorted(kinds):
        ordered = sorted(kinds[name])
        values = (median(ordered), percentile(ordered, 0.9), ordered[-1])
        table.add_row(name, str(len(ordered) // len(runs)), *(f"{value:,.0f}" for value in values))
        result.numbers.setdefault("pending_us", {})[name] = dict(zip(("p50", "p90", "most"), values, strict=True))
    result.tables.append(table)


def _kind(event: OneEvent) -> str:
    if event.candidates:
        return "with a route behind it"
    if event.moved:
        return "does something to a pool, no route"
    return "not followed" if event.rejected else "does nothing to a pool"


# ---------------------------------------------------------------- as node calls


def _rival(result: Result, chain: BurstChain, world: BurstWorld, runs: Sequence[Run], rounds: int) -> None:
    pending = [decode(encode_signed(json.loads(told))) for told in chain.waiting]
    routes, base_fee = _routes(chain, world, runs[0].events, pending)
    pools = {record.address: record.family for record in world.intake.state.pools.values()}
    questions = asked(chain.node.node, pools, base_fee, pending, routes)
    ways: dict[str, list[CallTimes]] = {}
    connection = rpc.Http(chain.node.port)
    try:
        for _ in range(rounds):
            for name, at_once in (("one by one", 1), (f"in batches of {BATCH}", BATCH)):
                times, answers = ask(connection, questions, at_once)
                ways.setdefault(name, []).append(times)
    finally:
        connection.close()
    ours = sorted(one.whole_s for one in runs)
    table = _table(
        f"the same job as calls to a node on this machine: {ways['one by one'][0].requests} requests, milliseconds by the clock",
        "", *questions._fields, "all p50", "least", "times ours p50", "least",
    )  # fmt: skip
    for name, taken in ways.items():
        whole = sorted(times.whole_s for times in taken)
        parts = {part: median(times.seconds[part] for times in taken) * 1e3 for part in questions._fields}
        ratios = (median(whole) / median(ours), whole[0] / ours[0])
        table.add_row(
            name,
            *(f"{parts[part]:,.0f}" for part in questions._fields),
            f"{median(whole) * 1e3:,.0f}", f"{whole[0] * 1e3:,.0f}", *(f"{ratio:.1f}" for ratio in ratios),
        )  # fmt: skip
        result.numbers.setdefault("node_calls_ms", {})[name] = {
            **parts, "p50": median(whole) * 1e3, "least": whole[0] * 1e3, "ratio": ratios[0], "ratio_of_least": ratios[1],
        }  # fmt: skip
    result.tables.append(table)
    result.notes.append(
        f"Node calls: {rounds} rounds over one kept connection, and no network. Given to it: which routes there are (a bot without a graph would ask for every one it tries), "
        f"encoding, signatures. Of the {len(routes.found)} routes the node says the same as our simulation, to the gas, of {agreeing(routes, answers)}."
    )


def _routes(
    chain: BurstChain, world: BurstWorld, events: Iterable[OneEvent], pending: Sequence[SignedTransaction]
) -> tuple[Routes, int]:
    """What was found behind what, and the base fee of the block it is for."""
    by_hash = {tx.hash: tx for tx in pending}
    found, base_fee = [], 0
    for event in events:
        if event.decision.chosen is not None:
            base_fee = event.decision.chosen.base_fee
        for route in event.opportunities:
            hashes = (*route.preceding, route.target) if route.target else ()
            found.append((route, [by_hash[tx_hash] for tx_hash in hashes]))
    executor = world.config.executor
    nonce = quantity(chain.node.node.call("eth_getTransactionCount", to_hex(executor.owner), "latest"))
    return Routes(found, executor.owner, executor.address, nonce, world.config.decide.max_gas), base_fee


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
