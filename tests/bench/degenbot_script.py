"""Runs inside the rivals' environment: degenbot's cycles over given pools, block by block. JSON in, JSON out; standard library and degenbot only."""

from __future__ import annotations

import json
import sys
import time


class Token:
    """What a pool and a cycle ask of a token."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __lt__(self, other: Token) -> bool:
        return self.address < other.address

    def __gt__(self, other: Token) -> bool:
        return self.address > other.address

    def __str__(self) -> str:
        return self.address


def main() -> None:
    """Build the pools and cycles, then for each block set the reserves it changes and calculate each of its cycles."""
    from degenbot.arbitrage.uniswap_lp_cycle import UniswapLpCycle
    from degenbot.exceptions import DegenbotError
    from degenbot.uniswap.types import UniswapV2PoolState
    from degenbot.uniswap.v2_liquidity_pool import UnregisteredLiquidityPool

    task = json.load(sys.stdin)
    tokens: dict[str, Token] = {}
    pools = []
    for address, first, second, reserve0, reserve1 in task["pools"]:
        pair = [tokens.setdefault(name, Token(name)) for name in (first, second)]
        pool = UnregisteredLiquidityPool(address, pair)
        pool.name = address
        pool._state = UniswapV2PoolState(pool=pool.address, reserves_token0=reserve0, reserves_token1=reserve1)
        pools.append(pool)
    anchor = tokens[task["anchor"]]
    blocks = [
        (block["changed"], [UniswapLpCycle(anchor, [pools[n] for n in row], str(k), task["most"]) for k, row in enumerate(block["cycles"])])
        for block in task["blocks"]
    ]  # fmt: skip
    answers = []
    for changed, cycles in blocks:
        before = [(number, pools[number]._state) for number, _, _ in changed]
        started = time.thread_time()
        for number, reserve0, reserve1 in changed:
            pool = pools[number]
            pool._state = UniswapV2PoolState(pool=pool.address, reserves_token0=reserve0, reserves_token1=reserve1)
        above_one, profits = [], []
        for place, cycle in enumerate(cycles):
            try:
                result = cycle.calculate()
            except DegenbotError as error:
                # Below the rate of 1 it stops at once; other errors come from trying sizes, so the rate was above.
                if type(error).__name__ != "RateOfExchangeBelowMinimum":
                    above_one.append(place)
                continue
            above_one.append(place)
            if result.profit_amount > 0:
                profits.append([place, result.input_amount, result.profit_amount])
        seconds = time.thread_time() - started
        for number, state in before:
            pools[number]._state = state
        answers.append({"seconds": seconds, "cycles": len(cycles), "above_one": above_one, "profits": profits})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
