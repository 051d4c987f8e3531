"""The search stage as the flow has it: from a complete block event to its opportunities and candidates.

A block changes 60 of many pools (the made-up market of the bench `search`, five anchors, net floor). Timed is `Market.react`: the shards' answers put into the
view and the tables, routes listed, sized and polished, each encoded as a transaction with the state it is to be executed on. Simulation is not in it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import msgspec
from rich.table import Table

from flows.encoding import encode_route
from operators.graph.messages import AccountUpdate, PoolUpdate, ShardOutput
from operators.market.heads import Heads
from operators.market.mempool import Mempool, MempoolLimits
from operators.market.react import Market, MarketSettings
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.search.net import GasModel
from operators.simulation.engines import make_engine
from operators.simulation.hashes import EMPTY_CODE_HASH
from schemas.decisions import EventKind
from schemas.event import Event
from tests.bench.result import Result, Settings, percentile
from tests.bench.search_market import SearchMarket
from tests.bench.synthetic_market import header

_OWNER, _EXECUTOR = b"\x0a" * 20, b"\x0b" * 20
_SHARES = (0.5, 0.9, 0.99)
_GWEI = 10**9


def run(settings: Settings) -> Result:
    """1,000, 10,000 and 100,000 pools."""
    result = Result()
    table = Table(
        "pools", "blocks", "p50 ms", "p90 ms", "p99 ms", "candidates a block", title="search stage, 60 changed pools"
    )
    for size in (1_000, 10_000) if settings.quick else (1_000, 10_000, 100_000):
        times, candidates = _measure(size, 60 if settings.quick else 300)
        found = {f"p{round(share * 100)}_ms": percentile(times, share) * 1e3 for share in _SHARES}
        result.numbers[str(size)] = found | {"candidates": candidates}
        table.add_row(f"{size:,}", str(len(times)), *(f"{value:.2f}" for value in found.values()), f"{candidates:.1f}")
    result.tables.append(table)
    return result


def _measure(size: int, count: int) -> tuple[list[float], float]:
    """Seconds of each block, ascending, and the mean number of candidates."""
    made = SearchMarket(size)
    settings = MarketSettings(
        chain_id=1, fork="Prague", block_seconds=12, anchors=made.anchors, executor=_EXECUTOR, owner=_OWNER, max_hops=4,
        max_candidates=8, max_cycles=4, min_net_wei=0, max_position_wei=100 * 10**18, max_gas=1_000_000, gas=GasModel(30_000, {}),
        least_gas={V2Pool.FAMILY: V2Pool.LEAST_GAS},
    )  # fmt: skip
    market = Market(
        settings, make_engine("auto"), encode_route, Heads(1, "Prague", 12), Mempool(MempoolLimits())
    )  # fmt: skip
    owner = AccountUpdate(_OWNER, 1, (10**18).to_bytes(32, "big"), EMPTY_CODE_HASH, {})
    market.react(_event(1), [_answer(1, made.pools, (owner,))])
    number, times, candidates = 2, [], 0
    gc.collect()
    gc.freeze()
    for block in made.blocks(count + 5):
        for pools in (block.changed, block.rest):
            event, answers = _event(number), [_answer(number, pools)]
            start = time.perf_counter()
            found = market.react(event, answers)[1]
            if pools is block.changed:
                times.append(time.perf_counter() - start)
                candidates += len(found)
            number += 1
    gc.unfreeze()
    return sorted(times[5:]), candidates / len(times)


def _event(number: int) -> Event:
    # A base fee of 10 gwei in every block: the floor of the routes.
    block = msgspec.structs.replace(header(number), base_fee=10 * _GWEI, gas_used=15_000_000, gas_limit=30_000_000)
    return Event(1, number, EventKind.BLOCK, (block,))


def _answer(seq: int, pools: Sequence[Pool], accounts: tuple[AccountUpdate, ...] = ()) -> ShardOutput:
    updates = tuple(PoolUpdate(pool.address, pool, "", None) for pool in pools)
    touched = tuple(sorted(pool.address for pool in pools))
    return ShardOutput(seq, 0, False, touched, updates, accounts, (), seq, ())
