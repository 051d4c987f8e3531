"""The best size of a route of constant-product hops: closed form in exact integers, then confirmed with the floors.

Without its floors a hop pays `kept*Ro*x / (scale*Ri + kept*x)`, a Moebius map, and so does a chain of them:
`out(x) = A*x / (B + C*x)`. Profit `out(x) - x` is concave, rises from 0 only if `A > B`, and is greatest at
`x = (sqrt(A*B) - B) / C`. All of it is done in integers, so the same route has the same size on every machine.

With floors the profit is a staircase below that curve. Within one step of an amount along the route only the least input
that reaches it can be best, so the steps of the coarsest amount are walked outwards from the optimum, each evaluated with
the pools' own arithmetic. The curve ends the walk where it shows that no further step can be better, which it does at
once where the floors took nothing. Where profit is so flat that it cannot, because millions of steps differ by a base
unit or two, the walk stops after `NEAR` steps; it goes on to `FAR` where the floors took a visible part of the profit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from math import isqrt
from typing import NamedTuple

from operators.pools.base import ConstantProduct

#: How far to walk on each side, in steps of the coarsest amount, where the profit is so flat that the curve rules nothing out.
NEAR = 2
#: The same where the floors took more than one part in `VISIBLE` of the profit.
FAR = 32
VISIBLE = 1_000_000
#: An amount of fewer units than this is walked until the curve ends it: at least `FAR` steps, and over so many inputs.
FEW_UNITS = 4096
FEW_INPUTS = 512


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


def closed_bound(curves: Sequence[ConstantProduct], max_position: int) -> int:
    """No input up to `max_position` (base units) earns more than this; 0 means that the route earns nothing."""
    chain = compose(curves)
    if chain.gain <= chain.base or max_position < 1:
        return 0
    if chain.best_in() < max_position:
        return chain.best_profit()
    return max(0, chain.profit(max_position))


def closed_size(curves: Sequence[ConstantProduct], max_position: int, floor: int = 0) -> Sized | None:
    """The most profitable input up to `max_position` that every pool can take; None if no input earns more than `floor` base units.

    Exact over all inputs wherever the walk ends by itself, which the curve proves; else over all inputs within `NEAR`
    steps of the coarsest amount (`FAR` where that is visible in the profit) around the optimum.
    """
    # One function, for this is what a search spends its time in: the chain is composed while the hops are prepared.
    gain, base, slope = 1, 1, 0
    hops = []
    for kept, scale, reserve_in, reserve_out, max_in in curves:
        scaled = scale * reserve_in
        slope = scaled * slope + kept * gain
        gain *= kept * reserve_out
        base *= scaled
        hops.append((kept, scaled, reserve_out, max_in))
    if gain <= base or not base or max_position < 1:
        return None
    root = isqrt(gain * base)
    top = (root - base) // slope
    if top < max_position:
        # The root is rounded down: the bound is at times one too much, never too little.
        bound = (gain + base - 2 * root) // slope
    else:
        top = max_position
        bound = gain * top // (base + slope * top) - top
    if bound <= floor:
        return None
    amount = coarsest = top
    position = 0
    for hop, (kept, scaled, reserve_out, max_in) in enumerate(hops):
        if amount < coarsest:
            coarsest, position = amount, hop
        if amount > max_in:
            return _walked(curves, Composed(gain, base, slope), max_position, floor, FEW_INPUTS)
        amount *= kept
        amount = amount * reserve_out // (scaled + amount)
    if coarsest < FEW_UNITS:
        return _walked(curves, Composed(gain, base, slope), max_position, floor, FEW_INPUTS)
    prefix, suffix = hops[:position][::-1], hops[position:]
    best = best_in = 0
    for units in (coarsest, coarsest + 1, coarsest - 1, coarsest + 2, coarsest - 2):
        amount_in = units
        for kept, scaled, reserve_out, _ in prefix:
            if amount_in >= reserve_out:
                break
            amount_in = -(-scaled * amount_in // (kept * (reserve_out - amount_in)))
        else:
            if amount_in > max_position:
                continue
            # From here on with the least that arrives: what the prefix pays above it the last evaluation adds.
            amount = units
            for kept, scaled, reserve_out, _ in suffix:
                amount *= kept
                amount = amount * reserve_out // (scaled + amount)
            if amount - amount_in > best:
                best, best_in = amount - amount_in, amount_in
                if best >= bound:
                    break
    if (bound - best) * VISIBLE > bound:
        return _walked(curves, Composed(gain, base, slope), max_position, floor, 0)
    amount, amounts = best_in, []
    for kept, scaled, reserve_out, max_in in hops:
        if amount > max_in:
            return _walked(curves, Composed(gain, base, slope), max_position, floor, 0)
        amount *= kept
        amount = amount * reserve_out // (scaled + amount)
        amounts.append(amount)
    gross = amount - best_in
    return Sized(best_in, tuple(amounts), gross) if gross > floor else None


def _walked(
    curves: Sequence[ConstantProduct], chain: Composed, max_position: int, floor: int, min_inputs: int
) -> Sized | None:
    """The walk with every bound checked at every step: at least `FAR` steps and `min_inputs` on each side unless the curve ends it."""
    cap = _largest_input(curves, max_position)
    if cap < 1:
        return None
    top = min(max(1, chain.best_in()), cap)
    prefix, centre = _coarsest(curves, top)
    best: Sized | None = None
    for steps in (range(centre, 0, -1), count(centre + 1)):
        for walked, amount in enumerate(steps):
            amount_in = _least_input(prefix, amount)
            if amount_in is None or amount_in > cap or (walked >= FAR and abs(amount_in - top) > min_inputs):
                break
            sized = _evaluate(curves, amount_in)
            if sized.gross > (best.gross if best else floor):
                best = sized
            # Profit falls from here on in this direction, so what is left in it is at most what the curve gives here.
            if chain.profit(amount_in) <= (best.gross if best else floor):
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
