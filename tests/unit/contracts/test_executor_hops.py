"""Routes of the search as the executor takes them: each family's hop carries what its pool's state says, and comes back from calldata."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.executor import (
    KIND_PANCAKE_V3,
    KIND_V2,
    KIND_V3,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    V4Hop,
    decode_execute,
    encode_execute,
)
from contracts.executor import Hop as ExecutorHop
from flows.encoding import executor_hop
from operators.pools import FAMILIES
from operators.pools.uniswap_v4 import V4Pool
from schemas.opportunities import Hop
from schemas.types import Wide

#: The families that the executor trades with; others are found and priced.
TRADED = (
    "uniswap_v2", "uniswap_v3", "pancake_v3", "uniswap_v4", "balancer_v2_weighted", "balancer_v2_stable", "curve", "curve_ng",
)  # fmt: skip
A, B, C = (bytes((number,)) * 20 for number in (1, 2, 3))
POOL, MANAGER, POOL_ID = b"\x0a" * 20, b"\x0b" * 20, b"\x0a" * 20 + b"\x0c" * 12


class State:
    """What of a pool's state is asked: a stand-in where a whole state has nothing to add."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def _vault_pool(family: str) -> Any:
    pool_type: Any = FAMILIES[family]
    return pool_type(POOL, POOL_ID, (A, B), (1, 1), (1, 1), (0, 0), 0, 0)


def _hop(family: str, sold: bytes = B, bought: bytes = A) -> Hop:
    return Hop(
        pool=POOL, family=family, zero_for_one=sold < bought, token_in=sold, token_out=bought,
        amount_in=Wide(7), amount_out=Wide(9),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "kind"), [("uniswap_v2", KIND_V2), ("uniswap_v3", KIND_V3), ("pancake_v3", KIND_PANCAKE_V3)]
)
def test_pools_asked_by_direction(family: str, kind: int) -> None:
    assert executor_hop(_hop(family), State()) == ExecutorHop(POOL, False, 9, kind)  # type: ignore[arg-type]


def test_v4_carries_its_key() -> None:
    pool = V4Pool.from_parts(
        manager=MANAGER,
        pool_id=POOL_ID,
        token0=A,
        token1=B,
        fee_pips=500,
        tick_spacing=10,
        sqrt_price=2**96,
        protocol_fee=3,
    )
    assert executor_hop(_hop("uniswap_v4"), pool) == V4Hop(MANAGER, A, B, 500, 10, False, 9)
    assert executor_hop(_hop("uniswap_v4", A, B), pool) == V4Hop(MANAGER, A, B, 500, 10, True, 9)


@pytest.mark.parametrize("family", ["balancer_v2_weighted", "balancer_v2_stable"])
def test_balancer_carries_its_id(family: str) -> None:
    assert executor_hop(_hop(family), _vault_pool(family)) == BalancerHop(POOL_ID, B, A, 9)


def test_curve_carries_the_places_of_its_coins() -> None:
    pool: Any = State(tokens=(C, A, B))
    assert executor_hop(_hop("curve"), pool) == CurveHop(POOL, 2, 1, B, A, 9)
    assert executor_hop(_hop("curve_ng"), pool) == CurveNgHop(POOL, 2, 1, B, 9)


def test_every_family_that_is_traded_can_be_executed() -> None:
    """Around through one pool of each family, there and back."""
    pools: dict[str, Any] = {
        "uniswap_v4": V4Pool.from_parts(
            manager=MANAGER, pool_id=POOL_ID, token0=A, token1=B, fee_pips=1, tick_spacing=1
        ),
        "curve": State(tokens=(A, B)),
        "curve_ng": State(tokens=(A, B)),
    }
    pools |= {family: _vault_pool(family) for family in ("balancer_v2_weighted", "balancer_v2_stable")}
    hops = []
    for number, family in enumerate(TRADED):
        sold, bought = (A, B) if number % 2 == 0 else (B, A)
        hops.append(executor_hop(_hop(family, sold, bought), pools.get(family, State())))
    assert decode_execute(encode_execute(A, 1, 0, hops)).hops == tuple(hops)
