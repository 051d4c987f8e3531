"""Pools of a recorded mainnet block, Uniswap V2 (with Sushi) and V3 with all of its ticks; and routes that a trade made profitable."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from operators.pools.base import Pool, QuoteRefused
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.search.overlap import Legs
from operators.search.sizing import Directed
from tests.shared_data import recorded

WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
USDC = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
Route = tuple[Directed, ...]


@cache
def recorded_pools(block: int = 24693611) -> tuple[Pool, ...]:
    """The tradable pools, by address. Skips the test where the recording is absent."""
    first = recorded(f"propeller-heads__fynd/market_recording_{block}.json.xz")["updates"][0]
    pools = [made for key, entry in first["states"].items() if (made := _pool(key, entry, first["new_pairs"][key]))]
    return tuple(sorted((pool for pool in pools if pool.tradable), key=lambda pool: pool.address))


def _pool(key: str, entry: dict[str, Any], pair: dict[str, Any]) -> Pool | None:
    state, address = entry["state"], bytes.fromhex(key[2:])
    token0, token1 = (bytes.fromhex(token["address"][2:]) for token in pair["tokens"])
    if entry["protocol"] == "UniswapV2State":
        return V2Pool(address, token0, token1, 3000, int(state["reserve0"], 16), int(state["reserve1"], 16))
    if entry["protocol"] != "UniswapV3State":
        return None
    ticks = [(tick["index"], tick["net_liquidity"], abs(tick["net_liquidity"])) for tick in state["ticks"]["ticks"]]
    return V3Pool.from_parts(
        address=address, token0=token0, token1=token1, fee_pips=int(pair["static_attributes"]["fee"], 16),
        tick_spacing=state["ticks"]["tick_spacing"], sqrt_price=int(state["sqrt_price"], 16), tick=state["tick"],
        liquidity=state["liquidity"], ticks=[tick for tick in ticks if tick[1]],
    )  # fmt: skip


def all_legs(pools: Iterable[Pool], anchor: bytes, max_hops: int, least: float = -1e-9) -> Iterator[Legs]:
    """Every route of at most `max_hops` from the anchor back to it, no pool and no token on the way twice, whose log price is at least so much."""
    edges: dict[bytes, list[tuple[bytes, bytes, bytes, float]]] = defaultdict(list)
    for pool in pools:
        for token_in in pool.tokens:
            for token_out in pool.tokens:
                if token_in != token_out:
                    price = pool.log_price(token_in, token_out)
                    edges[token_in].append((pool.address, token_in, token_out, price))
    back = {token: {edge[2] for edge in leaving} for token, leaving in edges.items()}

    def walk(token: bytes, legs: Legs, price: float) -> Iterator[Legs]:
        for address, token_in, token_out, leg_price in edges[token]:
            if any(address == leg[0] or token_out == leg[1] for leg in legs[1:]) or (legs and address == legs[0][0]):
                continue
            leg = address, token_in, token_out
            if token_out == anchor:
                if legs and price + leg_price >= least:
                    yield (*legs, leg)
            elif len(legs) + 1 < max_hops and (len(legs) + 2 < max_hops or anchor in back[token_out]):
                yield from walk(token_out, (*legs, leg), price + leg_price)

    yield from walk(anchor, (), 0.0)


def directed(legs: Legs, pools: dict[bytes, Pool]) -> Route:
    """The legs on these states."""
    return tuple(Directed(pools[address], token_in, token_out) for address, token_in, token_out in legs)


def kinds(route: Sequence[Directed]) -> str:
    """The versions of a route's pools: "323"."""
    return "".join("3" if isinstance(hop.pool, V3Pool) else "2" for hop in route)


def pushed(pool: Pool, token_in: bytes, token_out: bytes, by: float) -> Pool | None:
    """The pool after a trade that makes its price from `token_in` to `token_out` better by so much (logarithm); None where none does."""
    before, amount, state = pool.log_price(token_in, token_out), 1000, pool
    try:
        while state.log_price(token_in, token_out) - before < by:
            amount += amount // 4
            state = pool.quote(token_out, amount, token_in).state
    except QuoteRefused:
        return None
    return state


def profitable_routes(pools: Sequence[Pool], kind: str, count: int, seed: int) -> list[Route]:
    """Routes of these versions from WETH that a trade in one of their pools has made worth 0.1 % to 20 %."""
    rnd = random.Random(seed)
    by_address = {pool.address: pool for pool in pools}
    legs = sorted(all_legs(pools, WETH, len(kind), -0.05))
    chosen = [each for each in legs if len(each) == len(kind) and kinds(directed(each, by_address)) == kind]
    rnd.shuffle(chosen)
    found: list[Route] = []
    for each in chosen:
        route = list(directed(each, by_address))
        place = rnd.randrange(len(route))
        pool, token_in, token_out = route[place]
        state = pushed(pool, token_in, token_out, rnd.uniform(0.005, 0.05))
        if state is None:
            continue
        route[place] = Directed(state, token_in, token_out)
        if 0.001 < sum(hop.pool.log_price(hop.token_in, hop.token_out) for hop in route) < 0.2:
            found.append(tuple(route))
        if len(found) == count:
            break
    return found
