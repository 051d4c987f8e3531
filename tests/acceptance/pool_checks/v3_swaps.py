"""Uniswap V3: every recorded swap of real blocks, made from the state and the ticks that were in storage before it.

Refused: `unverified` (the recording itself could not be reproduced), `ticks_not_recorded` (the way leads over words of the bitmap that the
block did not touch, so the recording does not hold them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.pools.uniswap_v3 import V3Pool
from tests.acceptance.files import parse, read_all
from tests.acceptance.recorded_swaps import difference, words_between
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
                wrong = difference(pool, bool(swap["zeroForOne"]), _recorded(swap))
                result.check(not wrong, f"{where}: {wrong}")


def _pool(swap: dict[str, Any], recorded: dict[str, Any]) -> V3Pool | None:
    """The pool before the swap with the ticks of the words on its way; None where they were not recorded."""
    spacing, before, after = int(swap["tickSpacing"]), swap["before"], swap["after"]
    words = {int(word): int(bits, 16) for word, bits in recorded["bitmap_known"].items()}
    nets = {int(tick): int(net) for tick, net in recorded["liquidityNet_known"].items()}
    on_the_way = words_between(int(before["tick"]), int(after["tick"]), spacing, bool(swap["zeroForOne"]))
    if any(word not in words for word in on_the_way):
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


def _recorded(swap: dict[str, Any]) -> tuple[int, int, int, int, int]:
    after = swap["after"]
    reached = int(after["sqrtPriceX96"]), int(after["tick"]), int(after["liquidity"])
    return int(swap["amount0"]), int(swap["amount1"]), *reached
