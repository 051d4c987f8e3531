"""The best size of a route of any mix of families, within every pool's limits and a position; and the route as it would be traded.

Constant products alone have a closed form (`sizing_closed`); any other mix is aimed at on smooth curves and decided by integers (`sizing_solve`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

from operators.pools.base import Pool
from operators.search.sizing_closed import Sized, closed_bound, closed_size
from operators.search.sizing_curves import Curve, Curves, Directed, ProductCurve, curve_of
from operators.search.sizing_solve import aim, confirm, polish, smooth_bound

__all__ = ["Curves", "Directed", "Sized", "Trade", "TradedHop", "best_size", "gross_bound", "polished", "trade"]


class TradedHop(NamedTuple):
    """One hop of a sized route: amounts in base units, gas as the pool estimates it, and the pool after the trade."""

    hop: Directed
    amount_in: int
    amount_out: int
    gas: int
    state: Pool

    @property
    def price_before(self) -> float:
        """The marginal price at zero size, after fee, in base units out per base unit in, to 12 digits: for people to read."""
        return _price(self.hop.pool, self.hop)

    @property
    def price_after(self) -> float:
        """The same once the hop is traded."""
        return _price(self.state, self.hop)


class Trade(NamedTuple):
    """A route at one size, every amount asked of the pools themselves. `gross` is what comes back above what went in; `gas` that of the hops."""

    hops: tuple[TradedHop, ...]
    gross: int
    gas: int

    @property
    def amount_in(self) -> int:
        """What goes in, in base units of the anchor."""
        return self.hops[0].amount_in

    @property
    def anchor(self) -> bytes:
        """The token that the route starts and ends in."""
        return self.hops[0].hop.token_in

    @property
    def sized(self) -> Sized:
        """The amounts alone."""
        return Sized(self.amount_in, tuple(hop.amount_out for hop in self.hops), self.gross)


def best_size(
    route: Sequence[Directed], max_position: int, curves: Curves | None = None, floor: int = 0
) -> Sized | None:
    """The most profitable input of a route, from 1 to `max_position` base units of its first token; None if none earns more than `floor`.

    `max_position` is what inventory or flash liquidity allows. The pools must be tradable, and none in the route twice. Constant products
    alone: 0 wei from the best of all inputs within `NEAR` steps of the coarsest amount, see `closed_size`. With concentrated liquidity: profit
    within 2e-6 of the best, with quoted pools (Curve, Balancer) within 1e-6, and what a unit of each amount on the way is worth, which
    shows with coarse tokens (a satoshi) in small profits: see `polished`. Of amounts below a millionth of a quoted pool's limit (of
    coarse tokens below 2**17 units) no curve is known but a straight continuation. The same route has the same size on every machine. `curves` keeps what routes of one state share.

    Raises `QuoteRefused` for a token that a pool does not hold.
    """
    hops = _curves(route, curves)
    products = [hop.product for hop in hops if hop.__class__ is ProductCurve]
    if len(products) == len(hops):
        return closed_size(products, max_position, floor)
    aimed = aim(hops, max_position) if max_position > 0 else None
    if aimed is None or aimed.profit <= floor:
        return None
    sized = confirm(hops, aimed, max_position)
    return sized if sized is not None and sized.gross > floor else None


def polished(route: Sequence[Directed], sized: Sized, max_position: int, curves: Curves | None = None) -> Sized:
    """A size of `best_size` with what floors took of it won back where that is a visible part, for many times the work: for a few routes that
    are to be traded. Never worse than `sized`."""
    hops = _curves(route, curves)
    if all(type(hop) is ProductCurve for hop in hops):
        return sized
    aimed = aim(hops, max_position)
    return polish(hops, aimed, sized, max_position) if aimed else sized


def gross_bound(route: Sequence[Directed], max_position: int, curves: Curves | None = None) -> int | None:
    """No input up to `max_position` earns more than this; 0: the route earns nothing. None where no bound can be told without quotes.

    Raises `QuoteRefused` for a token that a pool does not hold.
    """
    hops = _curves(route, curves)
    products = [hop.product for hop in hops if type(hop) is ProductCurve]
    if len(products) == len(hops):
        return closed_bound(products, max_position)
    return None if any(hop.quoted for hop in hops) else smooth_bound(hops, max_position)


def trade(route: Sequence[Directed], amount_in: int) -> Trade:
    """The route traded at a size. Raises `QuoteRefused` where a pool would not take its amount."""
    amount, hops = amount_in, []
    for hop in route:
        pool, token_in, token_out = hop
        quote = pool.quote(token_in, amount, token_out)
        hops.append(TradedHop(hop, amount, quote.amount_out, quote.gas, quote.state))
        amount = quote.amount_out
    return Trade(tuple(hops), amount - amount_in, sum(hop.gas for hop in hops))


def _curves(route: Sequence[Directed], curves: Curves | None) -> list[Curve]:
    # Not `curves or`: an empty one is to be filled.
    return [curve_of(hop) for hop in route] if curves is None else [curves.of(hop) for hop in route]


def _price(pool: Pool, hop: Directed) -> float:
    # Logarithms differ in the last digits from machine to machine; twelve digits do not.
    return float(f"{exp(pool.log_price(hop.token_in, hop.token_out)):.12g}")
