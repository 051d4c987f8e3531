"""`python -m tests.bench.plots [FILE]`: the plots of the docs, from what `python -m tests.bench search` has written (its newest file by default)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from tests.bench.__main__ import FOLDER

DOCS = Path(__file__).resolve().parents[2] / "docs"
_LINES = (
    ("block_p50_us", "block, median", "-", "tab:blue"),
    ("block_p99_us", "block, 99th percentile", "--", "tab:blue"),
    ("no_floor_p50_us", "block without a floor, median", "-", "tab:green"),
    ("rescan_p50_us", "whole market in numpy, median", "-", "tab:gray"),
)


def newest() -> Path:
    """The newest results with the benchmark in them. Raises `SystemExit` where there are none."""
    for path in sorted(FOLDER.glob("*.json"), reverse=True):
        if "search" in json.loads(path.read_text())["benchmarks"]:
            return path
    raise SystemExit(f"no results of the search benchmark in {FOLDER}: run `make bench BENCH=search` first")


def draw_growth(rows: list[dict[str, Any]], path: Path) -> None:
    """The cost of a block as pools grow."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    pools = [row["pools"] for row in rows]
    for key, label, style, colour in _LINES:
        axes.plot(
            pools, [row[key] / 1000 for row in rows], style, marker="o", markersize=3.5, label=label, color=colour
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("pools")
    axes.set_ylabel("milliseconds of processor time, from prices to routes")
    axes.set_title("60 changed pools, 5 anchors, routes of up to 4 hops")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Draw."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else newest()
    rows = json.loads(source.read_text())["benchmarks"]["search"]["growth"]
    path = DOCS / "search_growth.png"
    draw_growth(rows, path)
    print(f"{path} from {source}")


if __name__ == "__main__":
    main()
