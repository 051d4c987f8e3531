"""What a route must earn to be worth a look."""

from __future__ import annotations

from typing import NamedTuple


class Floor(NamedTuple):
    """What a route from one anchor costs, in base units of that anchor: always, and for each unit of gas of its hops.

    `fixed` holds what does not depend on the pools: the gas of the call itself, and the least net profit that is wanted.
    """

    fixed: float = 0.0
    gas_price: float = 0.0


NO_FLOOR = Floor()
