"""The best size of a route of any mix of families: aimed at on the smooth curves, decided by the pools' integers.

Profit is concave, so its best input is where the marginal rate of the whole route, the product of the hops' rates, is 1. From any point the
route is near a Moebius map `a * t / (1 + c * t)`, folded from those of its hops (`c += a * bend; a *= rate`), whose best step is
`t = (sqrt(a) - 1) / c`. With constant products and one range of each concentrated pool that is the answer at once; else the step
lands in other ranges, or in another part of the curve, and is taken again from there, kept between inputs known to be too small and too large.

The integers then decide: around the aim, on the least inputs that reach each unit of the coarsest amount (as `sizing_closed` does), where
the floors could take a visible part of the profit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

from operators.search.sizing_closed import Sized
from operators.search.sizing_curves import Curve, pay

#: A step of less than this part of the input ends the search: profit is off by no more than its square. Quoted curves are less smooth.
_ENOUGH, _ENOUGH_QUOTED = 1e-9, 1e-6
#: The same between the bounds, where there is no such step because the rate jumps (a gap in the liquidity, a limit).
_CLOSED, _CLOSED_QUOTED = 1e-11, 1e-8
_STEPS = 128
#: A step on quoted curves that leaves more than this part of what was gained at the margin has not come nearer: quotes in whole units show
#: a bend where there is none. What follows does not trust the bend.
_NEARER = 0.25
#: The floors are looked into where they could take more than this part of the profit; and further, on demand, where they did.
_LOOK = _VISIBLE = 1e-6
#: How far from the aim, as a part of the amount, profit is the same up to the square of this part; and how many inputs are tried there.
_FLAT, TRIES = 5e-4, 64
#: Floats of a route differ from the true curve by much less than this part of what goes through.
_DOUBT = 1e-12


class Aim(NamedTuple):
    """The input to try (float base units), what the smooth curves earn there, and what one unit of each amount before each hop is worth
    in units of the last."""

    amount_in: float
    profit: float
    units: tuple[float, ...]


def aim(curves: Sequence[Curve], max_position: int) -> Aim | None:
    """The input of greatest profit on the smooth curves, up to `max_position`; None if none earns anything."""
    cap = float(max_position)
    quoted = any(curve.quoted for curve in curves)
    enough, closed = (_ENOUGH_QUOTED, _CLOSED_QUOTED) if quoted else (_ENOUGH, _CLOSED)
    low, high, at = 0.0, cap, 0.0
    rate, bend = _point(curves, at)
    if rate <= 1.0:
        return None
    margin, stride = inf, 4.0
    for _ in range(_STEPS):
        step = (sqrt(rate) - 1.0) / bend if bend > 0.0 and rate > 0.0 else cap * (rate - 1.0)
        target = at + step
        if abs(step) <= enough * at and low <= target <= high:
            at = target
            break
        astray = quoted and abs(rate - 1.0) > _NEARER * margin
        margin = abs(rate - 1.0)
        if astray and high == cap and 0.0 < at * stride < cap and target < at * stride:
            # Nothing was seen that is too much: ever larger strides come upon it soon.
            target, stride = at * stride, stride * stride
        elif astray and high < cap:
            target = _between(low, high)
        elif target >= cap and high == cap and at != cap:
            target = cap
        elif not low < target < high:
            target = _between(low, high)
        at = target
        rate, bend = _point(curves, at)
        if rate > 1.0:
            low = at
            if at >= cap:
                break
        else:
            high = at
        if high - low <= closed * high:
            # The smaller of the two: it is within every limit.
            at = low
            break
    return _aimed(curves, at)


def _between(low: float, high: float) -> float:
    """The middle; of bounds of different sizes that of their digits."""
    least = max(low, 1.0)
    return sqrt(least * high) if 4.0 * least < high else (low + high) / 2.0


def smooth_bound(curves: Sequence[Curve], max_position: int) -> int:
    """No input up to `max_position` earns more: the smooth curves round nothing, and no hop's arithmetic rounds towards the trader."""
    aimed = aim(curves, max_position) if max_position > 0 else None
    return int(aimed.profit * (1.0 + 1e-9) + aimed.amount_in * _DOUBT) + 1 if aimed else 0


def confirm(curves: Sequence[Curve], aimed: Aim, max_position: int) -> Sized | None:
    """The most profitable integer input at the aim and, where floors could take a visible part of the profit, the least inputs that reach the
    steps of the coarsest amount around it; None if none of them earns a base unit."""
    top = min(max(1, int(aimed.amount_in)), max_position)
    amounts = pay(curves, top)
    best = _better(None, top, amounts)
    if 1.0 + sum(aimed.units) <= _LOOK * aimed.profit and best is not None:
        return best
    arriving = [top, *amounts[:-1]]
    hop = min(range(len(curves)), key=arriving.__getitem__)
    units = arriving[hop]
    return _best_of(curves, hop, (units, units + 1), arriving, max_position, best)


def polish(curves: Sequence[Curve], aimed: Aim, sized: Sized, max_position: int) -> Sized:
    """Where the floors took a visible part of the profit: the best of `TRIES` more inputs, so near that the smooth profit is the same.

    Fees round in coarse amounts as well, and what all of the floors take together goes up and down from unit to unit without an order, so
    that spread inputs find a place where they take little as well as any. Never worse than `sized`.
    """
    arriving = [sized.amount_in, *sized.amounts_out[:-1]]
    hop = min(range(len(curves)), key=arriving.__getitem__)
    centre, best = arriving[hop], sized
    stride = max(1, int(centre * _FLAT) // TRIES)
    for step in range(1, 1 + TRIES // 2):
        if aimed.profit - best.gross <= _VISIBLE * aimed.profit:
            break
        # One more each time, for a stride may be in step with a fee.
        wanted = [centre + sign * (step * stride + step) for sign in (1, -1)]
        best = _best_of(curves, hop, wanted, arriving, max_position, best) or best
    return best


def _best_of(
    curves: Sequence[Curve],
    hop: int,
    wanted: Sequence[int],
    nears: Sequence[int],
    max_position: int,
    best: Sized | None,
) -> Sized | None:
    """The best of `best` and the least inputs that bring any of the wanted amounts before a hop."""
    for units in wanted:
        amount_in = _least_input(curves[:hop], units, nears) if units > 0 else None
        if amount_in is not None and amount_in <= max_position:
            best = _better(best, amount_in, pay(curves, amount_in))
    return best


def _better(best: Sized | None, amount_in: int, amounts: Sequence[int]) -> Sized | None:
    gross = amounts[-1] - amount_in
    return Sized(amount_in, tuple(amounts), gross) if gross > (best.gross if best else 0) else best


def _least_input(prefix: Sequence[Curve], amount_out: int, nears: Sequence[int]) -> int | None:
    """The least input that brings an amount to the end of the prefix; None if none does. `nears` are the amounts of another input."""
    for curve, near in zip(reversed(prefix), reversed(nears[: len(prefix)]), strict=True):
        least = curve.least_in(amount_out, near)
        if least is None:
            return None
        amount_out = least
    return amount_out


def _point(curves: Sequence[Curve], amount: float) -> tuple[float, float]:
    """The smooth route at an input: marginal rate and bend."""
    rate, bend = 1.0, 0.0
    for curve in curves:
        amount, hop_rate, hop_bend = curve.at(amount)
        bend += rate * hop_bend
        rate *= hop_rate
    return rate, bend


def _aimed(curves: Sequence[Curve], amount_in: float) -> Aim | None:
    amount, rates = amount_in, []
    for curve in curves:
        amount, rate, _ = curve.at(amount)
        rates.append(rate)
    if amount <= amount_in:
        return None
    # The floor of each hop but the last takes less than a unit, which is worth what the hops after it make of it.
    units, worth = [], 1.0
    for rate in reversed(rates[1:]):
        worth *= rate
        units.append(worth)
    return Aim(amount_in, amount - amount_in, tuple(reversed(units)))
