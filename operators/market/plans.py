"""What is worth one call of the executor: a route, or several that earn more together, each sized on what the ones before it leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from operators.search.find import Found, find_routes
from operators.search.net import GasModel, Terms
from operators.search.overlap import Legs, PoolOf, best_set
from operators.search.sizing import Trade
from operators.search.tables import Tables

#: Gas that a transaction costs before it does anything (yellow paper, G_transaction): routes that share one pay it once.
INTRINSIC_GAS = 21_000
#: Sizing together is done once over: the next round adds less than a ten-thousandth on most sets, for as much work again.
_ROUNDS = 1
#: One part in so many of a call's gas is left free: the search only estimates what its cycles take.
_GAS_ROOM = 5


class Plan(NamedTuple):
    """Cycles of one anchor to be carried out in this order as one call; what the search reckons they cost in gas, and earn after it in wei."""

    trades: tuple[Trade, ...]
    gas: int
    net_wei: int

    @property
    def gross(self) -> int:
        """What all of them earn, in base units of the anchor."""
        return sum(trade.gross for trade in self.trades)

    @property
    def anchor(self) -> bytes:
        """The token that each of them starts and ends in."""
        return self.trades[0].anchor

    @property
    def pools(self) -> Iterable[bytes]:
        """The pools they go through, in order; one that two of them go through comes twice."""
        return (hop.hop.pool.address for trade in self.trades for hop in trade.hops)


class Limits(NamedTuple):
    """Hops of a route, routes of an event, cycles of one call (1: each route is a call of its own) and its gas, at most."""

    hops: int
    routes: int
    cycles: int
    gas: int


class Plans(NamedTuple):
    """Single routes best first, then the set of several if that earns more than each of them; the anchors that had routes and no price."""

    plans: tuple[Plan, ...]
    unpriced: tuple[bytes, ...]


def find_plans(tables: Tables, changed: Iterable[bytes], terms: Terms, limits: Limits) -> Plans:
    """What is worth trying after some pools changed."""
    search = find_routes(tables, changed, terms, limits.hops, limits.routes)
    plans = [Plan((found.trade,), found.net.gas, found.net.net_wei) for found in search.routes]
    together = best_together(search.routes, tables.get, terms, limits)
    if together is not None:
        plans.append(together)
    return Plans(tuple(plans), search.unpriced)


def best_together(routes: Sequence[Found], pool_of: PoolOf, terms: Terms, limits: Limits) -> Plan | None:
    """The best set of these routes, of the best one's anchor and within the gas of a call; None unless it is of several and earns more than
    the best one alone."""
    if not routes:
        return None
    best = routes[0]
    same: dict[Legs, Trade] = {found.legs: found.trade for found in routes if found.trade.anchor == best.trade.anchor}
    if len(same) < 2:
        return None
    shared = terms._replace(gas=GasModel(max(0, terms.gas.per_route - INTRINSIC_GAS), terms.gas.corrections))
    for cycles in range(min(limits.cycles, len(same)), 1, -1):
        found = best_set(same, pool_of, shared, cycles, rounds=_ROUNDS, sized=same)
        net_wei = found.net_wei - INTRINSIC_GAS * terms.fee_wei
        if len(found.taken) < 2 or net_wei <= best.net.net_wei:
            return None
        gas = INTRINSIC_GAS + sum(one.net.gas for one in found.taken)
        plan = Plan(tuple(one.trade for one in found.taken), gas, net_wei)
        if plan.gas * _GAS_ROOM <= limits.gas * (_GAS_ROOM - 1):
            return plan
    return None
