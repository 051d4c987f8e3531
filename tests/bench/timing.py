"""Times on a machine that others use too: short rounds in turn, so that what disturbs one disturbs all; medians and extremes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, NamedTuple

#: Does its work once.
Work = Callable[[], object]
_ROUND_SECONDS = 0.08
_READY_SECONDS = 60


class Timing(NamedTuple):
    """Seconds per item: median, least and most of the rounds. `cpu` is the median processor time of this process, which other
    people's work changes little; 0 where it was not taken."""

    median: float
    low: float
    high: float
    cpu: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float], cpu: Iterable[float] = (0.0,)) -> Timing:
        """The timing of some rounds."""
        ordered = sorted(seconds)
        return cls(median(ordered), ordered[0], ordered[-1], median(cpu))

    @property
    def rate(self) -> float:
        """Items per second."""
        return 1 / self.median

    def numbers(self, unit: float = 1e6) -> dict[str, float]:
        """For JSON, in a part of a second (microseconds)."""
        return {"median": self.median * unit, "min": self.low * unit, "max": self.high * unit, "cpu": self.cpu * unit}


def in_turn(
    works: Mapping[str, tuple[Work, int]], rounds: int, round_seconds: float = _ROUND_SECONDS
) -> dict[str, Timing]:
    """Time each work, given with the number of items it does, in rounds in which each has its turn of about so many seconds."""
    counts = {name: _count(work, round_seconds) for name, (work, _) in works.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, items) in works.items():
            before, done = time.process_time(), counts[name] * items
            seconds[name].append(_run(work, counts[name]) / done)
            cpu[name].append((time.process_time() - before) / done)
    return {name: Timing.of(seconds[name], cpu[name]) for name in works}


def in_threads(works: tuple[Work, Work], items: int, rounds: int) -> Timing:
    """Seconds per item with both works running at once, each in a thread."""
    count = max(_count(work) for work in works)
    found = []
    for _ in range(rounds):
        threads = [threading.Thread(target=_run, args=(work, count)) for work in works]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.append((time.perf_counter() - start) / (len(works) * count * items))
    return Timing.of(found)


def in_processes(make: Callable[[Any], Work], argument: Any, items: int, rounds: int) -> Timing:
    """Seconds per item with two processes doing the work at once; each makes its own from `make(argument)`."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [context.Process(target=_serve, args=(make, argument, theirs), daemon=True) for _, theirs in pipes]
    try:
        for process in processes:
            process.start()
        for _, theirs in pipes:
            theirs.close()  # else a process that died would be waited for
        count = max(_answer(ours) for ours, _ in pipes)
        found = []
        for _ in range(rounds):
            start = time.perf_counter()
            for ours, _ in pipes:
                ours.send(count)
            for ours, _ in pipes:
                _answer(ours)
            found.append((time.perf_counter() - start) / (len(pipes) * count * items))
    finally:
        for process in processes:
            process.kill()
            process.join()
    return Timing.of(found)


def _answer(pipe: Connection) -> int:
    if not pipe.poll(_READY_SECONDS):
        raise TimeoutError(f"a process of the benchmark did not answer within {_READY_SECONDS} s")
    number: int = pipe.recv()
    return number


def _serve(make: Callable[[Any], Work], argument: Any, pipe: Connection) -> None:
    work = make(argument)
    pipe.send(_count(work))
    while True:
        count = pipe.recv()
        _run(work, count)
        pipe.send(count)


def _count(work: Work, seconds: float = _ROUND_SECONDS) -> int:
    """How often the work fits into a round; it is warm afterwards."""
    work()
    return max(1, int(seconds / min(_run(work, 1) for _ in range(3))))


def _run(work: Work, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - start
