"""Graph state at 1 k, 10 k and 100 k pools: bootstrap from records, logs and blocks applied, memory, snapshot and resume.

One process holds all shards, as the search flow does by default. A snapshot is what an epoch stores: the whole state of every shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict

from rich import box
from rich.table import Table

from operators.graph.codes import CODE_SHARDS
from tests.bench.code_rows import LENGTH, CodeRow, code_shards
from tests.bench.graph_rows import Measure, Row, graph_shards, measured
from tests.bench.result import Result, Settings
from tests.bench.synthetic_market import CHANGED, LOGS, TICKS

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
#: Contract codes: of ten thousand pools there are no more, since pools of a family and many tokens share theirs.
CODES = (1_000, 10_000)

#: Who is measured. A rival is another function from a size to its row.
CONTENDERS: tuple[Measure, ...] = (graph_shards,)

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


def run(settings: Settings) -> Result:
    """Measure every contender at every size."""
    result = Result()
    table = Table(
        title=f"graph state: 9 of 10 pools Uniswap V2, the tenth V3 with {TICKS} ticks; blocks of {LOGS} logs of {CHANGED} pools",
        box=box.SIMPLE,
    )
    table.add_column("contender")
    table.add_column("pools", justify="right")
    for name, unit, _, _ in _COLUMNS:
        table.add_column(f"{name}\n{unit}", justify="right")
    rows = []
    for size in QUICK_SIZES if settings.quick else SIZES:
        for contender in CONTENDERS:
            row = measured(contender, size)
            rows.append(row)
            cells = ((value(row), form) for _, _, value, form in _COLUMNS)
            table.add_row(row.name, f"{size:,}", *("" if v is None else format(v, form) for v, form in cells))
    result.tables.append(table)
    result.numbers["rows"] = [asdict(row) for row in rows]
    codes = [code_shards(size) for size in CODES]
    result.tables.append(_of_codes(codes))
    result.numbers["codes"] = [asdict(row) for row in codes]
    result.notes += [
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end.",
        "bootstrap: every record as an event of its own over all shards; reading it from a node is the sequencer's and not in it. a log: decoded, "
        "dispatched and applied, as the difference between long and short blocks. a block: everything, with state digest and answers of all "
        "shards. memory: growth of the process. snapshot: packed and pickled, with the undo journal of 64 blocks; what the store writes is not in "
        "it. resume: unpickled and checked, with digests.",
        "codes: all, as after a start or a resume; and the one key that a new code touches. An event without codes stores none.",
    ]
    return result


def _of_codes(rows: list[CodeRow]) -> Table:
    table = Table(title=f"contract codes of {LENGTH:,} bytes under {CODE_SHARDS} keys of their own", box=box.SIMPLE)
    for name in ("codes", "snapshot\nms", "stored\nMB", "a new one\nms", "stored\nMB", "resume\nms"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (row.snapshot * 1e3, row.stored / 1e6, row.new_snapshot * 1e3, row.new_stored / 1e6, row.resume * 1e3)
        table.add_row(f"{row.size:,}", *(f"{number:,.2f}" for number in numbers))
    return table
