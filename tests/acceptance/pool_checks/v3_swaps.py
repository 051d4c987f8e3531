"""Uniswap V3: every recorded swap of real blocks, made from the state and the ticks that were in storage before it.

Refused: `unverified` (the recording itself could not be reproduced), `ticks_not_recorded` (the way leads over words of the bitmap that the
block did not touch, so the recording does not hold them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.pools.base import QuoteRefused
from operators.pools.uniswap_v3 import V3Pool
from tests.acceptance.files import parse, read_all
from tests.acceptance.result import SuiteResult

_ADDRESS, _TOKENS = b"\1" * 20, (b"\2" * 20, b"\3" * 20)


def run(data: Path, result: SuiteResult) -> None:
    """Files that hold `liquidityNet_known`: a list of blocks, each with its swaps under `v3` and its pools under `v3_pools`."""
    for path, raw in read_all(data, b'"liquidityNet_known"'):
        for block in parse(path, raw):
            pools = block.get("v3_pools", {})
            for swap in block.get("v3", ()):
                where = f"{path.name} {swap['tx']} log {swap['log']}"
                if not swap.get("verified"):
                    result.refuse("unverified")
                    continue
                pool = _pool(swap, pools[swap["pool"]])
                if pool is None:
                    result.refuse("ticks_not_recorded")
                    continue
                wrong = _difference(pool, swap)
                result.check(not wrong, f"{where}: {wrong}")


def _pool(swap: dict[str, Any], recorded: dict[str, Any]) -> V3Pool | None:
    """The pool before the swap with the ticks of the words on its way; None where they were not recorded."""
    spacing, before, after = int(swap["tickSpacing"]), swap["before"], swap["after"]
    words = {int(word): int(bits, 16) for word, bits in recorded["bitmap_known"].items()}
    nets = {int(tick): int(net) for tick, net in recorded["liquidityNet_known"].items()}
    # Upwards the contract begins to look at the next multiple of the spacing.
    ahead = 0 if swap["zeroForOne"] else 1
    on_the_way = sorted(int(state["tick"]) // spacing + ahead >> 8 for state in (before, after))
    if any(word not in words for word in range(on_the_way[0], on_the_way[1] + 1)):
        return None
    ticks = [(word * 256 + bit) * spacing for word, bits in words.items() for bit in range(256) if bits >> bit & 1]
    crossed = range(*sorted((int(before["tick"]) + 1, int(after["tick"]) + 1)))
    if any(tick in crossed and tick not in nets for tick in ticks):
        return None
    return V3Pool.from_parts(
        address=_ADDRESS,
        token0=_TOKENS[0],
        token1=_TOKENS[1],
        fee_pips=int(swap["fee"]),
        tick_spacing=spacing,
        sqrt_price=int(before["sqrtPriceX96"]),
        tick=int(before["tick"]),
        liquidity=int(before["liquidity"]),
        # What a tick holds in all was not recorded and is of no effect on a swap.
        ticks=[(tick, nets.get(tick, 0), max(abs(nets.get(tick, 0)), 1)) for tick in ticks],
    )


def _difference(pool: V3Pool, swap: dict[str, Any]) -> str:
    """What is otherwise with us, empty if nothing. A swap is of an exact input, of an exact output, or ends at its price limit."""
    zero_for_one, after = bool(swap["zeroForOne"]), swap["after"]
    amounts = int(swap["amount0"]), int(swap["amount1"])
    recorded = (*amounts, int(after["sqrtPriceX96"]), int(after["tick"]), int(after["liquidity"]))
    found: list[tuple[int, ...]] = []
    for specified, limit in (
        (max(amounts), None),
        (min(amounts), None),
        (max(amounts) + 1, int(after["sqrtPriceX96"])),
    ):
        try:
            done = pool.swap(zero_for_one, specified, limit)
        except QuoteRefused:
            continue
        state = done.state
        found.append((done.amount0, done.amount1, state.sqrt_price, state.tick, state.liquidity))
    return "" if recorded in found else f"{found}, recorded {recorded}"
