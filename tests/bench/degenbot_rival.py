"""degenbot's cycles beside our search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from operators.pools.uniswap_v2 import V2Pool
from tests.bench.degenbot_process import answer


class Sweep(NamedTuple):
    """One block as degenbot took it: seconds for so many cycles, the places of those above a rate of 1, and (place, input, profit)."""

    seconds: float
    cycles: int
    above_one: list[int]
    profits: list[list[int]]


def sweep(
    pools: Sequence[V2Pool],
    anchor: bytes,
    blocks: Sequence[tuple[Sequence[V2Pool], Sequence[Sequence[bytes]]]],
    most: int,
) -> list[Sweep]:
    """For each block its changed pools and cycles (by pool): what degenbot makes of them. Raises `rivals.RivalsUnavailable`."""
    used = dict.fromkeys(name for _, cycles in blocks for cycle in cycles for name in cycle)
    states = {pool.address: pool for pool in pools}
    number = {name: place for place, name in enumerate(used)}
    task = {
        "anchor": _text(anchor),
        "most": most,
        "pools": [_pool(states[name]) for name in used],
        "blocks": [_block(changed, cycles, number) for changed, cycles in blocks],
    }
    answers: list[dict[str, Any]] = answer("degenbot_script.py", [json.dumps(task)])
    return [Sweep(**found) for found in answers]


def _text(address: bytes) -> str:
    return f"0x{address.hex()}"


def _pool(pool: V2Pool) -> tuple[object, ...]:
    return _text(pool.address), _text(pool.token0), _text(pool.token1), pool.reserve0, pool.reserve1


def _block(
    changed: Sequence[V2Pool], cycles: Sequence[Sequence[bytes]], number: Mapping[bytes, int]
) -> dict[str, object]:
    moved = [(number[pool.address], pool.reserve0, pool.reserve1) for pool in changed if pool.address in number]
    return {"changed": moved, "cycles": [[number[name] for name in cycle] for cycle in cycles]}
