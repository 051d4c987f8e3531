"""Recordings of a whole market: all pools at one block, and what changed in each of the blocks after it.

One JSON object with `updates`; the first names every pool (`new_pairs`) with its state, the later ones hold the states that changed. Families
by `protocol` and `protocol_system`; a pool of a protocol that is none of ours is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from operators.pools.base import Pool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from tests.acceptance.files import parse, read_all
from tests.acceptance.recorded_swaps import unhex

#: Of 10000 kept by the pairs of a protocol; their own `fee` attribute says 30 for all of them.
_V2_FEES = {"uniswap_v2": 3000, "sushiswap_v2": 3000, "pancakeswap_v2": 2500}
_V3_KINDS: dict[str, type[V3Pool]] = {"uniswap_v3": V3Pool, "pancakeswap_v3": PancakeV3Pool}


class Update(NamedTuple):
    """One block: the pools that are new or changed, in the order of the file, and the raw states they were made of by address."""

    block: int
    pools: tuple[Pool, ...]
    raw: Mapping[bytes, Mapping[str, Any]]


class Recording(NamedTuple):
    """A market and its next blocks. `unmodelled` counts the states of protocols that are none of ours, by name."""

    path: Path
    updates: tuple[Update, ...]
    unmodelled: Counter[str]


def market_recordings(data: Path) -> Iterator[Recording]:
    """Every recording under the folder."""
    for path, raw in read_all(data, b'"new_pairs"'):
        content = parse(path, raw)
        if isinstance(content, dict) and content.get("updates") and "new_pairs" in content["updates"][0]:
            yield _recording(path, content["updates"])


def _recording(path: Path, updates: list[dict[str, Any]]) -> Recording:
    pairs: dict[str, Mapping[str, Any]] = {}
    unmodelled: Counter[str] = Counter()
    found = []
    for update in updates:
        pairs.update(update["new_pairs"])
        pools, raw = [], {}
        for name, state in update["states"].items():
            pool = _pool(pairs[name], state)
            if pool is None:
                unmodelled[state["protocol"]] += 1
                continue
            pools.append(pool)
            raw[pool.address] = state["state"]
        found.append(Update(int(update["block_number_or_timestamp"]), tuple(pools), raw))
    return Recording(path, tuple(found), unmodelled)


def _pool(pair: Mapping[str, Any], state: Mapping[str, Any]) -> Pool | None:
    system, values = pair["protocol_system"], state["state"]
    address = unhex(pair["id"])
    tokens = [unhex(token["address"]) for token in pair["tokens"]]
    if system in _V2_FEES:
        return V2Pool.from_plain(
            (address, *tokens, _V2_FEES[system], int(values["reserve0"], 16), int(values["reserve1"], 16), "")
        )
    family = _V3_KINDS.get(system)
    if family is None:
        return None
    ticks = values["ticks"]
    # The sum of all positions at a tick is not recorded. What an initialised tick needs is that there is one, and not below its net.
    return family.from_parts(
        address=address, token0=tokens[0], token1=tokens[1], fee_pips=int(pair["static_attributes"]["fee"], 16),
        tick_spacing=int(ticks["tick_spacing"]), sqrt_price=int(values["sqrt_price"], 16), tick=int(values["tick"]),
        liquidity=int(values["liquidity"]),
        ticks=[(t["index"], t["net_liquidity"], max(1, abs(t["net_liquidity"]))) for t in ticks["ticks"]],
    )  # fmt: skip
