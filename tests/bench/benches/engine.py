"""Simulation engines beside each other: cold swaps (T4), loading state (T5), a whole block, what other threads wait.

The swap is a 3-hop Uniswap V2 arbitrage by our executor on a devnet of canonical contracts. The node mines it once; its receipt
decides what every contender must give, before anything is timed. The targets are those of the performance design.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from functools import partial
from pathlib import Path

from rich import box
from rich.table import Table

from operators.simulation.engine import Engine
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from tests.bench import contenders, rpc, state_loading, whole_block
from tests.bench.contenders import (
    HTTP,
    IPC,
    LOADED,
    NAIVE,
    PY_EVM,
    PY_EVM_KEPT,
    PYREVM,
    REVM_BATCH,
    REVM_ONE,
    REVM_RUST,
    Contender,
)
from tests.bench.engine_targets import Measured, show_targets
from tests.bench.pause import longest_pause
from tests.bench.plain_pyrevm import Ran
from tests.bench.py_evm import PyEvmUnavailable, run_py_evm
from tests.bench.result import Result, Settings
from tests.bench.swap_case import SwapCase, SwapWorld, spinning
from tests.bench.timing import Timing, Work, in_processes, in_threads, in_turn

_LONG_CALL_GAS = 100_000_000
_IDLE_SECONDS = 0.1


def run(settings: Settings) -> Result:
    """Measure everything that is there."""
    result, found = Result(), Measured()
    rounds = 3 if settings.quick else 9
    folder = settings.folder.resolve()
    result.notes.append(
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start. Medians of {rounds} "
        "rounds in which each has its turn; ratios are worth more than times, and two threads need two cores to themselves."
    )
    if not available():
        result.notes.append("the extension sluice_evm is not built: engine revm is left out")
    with SwapWorld(folder) as world:
        _swaps(result, found, world, rounds)
        _loading(result, found, world.case, rounds)
        block = whole_block.read_block(settings.data)
        if block is None:
            result.notes.append(f"recorded block {whole_block.BLOCK_NUMBER} is not under {settings.data}: left out")
        else:
            _block(result, found, block, folder, rounds)
        _pauses(result, found, world.case, block, rounds)
    show_targets(result, found)
    return result


# ---------------------------------------------------------------- T4


def _swaps(result: Result, found: Measured, world: SwapWorld, rounds: int) -> None:
    case = world.case
    here = contenders.in_process(available())
    all_of = here | contenders.over_rpc(lambda: rpc.Http(world.anvil.port), lambda: rpc.Ipc(world.ipc))
    works = {name: (contender.make(case), contender.items) for name, contender in all_of.items()}
    agreement = {
        name: _agreement(name, all_of[name].outcomes(work()), case) for name, (work, _) in works.items()
    }  # fmt: skip
    (naive,) = all_of[NAIVE].outcomes(works[NAIVE][0]())
    found.swap |= in_turn(works, rounds)
    for name, contender in all_of.items():
        pair = _one_and_two(name, contender, case, rounds)
        if pair is not None:
            found.two[name] = pair
    _py_evm(result, found, agreement, case, 3 * rounds)
    result.notes.append(_two_cores(result, rounds))
    table = _table(
        f"T4: cold 3-hop Uniswap V2 swap of {case.gas:,} gas, {len(case.witness.accounts)} accounts, {case.slots} slots"
    )
    _columns(table, "engine", "µs", "min-max", "CPU", "on two", "anvil", "receipt")
    numbers = {}
    for name, timing in found.swap.items():
        pair = found.two.get(name)
        gain = pair[0].median / pair[1].median if pair else 0.0
        cpu = f"{timing.cpu * 1e6:,.0f}" if name in here else ""
        table.add_row(
            name, f"{timing.median * 1e6:,.0f}", _span(timing, 1e6, 0), cpu,
            f"{gain:.2f}" if gain else "", f"{found.swap[HTTP].median / timing.median:.2f}", agreement[name],
        )  # fmt: skip
        numbers[name] = {**timing.numbers(), "per_second": timing.rate, "receipt": agreement[name]}
        if gain:
            numbers[name]["gain_of_two"] = gain
    result.tables.append(table)
    result.numbers["swap_us"] = numbers
    result.notes += [
        "T4: CPU is microseconds of processor time, which depends little on who else is busy; `anvil` is how many times faster than "
        "one eth_call over HTTP.",
        "T4, on two: revm in two threads of one process, pyrevm in two processes, anvil with two connections. "
        f"`{LOADED}` proves nothing and names no missing state.",
        f"T4, {NAIVE}: its gas is wrong ({naive.gas:,}), because slots inserted one by one are warm and have original value 0.",
        "T4, anvil (`simV1` is eth_simulateV1): the state stays in the node and nothing is loaded; it answers a batch on all cores. An eth_call tells "
        "success and no gas. Calls of one eth_simulateV1 block see each other's effects, so each has a block of its own with the "
        "slots put back.",
    ]


def _agreement(name: str, outcomes: list[Ran], case: SwapCase) -> str:
    """How the outcomes compare with the receipt. Raises `RuntimeError` where a contender that must be right is not."""
    if not all(ran.success for ran in outcomes):
        raise RuntimeError(f"{name}: the swap fails, though the node mined it")
    gas = {ran.gas for ran in outcomes}
    if gas == {0}:
        return "success"
    if gas == {case.gas} and all(ran.logs == case.logs for ran in outcomes):
        return "equal"
    if name != NAIVE:
        raise RuntimeError(f"{name}: gas {gas} or logs differ from the receipt's {case.gas}")
    return "wrong"


def _one_and_two(name: str, contender: Contender, case: SwapCase, rounds: int) -> tuple[Timing, Timing] | None:
    """One thread, and beside it two threads or processes; None where that has no meaning."""
    if name in (REVM_BATCH, REVM_RUST):
        make = contenders.revm_batch if name == REVM_BATCH else contenders.revm_kept
        both = in_turn({str(n): (make(case, threads=n), contender.items) for n in (1, 2)}, rounds)
        return both["1"], both["2"]
    one = in_turn({name: (contender.make(case), contender.items)}, rounds)[name]
    if name in (PYREVM, LOADED, NAIVE):
        return one, in_processes(contender.make, case, contender.items, rounds)
    if name in (REVM_ONE, HTTP, IPC):
        works = contender.make(case), contender.make(case)
        return one, in_threads(works, contender.items, rounds)
    return None


def _two_cores(result: Result, rounds: int) -> str:
    """What two threads that share nothing gain here and now: the bound for everybody's."""

    def work() -> None:
        hashlib.pbkdf2_hmac("sha256", b"sluice", b"bench", 10_000)  # holds no lock

    gain = in_turn({"": (work, 1)}, rounds)[""].median / in_threads((work, work), 1, rounds).median
    result.numbers["two_threads_of_pure_hashing_gain"] = gain
    return f"T4, on two: pure hashing, which shares nothing, gains {gain:.2f}x from a second thread in this run."


def _py_evm(result: Result, found: Measured, agreement: dict[str, str], case: SwapCase, count: int) -> None:
    try:
        answer = run_py_evm(case, count)
    except PyEvmUnavailable as error:
        result.notes.append(f"py-evm could not be installed or run, left out: {error}")
        return
    logs = [(bytes.fromhex(a), tuple(map(bytes.fromhex, topics)), bytes.fromhex(d)) for a, topics, d in answer["logs"]]
    agreement[PY_EVM] = agreement[PY_EVM_KEPT] = _agreement(PY_EVM, [Ran(answer["success"], answer["gas"], logs)], case)
    runs, loads = answer["seconds"], answer["loading_seconds"]
    found.swap[PY_EVM] = Timing.of(run + load for run, load in zip(runs, loads, strict=True))
    found.swap[PY_EVM_KEPT] = Timing.of(runs)


# ---------------------------------------------------------------- T5


def _loading(result: Result, found: Measured, case: SwapCase, rounds: int) -> None:
    works = state_loading.loading(case, available())
    found.load |= in_turn({name: (work, 1) for name, work in works.items()}, rounds)
    table = _table(f"T5: {len(case.witness.accounts)} accounts and {case.slots} slots to a ready EVM, microseconds")
    _columns(table, "engine", "median", "min-max", "naive")
    for name, timing in found.load.items():
        ratio = found.load[state_loading.NAIVE].median / timing.median
        table.add_row(name, f"{timing.median * 1e6:.1f}", _span(timing, 1e6, 1), f"{ratio:.1f}")
    result.tables.append(table)
    result.numbers["load_us"] = {name: timing.numbers() for name, timing in found.load.items()}


# ---------------------------------------------------------------- the whole block


def _block(result: Result, found: Measured, case: whole_block.BlockCase, folder: Path, rounds: int) -> None:
    said = {}
    with whole_block.on_anvil(case, folder) as on_anvil:
        all_of = whole_block.in_process(case, available()) | on_anvil
        for name, contender in all_of.items():
            said[name] = contender.judge(contender.work())
        # One of them takes more than a second: each has its turn, but only once a round.
        seconds: dict[str, list[float]] = {name: [] for name in all_of}
        for _ in range(min(rounds, 5)):
            for name, contender in all_of.items():
                start = time.perf_counter()
                contender.work()
                seconds[name].append(time.perf_counter() - start)
    count = len(case.transactions)
    found.block |= {name: Timing.of(values) for name, values in seconds.items()}
    table = _table(f"Mainnet block {whole_block.BLOCK_NUMBER:,}, {count} transactions in order, milliseconds")
    _columns(table, "engine", "median", "min-max", "pyrevm", "right")
    for name, timing in found.block.items():
        right, why = said[name]
        ratio = found.block[whole_block.PYREVM].median / timing.median
        table.add_row(name, f"{timing.median * 1e3:,.1f}", _span(timing, 1e3, 1), f"{ratio:.1f}",
                      f"{right}/{count}{', ' + why if why else ''}")  # fmt: skip
    result.tables.append(table)
    result.numbers["block_ms"] = {
        name: {**timing.numbers(1e3), "right": said[name][0]} for name, timing in found.block.items()
    }
    result.notes.append(
        "block: revm and pyrevm are held to status, gas and logs, the others to gas. Loading the state is part of the time; anvil "
        "gets it as overrides. py-evm is not run on it."
    )


# ---------------------------------------------------------------- pauses


def _pauses(result: Result, found: Measured, case: SwapCase, block: whole_block.BlockCase | None, rounds: int) -> None:
    spun, loop = spinning(case, _LONG_CALL_GAS)
    works: dict[tuple[str, str], Work] = {
        ("", "nothing (the machine itself)"): lambda: time.sleep(_IDLE_SECONDS),
        ("", "plain Python"): _plain_python,
    }
    swaps = [case.tx] * contenders.BATCH
    engines: dict[str, Engine] = {"revm": RevmEngine()} if available() else {}
    for name, engine in (engines | {PYREVM: PyrevmEngine()}).items():
        works[name, f"{contenders.BATCH:,} swaps"] = partial(engine.execute_each, case.witness, case.env, swaps)
        works[name, "one call of 100 M gas"] = partial(engine.execute_each, spun, case.env, [loop])
    if block is not None:
        for name, contender in whole_block.in_process(block, available()).items():
            works[name, f"block of {len(block.transactions)}"] = contender.work
    table = _table("Longest pause of another Python thread, milliseconds")
    _columns(table, "engine", "while it runs", "median", "min-max")
    for key, work in works.items():
        work()
        timing = found.pause[key] = longest_pause(work, min(rounds, 5))
        table.add_row(*key, f"{timing.median * 1e3:.1f}", _span(timing, 1e3, 1))
    result.tables.append(table)
    result.notes.append(
        f"pause: Python hands its lock over every {sys.getswitchinterval() * 1e3:g} ms, so whatever is done in Python (inputs, "
        "verdicts) costs another thread that much and more; what engine revm runs in Rust it runs without the lock."
    )
    result.numbers["pause_ms"] = {", ".join(filter(None, key)): t.numbers(1e3) for key, t in found.pause.items()}


def _plain_python() -> None:
    over = time.perf_counter() + _IDLE_SECONDS
    while time.perf_counter() < over:
        pass


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _columns(table: Table, *names: str) -> None:
    """Text columns are these; all others are numbers, a rival's name standing for how many times faster than it."""
    for name in names:
        text = name in ("engine", "while it runs", "receipt", "right")
        table.add_column(name, justify="left" if text else "right", no_wrap=True)


def _span(timing: Timing, unit: float, digits: int) -> str:
    return f"{timing.low * unit:,.{digits}f}-{timing.high * unit:,.{digits}f}"
