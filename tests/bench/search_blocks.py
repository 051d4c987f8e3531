"""Blocks of a made-up market taken by our tables and by each rival: the same prices for all, and answers compared before anything is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from infra.toolchain.rivals import RivalsUnavailable
from operators.search.floors import Floor
from operators.search.offers import Offers, offers_of
from operators.search.tables import Tables
from tests.bench.degenbot_rival import sweep
from tests.bench.result import percentile
from tests.bench.search_market import Block, SearchMarket
from tests.bench.search_rivals import Arcs, BellmanFord, Cycle, Enumerated, Floats, Ints, Rescan

GAS, HOP_GAS, GAS_PRICE, LEAST_NET = 100_000, 70_000, 2 * 10**9, 10**14
MOST_CYCLES = 12_000_000
DEGENBOT_CYCLES, SWEEPS, DEGENBOT_CHANGED = 20_000, 3, 6
#: Blocks that a contender takes before it is the next one's turn, and how many of the first are not counted.
_TURN, _WARM = 20, 5
#: Blocks for a contender that takes long.
_SLOW = 40

OURS, OURS_ALL, OURS_FREE, OURS_FIVE = "ours", "ours, 5 anchors", "ours, no floor", "ours, 5 hops"
FROM_STATES = "ours, from states"
COMPILED, NUMPY, RESCAN, BELLMAN = "cycles, numba", "cycles, numpy", "rescan, numpy", "Bellman-Ford"
DEGENBOT = "degenbot 0.3"

#: Microseconds of processor time of every block, by part of the work; of `wall` on the clock; `routes` are counts.
Times = dict[str, list[float]]


class Case(NamedTuple):
    """A block with what each way takes of it, and the way back."""

    block: Block
    priced: dict[bytes, tuple[Any, Offers]]
    moved: Ints
    prices: Floats
    rest_prices: Floats
    pools: Ints


class Contender(Protocol):
    """One way to take blocks."""

    times: Times

    def take(self, case: Case) -> None:
        """Take the block, on the clock."""

    def rest(self, case: Case) -> None:
        """Back to where the block began, off the clock."""


def floors_of(market: SearchMarket) -> dict[bytes, Floor]:
    """Gas and the least net profit in each anchor."""
    wei = GAS * GAS_PRICE + LEAST_NET
    return {anchor: Floor(wei / value, GAS_PRICE / value) for anchor, value in market.anchor_values().items()}


def cases(arcs: Arcs, blocks: Sequence[Block]) -> Iterator[Case]:
    """The blocks made ready."""
    for block in blocks:
        offers = {pool.address: (pool, offers_of(pool)) for pool in block.changed}
        pools = np.array([arcs.number[name] for name in block.names])
        yield Case(block, offers, *arcs.prices_of(block.changed), arcs.prices_of(block.rest)[1], pools)


def clock(work: Callable[[], object]) -> float:
    """Microseconds of processor time of this thread."""
    started = time.thread_time()
    work()
    return (time.thread_time() - started) * 1e6


def at(values: list[float], share: float) -> float:
    """A percentile."""
    return percentile(sorted(values), share)


# ---------------------------------------------------------------- contenders


class Ours:
    """Our tables: prices put in, routes listed, the best twenty looked at."""

    def __init__(self, market: SearchMarket, anchors: int, max_hops: int = 4, floors: bool = True) -> None:
        self.tables = Tables(market.anchors[:anchors], market.pools, {"uniswap_v2": HOP_GAS}, market.anchors)
        self._floors = floors_of(market) if floors else {}
        self._max_hops = max_hops
        self.times: Times = {"update": [], "list": [], "block": [], "wall": [], "routes": []}

    def take(self, case: Case) -> None:
        """Update and list."""
        began, started = time.perf_counter(), time.thread_time()
        self.tables.put_priced(case.priced)
        updated = time.thread_time()
        routes = self.tables.routes_through(case.priced, self._max_hops, self._floors)
        _ = routes[:20]
        done, ended = time.thread_time(), time.perf_counter()
        parts = {"update": updated - started, "list": done - updated, "block": done - started, "wall": ended - began}
        for name, seconds in parts.items():
            self.times[name].append(seconds * 1e6)
        self.times["routes"].append(len(routes))

    def rest(self, case: Case) -> None:
        """Off the clock."""
        self.tables.put_many(case.block.rest)

    def cycles(self, case: Case) -> set[Cycle]:
        """The routes of the block just taken."""
        listed = self.tables.routes_through(case.priced, self._max_hops, self._floors)
        return {tuple(map(tuple, route.legs)) for route in listed}  # type: ignore[misc]


class FromStates(Ours):
    """Our tables, from the states of the pools on: their prices are part of the work."""

    def take(self, case: Case) -> None:
        """Price, update and list."""
        self.times["block"].append(clock(partial(self._whole, case.block)))
        self.times["price"] = [*self.times.get("price", []), clock(partial(list, map(offers_of, case.block.changed)))]

    def _whole(self, block: Block) -> None:
        self.tables.put_many(block.changed)
        _ = self.tables.routes_through(block.names, self._max_hops, self._floors)[:20]


class Rival:
    """One of the other ways, by its function of changed prices and pools."""

    def __init__(self, take: Callable[[Ints, Floats, Ints], object]) -> None:
        self._take = take
        self.times: Times = {"block": []}

    def take(self, case: Case) -> None:
        """Give it the new prices."""
        self.times["block"].append(clock(partial(self._take, case.moved, case.prices, case.pools)))

    def rest(self, case: Case) -> None:
        """Give it the old ones."""
        self._take(case.moved, case.rest_prices, case.pools)


def in_turn(contenders: Mapping[str, Contender], ready: Sequence[Case], slow: Sequence[str]) -> None:
    """Let each take all blocks, some blocks at a time."""
    for begin in range(0, len(ready), _TURN):
        for name, contender in contenders.items():
            if name in slow and begin >= _SLOW:
                continue
            for case in ready[begin : begin + _TURN]:
                contender.take(case)
                contender.rest(case)
    for contender in contenders.values():
        contender.times = {part: values[_WARM:] for part, values in contender.times.items() if len(values) > _WARM}


# ---------------------------------------------------------------- a size


def measure(size: int, count: int, with_cycles: bool) -> tuple[dict[str, Times], list[str]]:
    """Times of every contender on `count` blocks of a market, and what there is to say."""
    market = SearchMarket(size)
    arcs, notes = Arcs(market.pools, market.anchors[0]), []
    rescan = Rescan(arcs)
    free = Ours(market, 1, floors=False)
    contenders: dict[str, Contender] = {
        OURS: Ours(market, 1),
        OURS_ALL: Ours(market, len(market.anchors)),
        FROM_STATES: FromStates(market, len(market.anchors)),
        OURS_FREE: free,
        OURS_FIVE: Ours(market, len(market.anchors), 5),
        RESCAN: Rival(lambda moved, prices, pools: rescan.flagged(moved, prices)),
    }
    enumerated = Enumerated(arcs, 4, MOST_CYCLES) if with_cycles else None
    if enumerated is not None:
        contenders |= {COMPILED: Rival(enumerated.compiled), NUMPY: Rival(enumerated.numpy)}
        notes.append(f"the market has {len(enumerated):,} cycles of up to 4 hops from its first anchor")
    ready = list(cases(arcs, market.blocks(count)))
    if enumerated is not None:
        for case in islice(ready, 2 * _TURN):
            free.tables.put_priced(case.priced)
            found = enumerated.compiled(case.moved, case.prices, case.pools)
            if free.cycles(case) != {enumerated.legs(cycle) for cycle in found}:
                raise RuntimeError("the routes differ from the enumerated cycles")
            enumerated.compiled(case.moved, case.rest_prices, case.pools)
            free.rest(case)
        checked = len(ready[: 2 * _TURN])
        notes.append(f"without a floor the routes are those of the enumerated cycles in {checked} of {checked} blocks")
    in_turn(contenders, ready, (NUMPY, OURS_FIVE))
    times = {name: contender.times for name, contender in contenders.items()}
    bellman = BellmanFord(arcs)
    times[BELLMAN] = {"block": [clock(bellman.one_cycle) for _ in range(3)]}
    notes.append(
        "Bellman-Ford answers only whether there is one negative cycle, here on the market at rest, where there is none; the rescan answers which pairs lie "
        "on a profitable way and lists no route"
    )
    if enumerated is not None:
        notes.append(_degenbot(market, arcs, enumerated, times))
    return times, notes


def _degenbot(market: SearchMarket, arcs: Arcs, enumerated: Enumerated, times: dict[str, Times]) -> str:
    """Some cycles of small blocks through degenbot; ours on the very same blocks."""
    ours = Ours(market, 1, floors=False)
    ready = list(cases(arcs, market.blocks(SWEEPS, DEGENBOT_CHANGED)))
    chosen = [enumerated.through(case.pools)[:DEGENBOT_CYCLES] for case in ready]
    legs = [[enumerated.legs(cycle) for cycle in cycles] for cycles in chosen]
    tasks = [
        (case.block.changed, [[leg[0] for leg in cycle] for cycle in cycles])
        for case, cycles in zip(ready, legs, strict=True)
    ]
    try:
        answers = sweep(market.pools, market.anchors[0], tasks, 100 * 10**18)
    except RivalsUnavailable as reason:
        return f"degenbot is left out: {reason}"
    equal = 0
    for answer, case, cycles in zip(answers, ready, legs, strict=True):
        ours.take(case)
        equal += {cycles[place] for place in answer.above_one} == ours.cycles(case) & set(cycles)
        ours.rest(case)
    swept, own = [answer.seconds * 1e6 for answer in answers], at(ours.times["block"], 0.5)
    times[DEGENBOT] = {"block": swept}
    return (
        f"{DEGENBOT}: {len(answers)} sweeps of {np.mean([len(cycles) for cycles in chosen]):,.0f} cycles through {DEGENBOT_CHANGED} changed pools; the cycles it finds "
        f"above a rate of 1 are those we list in {equal} of {len(answers)}. Ours takes {own:,.0f} µs for the same pools and all their cycles: {at(swept, 0.5) / own:,.0f} "
        "times less"
    )
