"""`python -m tests.bench [NAME ...] [--quick] [--data DIR]`: run benchmarks, print tables, write JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench import benches
from tests.bench.result import Settings

FOLDER = Path(".sluice/run/bench")


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks, or all of them."""
    known = sorted(module.name for module in pkgutil.iter_modules(benches.__path__))
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"known: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="recorded data")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    console = Console()
    found = {}
    for name in options.names or known:
        module = importlib.import_module(f"{benches.__name__}.{name}")
        console.rule(name)
        console.print((module.__doc__ or "").strip().splitlines()[0])
        result = module.run(Settings(options.data, FOLDER / name, options.quick))
        for table in result.tables:
            console.print(table)
        for note in result.notes:
            console.print(note)
        found[name] = result.numbers
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    path = FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "benchmarks": found}, indent=2) + "\n")
    console.print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
