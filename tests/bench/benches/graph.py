"""Graph state at 1 k, 10 k and 100 k pools: bootstrap from records, logs and blocks applied, memory, snapshot and resume; degenbot beside it.

One process holds all shards, as the search flow does by default. A snapshot is what an epoch stores: the whole state of every shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice

from rich import box
from rich.table import Table

from operators.graph.codes import CODE_SHARDS
from tests.acceptance.market_recordings import market_recordings
from tests.bench.code_rows import LENGTH, CodeRow, code_shards
from tests.bench.degenbot_graph import degenbot_pools
from tests.bench.graph_rows import Measure, Row, graph_shards, measured
from tests.bench.recorded_market import RecordedRow, degenbots, ours, story
from tests.bench.result import Result, Settings
from tests.bench.synthetic_market import CHANGED, LOGS, TICKS

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
#: Contract codes: of ten thousand pools there are no more, since pools of a family and many tokens share theirs.
CODES = (1_000, 10_000)

#: Who is measured. A rival is another function from a size to its row.
CONTENDERS: tuple[Measure, ...] = (graph_shards, degenbot_pools)

_COLUMNS: tuple[tuple[str, str, Callable[[Row], float | None], str], ...] = (
    ("bootstrap", "s", lambda row: row.bootstrap, ",.2f"),
    ("a pool", "µs", lambda row: None if row.bootstrap is None else row.bootstrap / row.size * 1e6, ",.0f"),
    ("a log", "µs", lambda row: None if row.log is None else row.log * 1e6, ".2f"),
    ("a block", "ms", lambda row: None if row.block is None else row.block * 1e3, ".2f"),
    ("memory a pool", "kB", lambda row: None if row.resident is None else row.resident / 1e3, ".1f"),
    ("snapshot", "ms", lambda row: None if row.snapshot is None else row.snapshot * 1e3, ",.1f"),
    ("stored", "MB", lambda row: None if row.stored is None else row.stored / 1e6, ",.1f"),
    ("resume", "s", lambda row: row.resume, ",.2f"),
)
#: Of one pool alone, in microseconds.
_ONE_POOL: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("V2 log", lambda row: row.apply_v2),
    ("V3 log", lambda row: row.apply_v3),
    ("V2 quote", lambda row: row.quote_v2),
    ("V3 quote", lambda row: row.quote_v3),
)


def run(settings: Settings) -> Result:
    """Measure every contender at every size."""
    result = Result()
    table = Table(
        title=f"graph state: 9 of 10 pools Uniswap V2, the tenth V3 with {TICKS} ticks; blocks of {LOGS} logs of {CHANGED} pools",
        box=box.SIMPLE,
    )
    table.add_column("contender", no_wrap=True)
    table.add_column("pools", justify="right", no_wrap=True)
    for name, unit, _, _ in _COLUMNS:
        table.add_column(f"{name}\n{unit}", justify="right")
    rows = []
    for size in QUICK_SIZES if settings.quick else SIZES:
        for contender in CONTENDERS:
            row = measured(contender, size)
            rows.append(row)
            cells = ((value(row), form) for _, _, value, form in _COLUMNS)
            table.add_row(row.name, f"{size:,}", *(_cell(v, form) for v, form in cells))
    result.tables += [table, _of_one_pool(rows)]
    result.numbers["rows"] = [asdict(row) for row in rows]
    recorded = _recorded(settings)
    if recorded:
        result.tables.append(_of_recordings(recorded))
    result.numbers["recordings"] = [asdict(row) for row in recorded]
    codes = [code_shards(size) for size in CODES]
    result.tables.append(_of_codes(codes))
    result.numbers["codes"] = [asdict(row) for row in codes]
    result.notes += [
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end.",
        "bootstrap: every record as an event of its own over all shards; reading it from a node is the sequencer's and not in it. a log: decoded, "
        "dispatched and applied, as the difference between long and short blocks. a block: everything, with state digest and answers of all "
        "shards. memory: growth of the process. snapshot: packed and pickled, with the undo journal of 64 blocks; what the store writes is not in "
        "it. resume: unpickled and checked, with digests.",
        "recorded markets: load and blocks as above, the states written as the logs their pools emit; the few pools whose positions changed are "
        "made anew by both, since a recording has no log of that.",
        "one pool: its log's bytes decoded and applied, with nothing around it; one exact-input swap quoted with the state after it, of up to a "
        "thousandth of a side, no two alike, the ticks around the price visited before. Medians.",
        "degenbot: its own constructors with the reads answered from memory, logs decoded by eth_abi into external_update, quotes by "
        "simulate_exact_input_swap. Its block is the logs alone: it has no digest, no slots for a simulation and no answers. Pickled, its "
        "pools lose lock and history and take no update, so there is no resume (\u2013). Where "
        "its quotes are not ours, a V3 pool stands in the last tick spacing of a bitmap word and trades upwards: its walk begins behind the price.",
        "codes: all, as after a start or a resume; and the one key that a new code touches. An event without codes stores none.",
    ]
    notes = [*(row.note for row in rows), *(row.note for row in recorded)]
    result.notes += dict.fromkeys(filter(None, notes))
    if not recorded:
        result.notes.append(f"No market recordings under {settings.data}.")
    return result


def _cell(value: float | None, form: str) -> str:
    return "\u2013" if value is None else format(value, form)


def _of_one_pool(rows: list[Row]) -> Table:
    table = Table(title="one pool alone", box=box.SIMPLE)
    for name in ("contender", "pools", *(f"{name}\nµs" for name, _ in _ONE_POOL)):
        table.add_column(name, justify="left" if name == "contender" else "right")
    for row in rows:
        numbers = (None if v is None else v * 1e6 for v in (value(row) for _, value in _ONE_POOL))
        table.add_row(row.name, f"{row.size:,}", *(_cell(number, ",.2f") for number in numbers))
    return table


def _recorded(settings: Settings) -> list[RecordedRow]:
    """Both contenders on every recording; on the first alone in a short run."""
    rows = []
    for recording in islice(market_recordings(settings.data), 1 if settings.quick else None):
        told = story(recording)
        rows += [ours(told), degenbots(told)]
    return rows


def _of_recordings(rows: list[RecordedRow]) -> Table:
    table = Table(title="recorded markets: all pools with all ticks, then the blocks that follow", box=box.SIMPLE)
    table.add_column("contender", no_wrap=True)
    for name in (
        "from block",
        "V2\npools",
        "V3\npools",
        "blocks",
        "load\ns",
        "a block\nms",
        "V2 quotes\n1/s",
        "V3 quotes\n1/s",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        advance = None if row.advance is None else row.advance * 1e3
        rates = (None if seconds is None else 1 / seconds for seconds in (row.quote_v2, row.quote_v3))
        table.add_row(
            row.name,
            str(row.block),
            f"{row.v2:,}",
            f"{row.v3:,}",
            f"{row.blocks:,}",
            _cell(row.load, ",.3f"),
            _cell(advance, ",.3f"),
            *(_cell(r, ",.0f") for r in rates),
        )
    return table


def _of_codes(rows: list[CodeRow]) -> Table:
    table = Table(title=f"contract codes of {LENGTH:,} bytes under {CODE_SHARDS} keys of their own", box=box.SIMPLE)
    for name in ("codes", "snapshot\nms", "stored\nMB", "a new one\nms", "stored\nMB", "resume\nms"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (row.snapshot * 1e3, row.stored / 1e6, row.new_snapshot * 1e3, row.new_stored / 1e6, row.resume * 1e3)
        table.add_row(f"{row.size:,}", *(f"{number:,.2f}" for number in numbers))
    return table
