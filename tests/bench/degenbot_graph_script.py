"""Runs inside the rivals' environment: degenbot keeps a market. JSON lines in, JSON out; standard library and degenbot only.

The pools are made by degenbot's own constructors; only what these read from a node is answered from the line. Lines: what is to come,
the pools, the blocks, the quotes; see `degenbot_graph.py`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import eth_abi.abi
from degenbot.config import connection_manager
from degenbot.managers.erc20_token_manager import Erc20TokenManager
from degenbot.registry.all_pools import pool_registry
from degenbot.types import AbstractErc20Token
from degenbot.uniswap.types import UniswapV2PoolExternalUpdate, UniswapV3PoolExternalUpdate
from degenbot.uniswap.v2_liquidity_pool import UniswapV2Pool
from degenbot.uniswap.v3_liquidity_pool import UniswapV3Pool
from eth_utils.address import to_checksum_address

_CHAIN = 1
_FACTORY = "0x" + "00" * 20
_SYNC = ("uint112", "uint112")
_SWAP = ("int256", "int256", "uint160", "uint128", "int24")


class Token(AbstractErc20Token):
    """A token without a node: degenbot's own type, with fixed metadata."""

    def __init__(self, address: str) -> None:
        self.address = to_checksum_address(address)
        self.symbol = self.name = "T"
        self.decimals = 18


class GivenV2(UniswapV2Pool):
    """A pair whose constructor reads `given`."""

    given: tuple[Any, ...] = ()

    def get_factory_tokens_reserves_batched(self, w3: Any, state_block: int) -> Any:
        """Factory, tokens, reserves."""
        return self.given


class GivenV3(UniswapV3Pool):
    """A V3 pool whose constructor reads `given`."""

    given: tuple[Any, ...] = ()

    def get_factory_tokens_liquidity_price_tick_batched(self, w3: Any, state_block: int) -> Any:
        """Factory, tokens, fee, tick spacing, price, tick, liquidity."""
        return self.given


def made(pool: dict[str, Any]) -> tuple[Any, float]:
    """The pool and the seconds its constructor took."""
    tokens = tuple(map(to_checksum_address, pool["tokens"]))
    if "reserves" in pool:
        GivenV2.given = (_FACTORY, tokens, tuple(pool["reserves"]))
        fee = Fraction(pool["fee"], 10**6)
        start = time.perf_counter()
        found: Any = GivenV2(pool["address"], fee=fee, state_block=1, verify_address=False, silent=True)
        return found, time.perf_counter() - start
    GivenV3.given = (
        _FACTORY,
        tokens,
        pool["fee"],
        pool["spacing"],
        pool["sqrt_price"],
        pool["tick"],
        pool["liquidity"],
    )
    ticks = {index: {"liquidity_net": net, "liquidity_gross": gross} for index, net, gross in pool["ticks"]}
    words: dict[int, int] = {}
    for index in ticks:
        word, bit = divmod(index // pool["spacing"], 256)
        words[word] = words.get(word, 0) | 1 << bit
    bitmap = {word: {"bitmap": bits} for word, bits in words.items()}
    start = time.perf_counter()
    found = GivenV3(
        pool["address"], tick_data=ticks, tick_bitmap=bitmap, state_block=1, verify_address=False, silent=True
    )
    return found, time.perf_counter() - start


def apply(pools: dict[str, Any], logs: list[tuple[str, bytes]], block: int) -> None:
    """Decode each log with eth_abi and hand its pool an external update, as degenbot's users do."""
    decode = eth_abi.abi.decode
    for address, data in logs:
        pool = pools[address]
        if type(pool) is GivenV2:
            reserve0, reserve1 = decode(_SYNC, data)
            pool.external_update(UniswapV2PoolExternalUpdate(block, reserve0, reserve1))
        else:
            _, _, sqrt_price, liquidity, tick = decode(_SWAP, data)
            pool.external_update(UniswapV3PoolExternalUpdate(block, liquidity, sqrt_price, tick))


def resident() -> int:
    """Bytes in use after a collection; 0 where the system does not tell."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Make the pools, apply the blocks, quote."""
    plan = json.loads(sys.stdin.readline())
    connection_manager.connections[_CHAIN] = object()
    connection_manager.set_default_chain(_CHAIN)
    manager = Erc20TokenManager(chain_id=_CHAIN)
    tokens = {name: Token(name) for name in plan["tokens"]}
    for token in tokens.values():
        manager._erc20tokens[token.address] = token
    pools: dict[str, Any] = {}
    bootstrap = 0.0
    before = resident()
    for _ in range(plan["pools"]):
        line = json.loads(sys.stdin.readline())
        pools[line["address"]], seconds = made(line)
        bootstrap += seconds
    del line
    grown = resident() - before
    blocks = []
    kinds: dict[str, list[float]] = {"v2": [], "v3": []}
    for number in range(2, 2 + plan["blocks"]):
        block = json.loads(sys.stdin.readline())
        logs = [(address, bytes.fromhex(data)) for address, data in block["logs"]]
        spent = 0.0
        for line in block["anew"]:  # positions changed: no log of a recording tells how
            pool_registry.remove(line["address"], _CHAIN)
            pools[line["address"]], seconds = made(line)
            spent += seconds
        if block["apart"]:
            for kind, of_kind in (("v2", GivenV2), ("v3", GivenV3)):
                part = [log for log in logs if type(pools[log[0]]) is of_kind]
                start = time.perf_counter()
                apply(pools, part, number)
                if part:
                    kinds[kind].append((time.perf_counter() - start) / len(part))
            continue
        start = time.perf_counter()
        apply(pools, logs, number)
        blocks.append(spent + time.perf_counter() - start)
    quotes = []
    for part in json.loads(sys.stdin.readline()):
        asked = [(pools[address], tokens[token], amount) for address, token, amount in part]
        for pool, token, amount in asked:
            pool.simulate_exact_input_swap(
                token, amount // 2 + 1
            )  # as ours has been: what both remember of ticks is there
        answers = []
        start = time.perf_counter()
        for pool, token, amount in asked:
            answers.append(pool.simulate_exact_input_swap(token, amount))
        seconds = time.perf_counter() - start
        # What the pool pays is the delta below zero.
        quotes.append([seconds, [-min(found.amount0_delta, found.amount1_delta) for found in answers]])
    found = {"bootstrap": bootstrap, "grown": grown, "blocks": blocks, "applied": kinds, "quotes": quotes}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
