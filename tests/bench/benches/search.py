"""Search beside its rivals: all profitable routes of up to 4 hops through what a block changed (T1, T2), set-up, and growth from 1 k to 100 k pools.

The market is made up, with the shape of the real one and moves as large as recorded blocks show. All ways are given the same prices, their
answers are compared before anything is timed, and they take turns block by block.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from rich import box
from rich.table import Table

from infra.runtime.compiled_code import VARIABLE
from tests.bench.result import Result, Settings
from tests.bench.search_blocks import OURS, OURS_FREE, RESCAN, Ours, Rival, at, cases, in_turn, measure
from tests.bench.search_market import SearchMarket
from tests.bench.search_rivals import Arcs, Floats, Ints, Rescan

_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


def run(settings: Settings) -> Result:
    """Measure all of it."""
    result = Result()
    result.notes.append(
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start. Ratios are worth more than times."
    )
    blocks = 40 if settings.quick else 300
    _block_targets(result, blocks)
    _setup(result, settings)
    _growth(result, 20 if settings.quick else 100)
    return result


# ---------------------------------------------------------------- T1 and T2


def _block_targets(result: Result, count: int) -> None:
    numbers = {}
    for size, title in ((10_000, "T1"), (100_000, "T2")):
        times, notes = measure(size, count if size == 10_000 else max(20, count // 3), size == 10_000)
        table = _table(f"{title}: a block of 60 changed pools of {size:,}, 4 hops, µs of processor time")
        _columns(table, "way", "p50", "p99", "wall", "update", "routes", "/ours", "/free")
        ours, free = at(times[OURS]["block"], 0.5), at(times[OURS_FREE]["block"], 0.5)
        for name, one in times.items():
            p50 = at(one["block"], 0.5)
            table.add_row(
                name, f"{p50:,.0f}", f"{at(one['block'], 0.99):,.0f}", f"{at(one['wall'], 0.5):,.0f}" if "wall" in one else "",
                f"{at(one['update'], 0.5) / 60:.2f}" if "update" in one else "",
                f"{at(one['routes'], 0.5):,.0f}" if "routes" in one else "", f"{p50 / ours:,.1f}", f"{p50 / free:,.1f}",
            )  # fmt: skip
        result.tables.append(table)
        result.notes += [f"{title}: {note}" for note in notes]
        numbers[title] = {
            name: {part: {"p50": at(values, 0.5), "p99": at(values, 0.99)} for part, values in one.items()}
            for name, one in times.items()
        }
    result.notes.append(
        "T1, T2: from prices to routes. `wall` is the median on the clock, `update` for one changed pool, `routes` for a block; `/ours` and `/free`: times as long as "
        "ours with, and without, a floor of what a route costs. Without one ours lists thousands of routes that earn less than their gas"
    )
    result.numbers["block_us"] = numbers


# ---------------------------------------------------------------- set-up


def _setup(result: Result, settings: Settings) -> None:
    size = 100_000
    folder = (settings.folder / "compiled").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    table = _table(f"Set-up at {size:,} pools, seconds")
    _columns(table, "compiled code", "load", "take in", "together", "CPU", "tables MB", "process MB")
    numbers = {}
    for state in ("cold", "warm"):
        answer = _set_up_once(size, folder)
        numbers[state] = answer
        together = answer["compile_s"] + answer["take_in_s"]
        process = answer["compiler_mb"] + answer["grown_mb"]
        table.add_row(
            state, f"{answer['compile_s']:.1f}", f"{answer['take_in_s']:.1f}", f"{together:.1f}",
            f"{answer['cpu_s']:.1f}", f"{answer['tables_mb']:.0f}", f"{process:.0f}",
        )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    result.tables.append(table)
    result.numbers["setup"] = numbers
    result.notes.append(
        "set-up: process MB is what loading the compiler and taking the pools in added to the process, without the pools' own states"
    )


def _set_up_once(size: int, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.search_setup_script", str(size)],
        env=dict(os.environ, **{VARIABLE: str(folder)}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


# ---------------------------------------------------------------- growth


def _growth(result: Result, count: int) -> None:
    table = _table("Growth: 60 changed pools, 5 anchors, 4 hops, µs of processor time a block, medians")
    for name in (
        "pools",
        "update p50",
        "list p50",
        "block p50",
        "block p99",
        "no floor p50",
        "rescan, numpy",
        "tables MB",
    ):
        table.add_column(name, justify="right")
    rows = []
    for size in _SIZES:
        market = SearchMarket(size)
        arcs = Arcs(market.pools, market.anchors[0])
        rescan = Rescan(arcs)
        ours, free = Ours(market, len(market.anchors)), Ours(market, len(market.anchors), floors=False)
        whole = Rival(partial(_rescan, rescan))
        in_turn({OURS: ours, OURS_FREE: free, RESCAN: whole}, list(cases(arcs, market.blocks(count))), ())
        row = {
            "pools": size,
            "update_us": at(ours.times["update"], 0.5),
            "list_us": at(ours.times["list"], 0.5),
            "block_p50_us": at(ours.times["block"], 0.5),
            "block_p99_us": at(ours.times["block"], 0.99),
            "no_floor_p50_us": at(free.times["block"], 0.5),
            "rescan_p50_us": at(whole.times["block"], 0.5),
            "tables_mb": ours.tables.memory / 1e6,
        }
        rows.append(row)
        table.add_row(*(f"{value:,.1f}" if name == "tables_mb" else f"{value:,.0f}" for name, value in row.items()))
    result.tables.append(table)
    result.numbers["growth"] = rows


def _rescan(rescan: Rescan, moved: Ints, prices: Floats, pools: Ints) -> int:
    return rescan.flagged(moved, prices)


def _columns(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="left" if name in ("way", "compiled code") else "right", no_wrap=True)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
