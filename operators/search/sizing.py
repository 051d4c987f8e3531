"""The best size of a route of constant-product hops: closed form in exact integers, then confirmed with the floors.

Without its floors a hop pays `kept*Ro*x / (scale*Ri + kept*x)`, a Moebius map, and so does a chain of them:
`out(x) = A*x / (B + C*x)`. Profit `out(x) - x` is concave, rises from 0 only if `A > B`, and is greatest at
`x = (sqrt(A*B) - B) / C`. All of it is done in integers, so the same route has the same size on every machine.

With floors the profit is a staircase below that curve. Within one step of an amount along the route only the least input
that reaches it can be best, so the steps of the coarsest amount are walked outwards from the optimum, each evaluated with
the pools' own arithmetic, until the curve itself shows that no further step can be better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from math import isqrt
from typing import NamedTuple

from operators.pools.base import ConstantProduct

#: How far to walk on each side where the profit is so flat that the curve rules nothing out (with large reserves it is flat to
#: below a unit of the coarsest amount over millions of steps): at least so many steps, and over so many inputs.
MIN_STEPS = 32
MIN_INPUTS = 512


class Sized(NamedTuple):
    """A sized route, in base units: what goes in, what each hop pays, and what comes back above what went in."""

    amount_in: int
    amounts_out: tuple[int, ...]
    gross: int


class Composed(NamedTuple):
    """A chain of hops without floors: `out(x) = gain * x / (base + slope * x)`."""

    gain: int
    base: int
    slope: int

    def profit(self, amount_in: int) -> int:
        """The profit of an input, rounded down: no hop's floor can make it more."""
        return self.gain * amount_in // (self.base + self.slope * amount_in) - amount_in

    def best_in(self) -> int:
        """The input of greatest profit, rounded down."""
        return (isqrt(self.gain * self.base) - self.base) // self.slope

    def best_profit(self) -> int:
        """The greatest profit, (sqrt(A) - sqrt(B))**2 / C, rounded down; at times one more, never less."""
        return (self.gain + self.base - isqrt(4 * self.gain * self.base)) // self.slope


def compose(curves: Iterable[ConstantProduct]) -> Composed:
    """The chain of hops as one map. Reserves and kept parts must be above zero."""
    gain, base, slope = 1, 1, 0
    for kept, scale, reserve_in, reserve_out, _ in curves:
        slope = scale * reserve_in * slope + kept * gain
        gain *= kept * reserve_out
        base *= scale * reserve_in
    return Composed(gain, base, slope)


def gross_bound(curves: Sequence[ConstantProduct], max_position: int) -> int:
    """No input up to `max_position` (base units) earns more than this; 0 means that the route earns nothing."""
    chain = compose(curves)
    if chain.gain <= chain.base or max_position < 1:
        return 0
    if chain.best_in() < max_position:
        return chain.best_profit()
    return max(0, chain.profit(max_position))


def best_size(curves: Sequence[ConstantProduct], max_position: int) -> Sized | None:
    """The most profitable input up to `max_position` that every pool can take; None if no input earns a base unit.

    Exact over all inputs wherever the walk ends by itself, which the curve proves; else over all inputs within `MIN_STEPS`
    steps of the coarsest amount, and within `MIN_INPUTS` base units, of the optimum.
    """
    chain = compose(curves)
    if chain.gain <= chain.base:
        return None
    cap = _largest_input(curves, max_position)
    if cap < 1:
        return None
    top = min(max(1, chain.best_in()), cap)
    prefix, centre = _coarsest(curves, top)
    best: Sized | None = None
    for steps in (range(centre, 0, -1), count(centre + 1)):
        for walked, amount in enumerate(steps):
            amount_in = _least_input(prefix, amount)
            if amount_in is None or amount_in > cap or (walked >= MIN_STEPS and abs(amount_in - top) > MIN_INPUTS):
                break
            sized = _evaluate(curves, amount_in)
            if sized.gross > (best.gross if best else 0):
                best = sized
            # Profit falls from here on in this direction, so what is left in it is at most what the curve gives here.
            if chain.profit(amount_in) <= (best.gross if best else 0):
                break
    return best


def _evaluate(curves: Sequence[ConstantProduct], amount_in: int) -> Sized:
    amounts = _pay(curves, amount_in)
    return Sized(amount_in, tuple(amounts), amounts[-1] - amount_in)


def _pay(curves: Sequence[ConstantProduct], amount_in: int) -> list[int]:
    """What each hop pays in turn."""
    amounts = []
    for curve in curves:
        amount_in = curve.out(amount_in)
        amounts.append(amount_in)
    return amounts


def _least_input(curves: Sequence[ConstantProduct], amount_out: int) -> int | None:
    """The least input for which the hops pay at least `amount_out`; None if no input does."""
    for curve in reversed(curves):
        if amount_out >= curve.reserve_out:
            return None
        amount_out = curve.least_in(amount_out)
    return amount_out


def _largest_input(curves: Sequence[ConstantProduct], max_position: int) -> int:
    """The largest input up to `max_position` that keeps every pool's reserves within what its contract can hold."""
    cap = max_position
    for hop, curve in enumerate(curves):
        before = curves[:hop]
        arriving = _pay(before, cap)[-1] if before else cap
        if arriving > curve.max_in:
            too_much = _least_input(before, curve.max_in + 1)
            cap = too_much - 1 if too_much is not None else cap
    return cap


def _coarsest(curves: Sequence[ConstantProduct], amount_in: int) -> tuple[Sequence[ConstantProduct], int]:
    """The amount along the route that is counted in the fewest units, and the hops that lead to it (none: the input)."""
    amounts = [amount_in, *_pay(curves[:-1], amount_in)]
    hops = min(range(len(amounts)), key=amounts.__getitem__)
    return curves[:hops], amounts[hops]
