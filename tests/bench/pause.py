"""How long another Python thread is kept waiting while something runs."""

from __future__ import annotations

import threading
import time

from tests.bench.timing import Timing, Work

_NAP = 0.0002


def longest_pause(work: Work, rounds: int) -> Timing:
    """The longest time (seconds) between two steps of a thread that sleeps 0.2 ms per step, while `work` runs; by round."""
    return Timing.of(_one_round(work) for _ in range(rounds))


def _one_round(work: Work) -> float:
    over, stepping = threading.Event(), threading.Event()
    longest = 0.0

    def step() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(_NAP)
            now = time.perf_counter()
            longest = max(longest, now - last)
            last = now
            stepping.set()

    thread = threading.Thread(target=step)
    thread.start()
    stepping.wait()
    try:
        work()
    finally:
        over.set()
        thread.join()
    return longest
