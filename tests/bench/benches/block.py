"""A block from the node's answers to the signed bundle (T9), ours and a searcher of the default libraries in turn: a usual block and a large one.

Ours is the block's own event of the bench `burst`: the answers as JSON, parsed and checked; records made, encoded and decoded; graph, search, simulation, decision, bundle and
the relay's header, in the processor time of both of its processes. The rival (`default_searcher`) takes the same bytes to the same kind of bundle in one.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from statistics import median

from rich import box
from rich.table import Table

from infra.toolchain.paths import ToolMissing
from operators.search.tables import warm_up
from schemas.decisions import ChosenCall
from schemas.opportunities import cycles_of
from tests.bench import burst_run
from tests.bench.block_rival import EVENTS, EXECUTE, READ, SEARCH, SIGN, STATE, BlockRival, RivalRun
from tests.bench.burst_chain import BurstChain, absent, burst_chain
from tests.bench.burst_intake import AFTERWARDS
from tests.bench.burst_run import Burst, Run
from tests.bench.burst_world import BurstWorld, burst_world
from tests.bench.default_searcher import MAX_HOPS
from tests.bench.large_block import LARGE, large_block
from tests.bench.result import Result, Settings, percentile

#: Pools in the graph.
POOLS = 10_000
#: Made blocks of a usual size that each repetition takes first, off the clock: before the usual block and before the large one.
BETWEEN, BETWEEN_LARGE = 8, 4
#: The targets in milliseconds: the usual block's median and 99th percentile, the large one's median.
USUAL_MS, USUAL_P99_MS, LARGE_MS = 5, 15, 25
_OTHER = "other"
_AFTERWARDS = AFTERWARDS.removeprefix("block: ")
#: What each stage is for, of ours (named as there, without the event's kind) and of the rival's.
_JOBS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "answers read, state kept": (("answers parsed", "checked, records", "encoded", "decoded"), (READ, STATE)),
    "pools after the logs": (("graph",), (EVENTS,)),
    "search, sizes": (("overlay", "search, candidates"), (SEARCH,)),
    "simulation": (("simulate",), (EXECUTE,)),
    "decision, signatures": (("decide, records", "sign"), (SIGN,)),
    _AFTERWARDS: ((_AFTERWARDS,), ()),
}
_BLOCK, _TRACE = "block: ", "debug_traceBlockByHash"


def run(settings: Settings) -> Result:
    """Measure both blocks."""
    result = Result()
    if missing := absent(settings.data):
        result.notes.append(f"recordings that are not under {settings.data}: {', '.join(missing)}; left out")
        return result
    logging.getLogger("httpx").setLevel(logging.WARNING)
    shutil.rmtree(settings.folder, ignore_errors=True)
    warm_up()
    try:
        _usual(result, settings)
        _large(result, settings)
    except ToolMissing as error:
        result.notes.append(f"left out: {error}")
    if result.tables:
        result.notes += _NOTES
    return result


_NOTES = (
    "Times are processor time of one core, which other people's work changes less than the clock's; each repetition of either is a process of its own that begins in the same state. "
    f"Off the clock ours takes {BETWEEN} made blocks of a usual size before the usual block, {BETWEEN_LARGE} before the large one, as a process that has run for a while has; the rival takes the very block once before. "
    f"`{_AFTERWARDS}` is what the sequencer does when the block is in the log and the search has it: it is in the sums of the tables, not in the time to the signed bundle.",
    "The rival: web3.py's `get_transaction_count`, `get_block` and `get_block_receipts` with its default middleware and formatters (read); `make_request` for the trace, json "
    "and a dictionary of the accounts followed, as no library has more (state); `process_log` of the Sync logs of pools it knows (events); cycles of up to "
    f"{MAX_HOPS} hops from the wrapped native token, enumerated beforehand, those through the changed pools added up in numpy, the closed form of the best size in floats, exact amounts, web3's `encode_abi` (search, "
    "simulate); a new pyrevm for each route with the state put in piece by piece (simulate); eth_account, which finds coincurve here, for the transaction and the relay's header (sign).",
    "Given to it: the state that its routes run on (of what it keeps of the trace itself it makes no other use), which accounts to follow, the next block's environment, its set-up. It has no part for, and does not do: "
    "checks of the answers, records and a log of them, other anchors, 4 hops, several cycles as one call, access lists, exact gas (its EVM has slots warm that are cold). Pools of "
    "Uniswap V3 are followed by neither: the recordings do not have all their ticks.",
)


def _usual(result: Result, settings: Settings) -> None:
    folder = (settings.folder / "usual").resolve()
    with burst_chain(settings.data, folder, between=BETWEEN) as chain:
        world = burst_world(chain, folder, POOLS)
        before = chain.mine_between()
        burst = Burst(chain.mine(1), (), before)
        result.notes.append(
            f"usual: a block of {len(chain.blocks[1])} recorded transactions with 450 logs, that of the bench `burst`; {POOLS:,} pools in the graph, {world.real} of them on the node."
        )
        targets = {"p50": USUAL_MS, "p99": USUAL_P99_MS}
        _measure(result, "usual", targets, world, chain, burst, 5 if settings.quick else 40)


def _large(result: Result, settings: Settings) -> None:
    folder = (settings.folder / "large").resolve()
    with large_block(settings.data, folder, between=BETWEEN_LARGE) as large:
        world = burst_world(large.chain, folder, POOLS)
        before = large.chain.mine_between()
        burst = Burst(large.mine(world.intake.node.answers), (), before)
        result.notes.append(
            f"large: a block of {LARGE.transactions:,} transactions with {LARGE.logs:,} logs, mined by a node as one. Recorded are {large.recorded} of them with {large.recorded_logs} logs that change {large.recorded_pools} of the "
            f"{LARGE.pools} pools, and all the code; made are the others, which trade with made pairs of tokens with the code of Dai on the pairs and through the router of Uniswap V2. The node traced "
            f"them in several blocks, as one that traces in the square of a block's length. {POOLS:,} pools in the graph, {world.real} of them on the node."
        )
        _measure(result, "large", {"p50": LARGE_MS}, world, large.chain, burst, 3 if settings.quick else 20)


def _measure(
    result: Result,
    name: str,
    targets: Mapping[str, int],
    world: BurstWorld,
    chain: BurstChain,
    burst: Burst,
    repetitions: int,
) -> None:
    burst_run.ask_once(world, burst)
    rival = BlockRival(world, chain, burst)
    before = os.getloadavg()[0]
    runs: list[Run] = []
    rivals: list[RivalRun] = []
    for _ in range(repetitions):
        runs.append(burst_run.run(world, burst))
        rivals.append(rival.run())
    ours = [
        {stage.removeprefix(_BLOCK): s for stage, s in one.stages.items() if stage.startswith(_BLOCK)} for one in runs
    ]
    theirs = [one.stages for one in rivals]
    told = sum(len(answer) for answer in rival.answers.values())
    result.notes.append(
        f"{name}: {repetitions} repetitions in turn, load average {before:.1f} before and {os.getloadavg()[0]:.1f} after on {os.cpu_count()} cores. The node's answers are {told / 1e6:.1f} MB, "
        f"{len(rival.answers[_TRACE]) / 1e6:.1f} MB of them what it traces. The rival has {len(rival.searcher):,} cycles."
    )
    _table(result, name, ours, theirs)
    _against_targets(result, name, targets, [sum(one.values()) - one[_AFTERWARDS] for one in ours])
    _say_found(result, name, rival, runs[0], rivals[0])


# ---------------------------------------------------------------- how long


def _table(
    result: Result, name: str, ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]
) -> None:
    table = Table(title=f"{name}: milliseconds of processor time", box=box.SIMPLE, title_justify="left")
    for column in ("part", "ours p50", "least", "rival p50", "least", "ratio", "of least"):
        table.add_column(column, justify="left" if column == "part" else "right")
    named = {stage for mine, _ in _JOBS.values() for stage in mine}
    rest = tuple(stage for stage in ours[0] if stage not in named)
    jobs = {**_JOBS, **({_OTHER: (rest, ())} if rest else {})}
    rows = {job: (_sums(ours, mine), _sums(theirs, its)) for job, (mine, its) in jobs.items()}
    without = tuple(stage for stage in theirs[0] if stage != STATE)
    rows |= {
        "all": (_sums(ours, tuple(ours[0])), _sums(theirs, tuple(theirs[0]))),
        "all, state given to the rival": (_sums(ours, tuple(ours[0])), _sums(theirs, without)),
    }
    numbers = {}
    for job, (mine, its) in rows.items():
        values = (median(mine), mine[0], median(its), its[0])
        ratios = (values[2] / values[0], values[3] / values[1])
        table.add_row(job, *(f"{value:.2f}" for value in values), *(f"{ratio:.1f}" for ratio in ratios))
        numbers[job] = dict(
            zip(
                ("p50", "least", "rival_p50", "rival_least", "ratio", "ratio_of_least"), (*values, *ratios), strict=True
            )
        )
    result.tables.append(table)
    stages = {
        who: {stage: {"p50": median(spent := _sums(runs, (stage,))), "least": spent[0]} for stage in runs[0]}
        for who, runs in (("ours", ours), ("rival", theirs))
    }
    result.numbers[name] = {"jobs_ms": numbers, "stages_ms": stages}
    result.tables.append(_stage_table(name, stages))


def _sums(runs: Sequence[Mapping[str, float]], stages: Sequence[str]) -> list[float]:
    """Milliseconds of these stages together in each repetition, least first."""
    return sorted(1e3 * sum(one.get(stage, 0.0) for stage in stages) for one in runs)


def _stage_table(name: str, stages: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    table = Table(title=f"{name}: the stages of each", box=box.SIMPLE, title_justify="left")
    for column in ("stage", "p50", "least"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for who, own in stages.items():
        for stage, one in own.items():
            table.add_row(f"{who}: {stage}", f"{one['p50']:.2f}", f"{one['least']:.2f}")
        table.add_section()
    return table


def _against_targets(result: Result, name: str, targets: Mapping[str, int], seconds: Sequence[float]) -> None:
    ordered = sorted(1e3 * each for each in seconds)
    found = {"p50": median(ordered), "p99": percentile(ordered, 0.99), "least": ordered[0]}
    told = ", ".join(f"{key} {value:.1f} ms" for key, value in found.items())
    wanted = ", ".join(f"{key} ≤ {value} ms" for key, value in targets.items())
    result.notes.append(f"T9, {name} block to its signed bundle, compute of one core: {told} (target {wanted}).")
    result.numbers[name] |= {"ms": found, "targets_ms": dict(targets)}


# ---------------------------------------------------------------- what was found


def _say_found(result: Result, name: str, rival: BlockRival, ours: Run, theirs: RivalRun) -> None:
    given = rival.given
    event, executed = ours.events[0], theirs.executed
    chosen = event.decision.chosen
    same = chosen is not None and theirs.chosen is not None and _same(chosen, theirs)
    cycles = len(cycles_of(chosen.hops)) if chosen is not None else 0
    result.notes.append(
        f"{name}: ours executed {event.candidates} calls and chose one of {cycles} cycles that nets {_ether(int(chosen.net) if chosen else 0)} ether after gas and tip; the rival executed {len(executed)} routes, "
        f"{sum(one.success for one in executed)} of which succeeded, and chose one that nets {_ether(theirs.chosen.net if theirs.chosen else 0)} by its own gas: {'the first cycle of ours' if same else 'ANOTHER route than ours'}. "
        f"Its {given.changed} changed pools have our reserves in {given.agreeing[0]}, and of {given.slots} slots of its routes' state that it read from the trace {given.agreeing[1]} are ours."
    )
    result.numbers[name]["found"] = {
        "same_best_route": same, "cycles_of_ours": cycles, "calls_of_ours": event.candidates, "routes_of_rival": len(executed),
        "changed_pools": given.changed, "reserves_agree": given.agreeing[0], "slots": given.slots, "slots_agree": given.agreeing[1],
    }  # fmt: skip


def _same(chosen: ChosenCall, theirs: RivalRun) -> bool:
    """Whether the rival's route goes through the pools of the best cycle of ours."""
    return (
        theirs.chosen is not None
        and tuple(hop.pool for hop in cycles_of(chosen.hops)[0]) == theirs.chosen.executed.route.pools
    )


def _ether(wei: int) -> str:
    return f"{wei / 1e18:.6f}"
