"""The devnet's Uniswap V3 pools: the canonical factory and periphery over the market's tokens, with positions over several ranges."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt, log
from typing import Any, NamedTuple

from infra.devnet.contracts import call_data, creation_code, v3_pool_address, v3_pool_init_code_hash
from infra.devnet.market import ETHER, MAX_UINT, TOKEN_LIST, Market, MarketError, Sender, SetupTransaction, confirm
from infra.devnet.node import Node, data, quantity, to_hex
from infra.devnet.signer import Signer

#: Fees in millionths and their tick spacings; the last is switched on by the factory's owner, as it was on mainnet.
TICK_SPACINGS = {500: 10, 3000: 60, 10000: 200, 100: 1}
_LATE_FEE = 100
_MAX_TICK = 887_272
_FAR_FUTURE = 2**40

# (index into TOKEN_LIST, or None for WETH; another index; fee). All but the last have a V2 pool of the same tokens.
_POOLS: tuple[tuple[int | None, int, int], ...] = (
    (None, 0, 500),
    (None, 0, 3000),
    (None, 3, 3000),
    (None, 4, 3000),
    (None, 9, 10000),
    (0, 1, 100),
    (0, 2, 500),
    (3, 1, 3000),
)
# Half width of each position in ticks (hundredths of a per cent), and its share of the pool's liquidity.
_RANGES = ((_MAX_TICK, 1.0), (4_000, 1.0), (800, 2.0))


@dataclass(frozen=True)
class V3Pool:
    """One pool; `token0 < token1` as bytes. `sqrt_price` is the one it was made with, a fixed-point number of 96 fractional bits."""

    address: bytes
    token0: bytes
    token1: bytes
    fee: int
    sqrt_price: int


@dataclass(frozen=True)
class V3Market:
    """One Uniswap V3 deployment. `quoter` and `positions` are of the periphery, as `router` is."""

    factory: bytes
    router: bytes
    quoter: bytes
    positions: bytes
    init_code_hash: bytes
    pools: tuple[V3Pool, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, addresses in hex: to be handed to another process."""
        names = ("factory", "router", "quoter", "positions", "init_code_hash")
        pools = [
            {
                "address": to_hex(pool.address),
                "token0": to_hex(pool.token0),
                "token1": to_hex(pool.token1),
                "fee": pool.fee,
                # More than JSON readers elsewhere keep of a number.
                "sqrt_price": str(pool.sqrt_price),
            }
            for pool in self.pools
        ]
        return {**{name: to_hex(getattr(self, name)) for name in names}, "pools": pools}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> V3Market:
        """The inverse of `to_json`."""
        pools = tuple(
            V3Pool(data(p["address"]), data(p["token0"]), data(p["token1"]), p["fee"], int(p["sqrt_price"]))
            for p in plain["pools"]
        )
        names = ("factory", "router", "quoter", "positions", "init_code_hash")
        return cls(**{name: data(plain[name]) for name in names}, pools=pools)


class V3State(NamedTuple):
    """What a pool's price is: `sqrt_price` with 96 fractional bits, and the liquidity in range."""

    sqrt_price: int
    liquidity: int


def v3_states(node: Node, pools: Sequence[V3Pool], block: str = "latest") -> list[V3State]:
    """The states of pools at a block. UniswapV3Pool keeps the price in the low 160 bits of slot 0, liquidity in slot 4."""
    words = node.all(
        [("eth_getStorageAt", [to_hex(pool.address), hex(slot), block]) for pool in pools for slot in (0, 4)]
    )
    numbers = [quantity(word) for word in words]
    return [
        V3State(price & (1 << 160) - 1, liquidity) for price, liquidity in zip(numbers[::2], numbers[1::2], strict=True)
    ]


def deploy_v3_market(node: Node, market: Market) -> V3Market:
    """Deploy Uniswap V3 beside the market and seed its pools at the market's prices; the market's seed decides everything.

    Raises MarketError when a contract does not behave as the canonical one.
    """
    deployer = Signer.of_seed(market.seed, "deployer")
    sender = Sender(node, deployer, market.chain_id)
    factory, *sent = sender.deploy(creation_code("UniswapV3Factory"), 6_000_000)
    arguments = (("address",) * 2, (factory, market.weth))
    router, routed = sender.deploy(creation_code("SwapRouter", *arguments), 3_500_000)
    quoter, quoted = sender.deploy(creation_code("Quoter", *arguments), 2_000_000)
    code = creation_code("PositionManager", ("address",) * 3, (factory, market.weth, bytes(20)))
    positions, deployed = sender.deploy(code, 7_000_000)
    late_fee = call_data("enableFeeAmount(uint24,int24)", _LATE_FEE, TICK_SPACINGS[_LATE_FEE])
    sent += [routed, quoted, deployed, sender.sign(factory, late_fee)]

    plans = list(_planned_pools(market, factory))
    sent += _seed_pools(sender, deployer, market, positions, plans)
    sent += _approvals(node, market, router)
    confirm(node, sent)
    pools = tuple(plan.pool for plan in plans)
    v3 = V3Market(factory, router, quoter, positions, v3_pool_init_code_hash(), pools)
    check_v3_market(node, v3)
    return v3


class _Plan(NamedTuple):
    """A pool and what its widest position is given of each token, in base units."""

    pool: V3Pool
    amount0: int
    amount1: int


def _planned_pools(market: Market, factory: bytes) -> Iterator[_Plan]:
    rng = random.Random(f"v3 pools {market.seed}")
    for first, second, fee in _POOLS:
        ether = rng.randint(30, 100)
        # Within a tenth of a per cent of the other pools' price: nothing to take yet, even at the lowest fees.
        sides = [_side(market, index, ether * rng.randint(9_995, 10_005)) for index in (first, second)]
        (token0, amount0), (token1, amount1) = sorted(sides)
        address = v3_pool_address(factory, token0, token1, fee)
        yield _Plan(V3Pool(address, token0, token1, fee, isqrt((amount1 << 192) // amount0)), amount0, amount1)


def _side(market: Market, index: int | None, ether: int) -> tuple[bytes, int]:
    """(token, base units of it worth so many ten-thousandths of an ether)."""
    if index is None:
        return market.weth, ether * ETHER // 10_000
    _, _, decimals, price = TOKEN_LIST[index]
    return market.tokens[index].address, ether * 100 * 10**decimals // price


def _seed_pools(
    sender: Sender, deployer: Signer, market: Market, positions: bytes, plans: Sequence[_Plan]
) -> list[SetupTransaction]:
    tokens = sorted({token for plan in plans for token in (plan.pool.token0, plan.pool.token1)})
    # What a position does not need of what it is offered stays here.
    ether = sum(int(share + 1) * 100 for _, share in _RANGES) * len(plans) * ETHER
    sent = [sender.sign(market.weth, call_data("deposit()"), value=ether)]
    sent += [sender.sign(token, call_data("approve(address,uint256)", positions, MAX_UINT)) for token in tokens]
    for pool, amount0, amount1 in plans:
        create = call_data(
            "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
            pool.token0, pool.token1, pool.fee, pool.sqrt_price,
        )  # fmt: skip
        sent.append(sender.sign(positions, create, gas=6_000_000))
        spacing = TICK_SPACINGS[pool.fee]
        tick = round(2 * log(pool.sqrt_price / 2**96) / log(1.0001))
        for width, share in _RANGES:
            lower, upper = (
                max(-_MAX_TICK // spacing + 1, (tick - width) // spacing) * spacing,
                min(_MAX_TICK // spacing, -((-tick - width) // spacing)) * spacing,
            )
            # A range of a thousandth of the price needs a thousandth of the tokens for the same liquidity.
            part = share * (1.0 if width == _MAX_TICK else 1 - 1.0001 ** (-width / 2))
            offered = [int(amount * part) for amount in (amount0, amount1)]
            mint = (pool.token0, pool.token1, pool.fee, lower, upper, *offered, 0, 0, deployer.address, _FAR_FUTURE)
            signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
            sent.append(sender.sign(positions, call_data(signature, mint), gas=900_000))
    return sent


def _approvals(node: Node, market: Market, router: bytes) -> list[SetupTransaction]:
    approve = call_data("approve(address,uint256)", router, MAX_UINT)
    return [
        own.sign(token.address, approve, gas=60_000)
        for own in (Sender(node, user, market.chain_id) for user in market.signers())
        for token in market.tokens
    ]


def check_v3_market(node: Node, v3: V3Market) -> None:
    """Hold the deployed pools to what the canonical ones are; raises MarketError."""
    states = v3_states(node, v3.pools)
    for pool, state in zip(v3.pools, states, strict=True):
        question = call_data("getPool(address,address,uint24)", pool.token0, pool.token1, pool.fee)
        told = node.call("eth_call", {"to": to_hex(v3.factory), "data": to_hex(question)}, "latest")
        if data(told)[12:] != pool.address:
            raise MarketError(f"the V3 factory's pool is {told}, its CREATE2 address {to_hex(pool.address)}")
        if state.sqrt_price != pool.sqrt_price or not state.liquidity:
            raise MarketError(f"the V3 pool {to_hex(pool.address)} was not seeded as planned: {state}")
        quote = call_data(
            "quoteExactInputSingle(address,address,uint24,uint256,uint160)",
            pool.token0,
            pool.token1,
            pool.fee,
            10**6,
            0,
        )
        node.call("eth_call", {"to": to_hex(v3.quoter), "data": to_hex(quote)}, "latest")
