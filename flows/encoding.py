"""A route as the executor's calldata: what a hop itself does not say comes from the state of its pool.

A family that is not here is found and priced, never traded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.executor import (
    KIND_PANCAKE_V3,
    KIND_V2,
    KIND_V3,
    AnyHop,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    EncodingError,
    V4Hop,
    encode_execute,
)
from contracts.executor import Hop as ExecutorHop
from contracts.several import encode_all
from operators.market.candidates import Cycle, EncodeCall, NotEncodable
from operators.pools.balancer_v2 import VaultPool, WeightedPool
from operators.pools.balancer_v2_stable import StablePool
from operators.pools.base import Pool
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool
from schemas.config import Config
from schemas.opportunities import Hop


def _by_direction(kind: int) -> Callable[[Hop, Pool], AnyHop]:
    return lambda hop, _: ExecutorHop(hop.pool, hop.zero_for_one, int(hop.amount_out), kind)


def _v4(hop: Hop, pool: Pool) -> AnyHop:
    assert isinstance(pool, V4Pool)
    key = pool.token0, pool.token1, pool.fee_pips, pool.tick_spacing
    return V4Hop(pool.manager, *key, hop.token_in == pool.token0, int(hop.amount_out), pool.hooks)


def _balancer(hop: Hop, pool: Pool) -> AnyHop:
    assert isinstance(pool, VaultPool)
    return BalancerHop(pool.pool_id, hop.token_in, hop.token_out, int(hop.amount_out))


def _curve(hop: Hop, pool: Pool) -> AnyHop:
    i, j = pool.tokens.index(hop.token_in), pool.tokens.index(hop.token_out)
    return CurveHop(hop.pool, i, j, hop.token_in, hop.token_out, int(hop.amount_out))


def _curve_ng(hop: Hop, pool: Pool) -> AnyHop:
    i, j = pool.tokens.index(hop.token_in), pool.tokens.index(hop.token_out)
    return CurveNgHop(hop.pool, i, j, hop.token_in, int(hop.amount_out))


#: How the executor trades with the pools of each family.
_MAKERS: dict[str, Callable[[Hop, Pool], AnyHop]] = {
    V2Pool.FAMILY: _by_direction(KIND_V2),
    V3Pool.FAMILY: _by_direction(KIND_V3),
    PancakeV3Pool.FAMILY: _by_direction(KIND_PANCAKE_V3),
    V4Pool.FAMILY: _v4,
    WeightedPool.FAMILY: _balancer,
    StablePool.FAMILY: _balancer,
    CurvePool.FAMILY: _curve,
    CurveNgPool.FAMILY: _curve_ng,
}


def executor_hop(hop: Hop, pool: Pool) -> AnyHop:
    """One hop of a route through `pool`, whose family is the hop's and of whose state only what never changes is read.

    Raises `NotEncodable` (`no_executor:<family>`) for a family that the executor does not trade with.
    """
    make = _MAKERS.get(hop.family)
    if make is None:
        raise NotEncodable(f"no_executor:{hop.family}")
    return make(hop, pool)


def encode_route(cycles: Sequence[Cycle], manager: bytes = b"") -> bytes:
    """Calldata that carries out one cycle, or several in order or not at all. `manager` is the Uniswap V4 PoolManager that may lend.

    Raises `NotEncodable`: `no_executor:<family>`, or `not_encodable:<reason>` for a cycle that the executor cannot be asked for.
    """
    try:
        calls = [_encode(cycle, manager) for cycle in cycles]
        return calls[0] if len(calls) == 1 else encode_all(calls)
    except EncodingError as error:
        raise NotEncodable(f"not_encodable:{error.reason}") from None


def _encode(cycle: Cycle, manager: bytes) -> bytes:
    hops = [executor_hop(hop, pool) for hop, pool in cycle.hops]
    return encode_execute(cycle.hops[0][0].token_in, cycle.amount_in, cycle.min_profit, hops, manager)


def route_encoder(config: Config) -> EncodeCall:
    """The encoder of one deployment."""
    lender = config.executor.lender or b""
    return lambda cycles: encode_route(cycles, lender)
