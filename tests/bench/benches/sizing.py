"""Sizing of routes (T3) and sets of overlapping routes (T10), each beside what a general solver makes of the same.

Routes are of a recorded mainnet block with one of their pools pushed off its price by a trade; the rival is a bounded scalar search on the same exact
quotes. Sets are of random overlapping markets; the rival is the convex problem of routing, whose value no set of trades exceeds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from statistics import median

from rich import box
from rich.table import Table
from scipy.optimize import minimize_scalar

from operators.pools.base import Pool, QuoteRefused
from operators.pools.uniswap_v2 import V2Pool
from operators.search.net import GasModel, Terms
from operators.search.overlap import BestSet, best_set
from operators.search.prices import PAR
from operators.search.sizing import Curves, Directed, Sized, best_size, gross_bound, polished
from operators.search.sizing_closed import closed_size
from operators.search.sizing_curves import ProductCurve, curve_of
from operators.search.sizing_solve import aim
from tests.bench.result import Result, Settings
from tests.bench.timing import Timing, in_turn
from tests.shared_data import DATA
from tests.unit.search.convex_bound import convex_bound
from tests.unit.search.markets import WETH
from tests.unit.search.overlapping import DUST, overlapping
from tests.unit.search.recorded_market import Route, all_legs, profitable_routes, recorded_pools

_CAP = 10**30
_KINDS = ("222", "22", "323", "232", "33", "333")
#: Targets: microseconds a route, and how many times faster than the bounded search.
_TARGETS = {"222": 6, "323": 35}
_RIVAL_RATIO = 30
#: The bounded search is told the size to within this factor, which our own is not.
_ROOM = 1000
#: Profits above this are worth sizing: below, a unit of a coarse token is a visible part.
_WORTH = 10**15


def run(settings: Settings) -> Result:
    """Measure routes, then sets."""
    result = Result()
    result.notes.append(
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start. Times are of the processor, which "
        "other people's work changes less than the clock's; ratios are worth more than times."
    )
    rounds = 3 if settings.quick else 9
    if (DATA / "propeller-heads__fynd").is_dir():
        _routes(result, rounds, 6 if settings.quick else 20)
    else:
        result.notes.append("T3: the recorded block (../shared/data) is not here: left out")
    _sets(result, 6 if settings.quick else 25)
    return result


# ---------------------------------------------------------------- T3


def _routes(result: Result, rounds: int, count: int) -> None:
    table = Table(title="T3: µs of the best size of a route (median over routes)", box=box.SIMPLE)
    for column in ("pools", "routes", "kept", "anew", "target", "scipy", "ratio", "behind", "scipy's"):
        table.add_column(column, justify="right")
    numbers = {}
    for kind in _KINDS:
        routes = [route for route in profitable_routes(recorded_pools(), kind, 4 * count, 21) if _worth(route)][:count]
        if not routes:
            continue
        measured = [_measure(route, rounds) for route in routes]
        kept, anew, scipy = (median(one[name].cpu for one in measured) for name in ("kept", "anew", "scipy"))
        behind = max(_behind(route) for route in routes)
        behind_scipy = max(
            (_scipy(route, _size(route).amount_in) - _size(route).gross) / _size(route).gross for route in routes
        )
        target = _TARGETS.get(kind)
        table.add_row(
            kind, str(len(routes)), f"{kept * 1e6:.1f}", f"{anew * 1e6:.1f}", f"≤ {target}" if target else "",
            f"{scipy * 1e6:,.0f}", f"{scipy / kept:,.0f}×", f"{behind:.1e}", f"{behind_scipy:.1e}",
        )  # fmt: skip
        numbers[kind] = {"routes": len(routes), "kept_us": kept * 1e6, "anew_us": anew * 1e6, "scipy_us": scipy * 1e6,
                         "ratio": scipy / kept, "behind": behind, "behind_scipy": behind_scipy}  # fmt: skip
        if kind == "222":
            closed = median(one["closed"].cpu for one in measured)
            result.notes.append(
                f"T3: the closed form by itself, on three constant products as the tables keep them: {closed * 1e6:.1f} µs."
            )
            numbers[kind]["closed_us"] = closed * 1e6
        bounds, polish = (median(one[name].cpu for one in measured) for name in ("bound", "polish"))
        numbers[kind] |= {"bound_us": bounds * 1e6, "polish_us": polish * 1e6}
    result.tables.append(table)
    result.numbers["routes"] = numbers
    result.notes += [
        f"T3: 2 and 3 are versions of Uniswap. Target of the ratio: {_RIVAL_RATIO}×. Curves are kept over the routes of an event; anew is one route "
        "by itself. Behind: the best of a dense search on exact quotes around the size, above what was found, as a part of it; routes "
        "with a coarse token (a satoshi is 3e11 wei) lose up to a unit of it, which `polished` wins back in part.",
        f"T3: scipy's: its profit above ours, as a part; below zero it is less. It is minimize_scalar, bounded, on the same quotes, told to look up to {_ROOM} times the best size and to stop at a millionth of it.",
    ]


def _size(route: Route) -> Sized:
    sized = best_size(route, _CAP)
    assert sized is not None
    return sized


def _worth(route: Route) -> bool:
    sized = best_size(route, _CAP)
    return sized is not None and sized.gross > _WORTH


def _measure(route: Route, rounds: int) -> dict[str, Timing]:
    curves, sized = Curves(), _size(route)
    works = {
        "kept": (lambda: best_size(route, _CAP, curves), 1),
        "anew": (lambda: best_size(route, _CAP), 1),
        "bound": (lambda: gross_bound(route, _CAP, curves), 1),
        "polish": (lambda: polished(route, sized, _CAP, curves), 1),
        "scipy": (lambda: _scipy(route, sized.amount_in), 1),
    }
    products = [curve.product for hop in route if isinstance(curve := curve_of(hop), ProductCurve)]
    if len(products) == len(route):
        works["closed"] = (lambda: closed_size(products, _CAP), 1)
    return in_turn(works, rounds, 0.01)


def _profit(route: Sequence[Directed], amount: int) -> int:
    start = amount
    try:
        for pool, token_in, token_out in route:
            amount = pool.quote(token_in, amount, token_out).amount_out
    except QuoteRefused:
        return -start
    return amount - start


def _scipy(route: Route, near: int) -> int:
    """What a bounded search finds that is told where to look."""
    most = _ROOM * near
    best = minimize_scalar(
        lambda amount: -float(_profit(route, int(amount))),
        bounds=(1.0, float(most)),
        method="bounded",
        options={"xatol": near * 1e-6},
    )
    return _profit(route, int(best.x))


def _behind(route: Route) -> float:
    """How much better the best of a dense search is, as a part; less a unit of each amount on the way."""
    sized, rnd = _size(route), random.Random(1)
    best = sized.gross
    for _ in range(400):
        amount = sized.amount_in + int(sized.amount_in * rnd.uniform(-1, 1) * 10 ** rnd.uniform(-12, -2))
        best = max(best, _profit(route, amount))
    aimed = aim([curve_of(hop) for hop in route], _CAP)
    assert aimed is not None
    return max(0.0, best - sized.gross - sum(aimed.units)) / best


# ---------------------------------------------------------------- T10

#: Rounds of sizing together, and whether routes are also left out and replaced.
_LEVELS = {"greedy": (0, False), "sized together": (2, False), "and replaced": (8, True)}


def _sets(result: Result, count: int) -> None:
    table = Table(title="T10: sets of overlapping routes, as a part of the convex bound", box=box.SIMPLE)
    for column in ("tokens", "sets", "way", "together", "median", "worst", "ms", "solver ms"):
        table.add_column(column, justify="right")
    numbers = {}
    for tokens in (1, 2, 3):
        rnd = random.Random(tokens)
        markets: list[tuple[list[V2Pool], float]] = []
        while len(markets) < count:
            pools = overlapping(rnd, tokens)
            bound = convex_bound(pools, WETH)
            if bound >= 100 * DUST:
                markets.append((pools, bound))
        solver = median(_seconds(lambda pools=pools: convex_bound(pools, WETH)) for pools, _ in markets)
        for way, (rounds, refill) in _LEVELS.items():
            earned, seconds = [], []
            for pools, _ in markets:
                states: dict[bytes, Pool] = {pool.address: pool for pool in pools}
                legs = list(all_legs(pools, WETH, tokens + 1, -1.0))
                terms = Terms(GasModel(0, {}), 0, {WETH: PAR}, {WETH: _CAP}, DUST // 100)

                def work() -> BestSet:
                    return best_set(legs, states.get, terms, 200, None, rounds, refill)

                seconds.append(_seconds(work))
                earned.append(work().net_wei)
            ratios = [one / bound for one, (_, bound) in zip(earned, markets, strict=True)]
            together = sum(earned) / sum(bound for _, bound in markets)
            table.add_row(
                str(tokens), str(count), way, f"{together:.4f}", f"{median(ratios):.4f}", f"{min(ratios):.4f}",
                f"{median(seconds) * 1e3:.1f}", f"{solver * 1e3:.1f}",
            )  # fmt: skip
            numbers[f"{tokens} tokens, {way}"] = {
                "together": together, "median": median(ratios), "worst": min(ratios), "ms": median(seconds) * 1e3,
                "solver_ms": solver * 1e3,
            }  # fmt: skip
    result.tables.append(table)
    result.numbers["sets"] = numbers
    result.notes.append(
        "T10: target 0.97 together. All pools of these markets are mispriced and gas is free, so that sets are as large as they can be. The convex "
        "solver (dual decomposition, L-BFGS) tells a value in floats and no trades; the sets are exact integers, carried out one by one."
    )


def _seconds(work: object) -> float:
    assert callable(work)
    return in_turn({"work": (work, 1)}, 1, 0.005)["work"].cpu
