"""Times the set-up of the search from nothing, in a process of its own: argument 1 is the number of pools. JSON out."""

from __future__ import annotations

import json
import os
import sys
import time

import psutil

from tests.bench.search_market import SearchMarket


def main() -> None:
    """Seconds to load and compile, and to take the pools in; megabytes that this took."""
    market = SearchMarket(int(sys.argv[1]))
    process = psutil.Process(os.getpid())
    before, started, worked = process.memory_info().rss, time.perf_counter(), time.process_time()
    from operators.search.tables import Tables, warm_up

    warm_up()
    compiled, loaded = time.perf_counter(), process.memory_info().rss
    tables = Tables(market.anchors, market.pools)
    done = time.perf_counter()
    json.dump(
        {
            "compile_s": compiled - started,
            "take_in_s": done - compiled,
            "cpu_s": time.process_time() - worked,
            "compiler_mb": (loaded - before) / 1e6,
            "grown_mb": (process.memory_info().rss - loaded) / 1e6,
            "tables_mb": tables.memory / 1e6,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
