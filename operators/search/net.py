"""What a route earns after gas, in the anchor's units; the gas of a route from its pools' estimates and what simulation corrects them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from operators.search.prices import WeiPrice
from operators.search.sizing import Trade


class GasModel(NamedTuple):
    """Gas of a route: `per_route` for the transaction and the executor around its hops, and for each hop the pool's own estimate plus its
    family's correction (may be negative; a hop's sum not, it is 0 then), which is data: what simulation measures more than estimates say."""

    per_route: int
    corrections: Mapping[str, int]

    def of(self, hops: Iterable[tuple[str, int]]) -> int:
        """The gas of hops given as (family, estimate)."""
        corrections = self.corrections
        return self.per_route + sum(max(0, estimate + corrections.get(family, 0)) for family, estimate in hops)

    def of_trade(self, trade: Trade) -> int:
        """The gas of a route at its size."""
        return self.of((hop.hop.pool.FAMILY, hop.gas) for hop in trade.hops)


class Terms(NamedTuple):
    """What routes are held to in one event. `fee_wei` is what a unit of gas costs: base fee of the next block and tip. `prices` and
    `max_position` (base units) are by anchor; an anchor without a price is not in `prices`. `floor_wei`: routes whose net is at or below it
    are not returned; below zero it is as zero."""

    gas: GasModel
    fee_wei: int
    prices: Mapping[bytes, WeiPrice]
    max_position: Mapping[bytes, int]
    floor_wei: int = 0

    def least_gross(self, anchor: bytes, gas: int) -> int:
        """The greatest gross (base units of the anchor) whose net is not above the floor, at this gas. Raises `KeyError` without a price."""
        return self.prices[anchor].of_wei(gas * self.fee_wei + max(0, self.floor_wei))


class Net(NamedTuple):
    """What a route earns. `gross`, `cost` and `net` in base units of the anchor, the cost rounded up; `net_wei` rounded down."""

    gross: int
    gas: int
    cost: int
    net: int
    net_wei: int


def net_of(trade: Trade, terms: Terms) -> Net:
    """`gross - gas * fee`. Raises `KeyError` where the anchor has no price."""
    price = terms.prices[trade.anchor]
    gas = terms.gas.of_trade(trade)
    cost = price.of_wei(gas * terms.fee_wei)
    net = trade.gross - cost
    return Net(trade.gross, gas, cost, net, price.to_wei(net))
