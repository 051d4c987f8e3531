"""The recorded markets as pools: the list of real V2 pairs, and the recordings of whole blocks with V2 and V3 pools."""

from __future__ import annotations

from typing import Any, NamedTuple

from operators.pools.base import Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from tests.shared_data import recorded

RECORDINGS = (24693611, 24699608, 24721174)

#: The usual anchors on mainnet: WETH, USDC, USDT, DAI, WBTC.
ANCHORS = tuple(
    bytes.fromhex(text)
    for text in (
        "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        "dac17f958d2ee523a2206206994597c13d831ec7",
        "6b175474e89094c44da98b954eedeac495271d0f",
        "2260fac5e5542a773aa44fbcfedf7c193bc2c599",
    )
)


def _address(text: str) -> bytes:
    return bytes.fromhex(text.lower().removeprefix("0x"))


def recorded_pairs() -> list[V2Pool]:
    """All 10,773 pairs; 69 of them are empty."""
    return [
        V2Pool(
            _address(pair["address"]), _address(pair["token0"]["address"]), _address(pair["token1"]["address"]),
            3000, pair["reserve0"], pair["reserve1"],
        )
        for pair in recorded("ccyanxyz__uniswap-arbitrage-analysis/pairs.json.xz")
    ]  # fmt: skip


class Recording(NamedTuple):
    """The market at one block, and the pools in their new states in each of the blocks after it."""

    pools: list[Pool]
    blocks: list[list[Pool]]


def recording(block: int) -> Recording:
    """The pools of the families V2 and V3 (a part of the market: the others are not modelled here)."""
    updates = recorded(f"propeller-heads__fynd/market_recording_{block}.json.xz")["updates"]
    components: dict[str, Any] = {}
    snapshots = []
    for update in updates:
        components |= update["new_pairs"]
        made = (_pool(components[name], state) for name, state in update["states"].items() if name in components)
        snapshots.append([pool for pool in made if pool is not None])
    return Recording(snapshots[0], snapshots[1:])


def _pool(component: dict[str, Any], entry: dict[str, Any]) -> Pool | None:
    state, key = entry["state"], _address(component["id"])
    token0, token1 = sorted(_address(token["address"]) for token in component["tokens"])
    if entry["protocol"] in ("UniswapV2State", "PancakeswapV2State"):
        fee = 3000 if entry["protocol"] == "UniswapV2State" else 2500
        return V2Pool(key, token0, token1, fee, int(state["reserve0"], 16), int(state["reserve1"], 16))
    if entry["protocol"] != "UniswapV3State":
        return None
    ticks = [(tick["index"], tick["net_liquidity"]) for tick in state["ticks"]["ticks"] if tick["net_liquidity"]]
    return V3Pool.from_parts(
        address=key,
        token0=token0,
        token1=token1,
        fee_pips=int(component["static_attributes"]["fee"], 16),
        tick_spacing=state["ticks"]["tick_spacing"],
        sqrt_price=int(state["sqrt_price"], 16),
        tick=state["tick"],
        liquidity=state["liquidity"],
        # The recording has no gross liquidity; what the net says is the least it can be.
        ticks=[(index, net, abs(net)) for index, net in ticks],
    )
