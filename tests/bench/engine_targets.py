"""The targets of the performance design for simulation, held against what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rich.table import Table

from tests.bench import state_loading
from tests.bench.contenders import HTTP, PY_EVM, PYREVM, REVM_BATCH
from tests.bench.result import Result
from tests.bench.timing import Timing


@dataclass
class Measured:
    """What was measured, as far as it was: seconds per item by contender; `two` is one and two threads or processes, timed side by side."""

    swap: dict[str, Timing] = field(default_factory=dict)
    two: dict[str, tuple[Timing, Timing]] = field(default_factory=dict)
    load: dict[str, Timing] = field(default_factory=dict)
    block: dict[str, Timing] = field(default_factory=dict)
    pause: dict[tuple[str, str], Timing] = field(default_factory=dict)


class Target(NamedTuple):
    """`bound` and what was measured (`median`, and `best`: the least disturbed round). `least`: the bound is a lower one."""

    group: str
    what: str
    bound: float
    median: float
    best: float
    least: bool

    @property
    def met(self) -> bool:
        """By the medians."""
        return self.median >= self.bound if self.least else self.median <= self.bound


def show_targets(result: Result, found: Measured) -> None:
    """A table of what is met and what is not."""
    table = Table(title="Targets, held against the medians", title_justify="left")
    for column in ("", "what", "target", "median", "best round", ""):
        table.add_column(column, justify="right" if column in ("target", "median", "best round") else "left")
    for target in _targets(found):
        sign = "≥" if target.least else "≤"
        table.add_row(
            target.group, target.what, f"{sign} {target.bound:,g}", f"{target.median:,.4g}", f"{target.best:,.4g}",
            "met" if target.met else "[red]not met[/red]",
        )  # fmt: skip
    result.tables.append(table)
    result.numbers["targets"] = [target._asdict() | {"met": target.met} for target in _targets(found)]


def _targets(found: Measured) -> list[Target]:
    swap, load = found.swap, found.load
    right, naive = load[state_loading.PYREVM], load[state_loading.NAIVE]
    targets = [
        _rate("T4", "pyrevm engine: per second, one core", 5_200, swap[PYREVM]),
        _ratio("T4", "pyrevm engine: two processes, times one", 1.9, *found.two[PYREVM]),
        _ratio("T4", "pyrevm engine: times anvil HTTP", 2, swap[HTTP], swap[PYREVM]),
        *_against_py_evm(found, "pyrevm engine", PYREVM, 150),
        _most("T5", "pyrevm, codes kept: µs", 25, right, 1e6),
        _ratio("T5", "pyrevm, codes kept: times naive", 12, naive, right),
    ]
    if REVM_BATCH not in swap:
        return targets
    own, packed = swap[REVM_BATCH], load[state_loading.PACKED]
    pauses = [timing for (name, _), timing in found.pause.items() if name == "revm"]
    return [
        *targets,
        _rate("T4", "revm: per second, one thread", 17_000, own),
        _ratio("T4", "revm: two threads, times one", 1.7, *found.two[REVM_BATCH]),
        _ratio("T4", "revm: times anvil HTTP", 5, swap[HTTP], own),
        _ratio("T4", "revm: times pyrevm engine", 2.2, swap[PYREVM], own),
        *_against_py_evm(found, "revm", REVM_BATCH, 400),
        _most("T5", "revm, packed bytes: µs", 2, packed, 1e6),
        _ratio("T5", "revm, packed bytes: times pyrevm", 9, right, packed),
        _most("pause", "revm: longest of another thread, ms", 4, max(pauses), 1e3),
    ]


def _against_py_evm(found: Measured, who: str, name: str, bound: float) -> list[Target]:
    if PY_EVM not in found.swap:
        return []
    return [_ratio("T4", f"{who}: times py-evm", bound, found.swap[PY_EVM], found.swap[name])]


def _rate(group: str, what: str, bound: float, timing: Timing) -> Target:
    return Target(group, what, bound, timing.rate, 1 / timing.low, least=True)


def _most(group: str, what: str, bound: float, timing: Timing, unit: float) -> Target:
    return Target(group, what, bound, timing.median * unit, timing.low * unit, least=False)


def _ratio(group: str, what: str, bound: float, slow: Timing, fast: Timing) -> Target:
    """How many times faster; the best round of each for `best`."""
    return Target(group, what, bound, slow.median / fast.median, slow.low / fast.low, least=True)
