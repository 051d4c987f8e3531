"""Users' swaps in Uniswap V3 pools, through the periphery's router as front ends build them."""

from __future__ import annotations

from dataclasses import dataclass

from infra.devnet.contracts import call_data
from infra.devnet.node import Node, data, to_hex
from infra.devnet.v3_market import V3Market, V3Pool, V3State

_SINGLE = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
_QUOTE = "quoteExactInputSingle(address,address,uint24,uint256,uint160)"
#: To the router this means itself: where the chain's own coin is wanted, it must first hold the wrapped one.
_ROUTER_ITSELF = bytes(20)


@dataclass(frozen=True)
class V3Swap:
    """A trade of one pool; amounts in base units of the token sold."""

    pool: V3Pool
    zero_for_one: bool
    amount_in: int

    @property
    def tokens(self) -> tuple[bytes, bytes]:
        """(sold, bought)"""
        pool = self.pool
        return (pool.token0, pool.token1) if self.zero_for_one else (pool.token1, pool.token0)


def drift(pool: V3Pool, state: V3State) -> float:
    """How far the price (token1 per token0) has moved from the one the pool was made with, as a part of it."""
    return (state.sqrt_price / pool.sqrt_price) ** 2 - 1


def virtual_reserve(state: V3State, zero_for_one: bool) -> int:
    """What a V2 pool with this liquidity and price would hold of the token sold (Uniswap V3 whitepaper, 6.2)."""
    liquidity, sqrt_price = state.liquidity, state.sqrt_price
    return (liquidity << 96) // sqrt_price if zero_for_one else liquidity * sqrt_price >> 96


def quote(node: Node, v3: V3Market, swap: V3Swap) -> int:
    """What the trade buys at the head, as the periphery's quoter tells front ends."""
    sold, bought = swap.tokens
    question = call_data(_QUOTE, sold, bought, swap.pool.fee, swap.amount_in, 0)
    answer = node.call("eth_call", {"to": to_hex(v3.quoter), "data": to_hex(question)}, "latest")
    return int.from_bytes(data(answer), "big")


def swap_call(
    v3: V3Market, weth: bytes, swap: V3Swap, minimum: int, user: bytes, deadline: int
) -> tuple[bytes, bytes, int]:
    """(calldata, router, value) of the trade, paying with and asking for the chain's own coin where WETH is traded."""
    sold, bought = swap.tokens
    wraps, unwraps = sold == weth, bought == weth
    recipient = _ROUTER_ITSELF if unwraps else user
    trade = call_data(
        _SINGLE, (sold, bought, swap.pool.fee, recipient, deadline, swap.amount_in, 0 if unwraps else minimum, 0)
    )
    if unwraps:
        trade = call_data("multicall(bytes[])", [trade, call_data("unwrapWETH9(uint256,address)", minimum, user)])
    return trade, v3.router, swap.amount_in if wraps else 0
