"""degenbot keeping a market in step, beside our graph shards: the same pools, logs and quotes, through its own public ways.

Its pools can be pickled to calculate elsewhere, but come back without lock and history and take no update: that is no resume, so its row has
none. Where its quotes are not ours (0.3.0): a V3 pool whose tick is in the last spacing of a bitmap word, on the way up. Its walk then begins
at the end of that word, which is behind the price.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from infra.toolchain import rivals
from operators.pools.base import Pool
from operators.pools.concentrated import ConcentratedPool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.v3_math.ticks import Ticks
from schemas.logs import Log
from tests.bench.degenbot_process import answer
from tests.bench.graph_rows import LONG, Row
from tests.bench.pool_rows import AMOUNTS, QUOTED, V2, V3, Ask, asks
from tests.bench.synthetic_market import LOGS, SyntheticMarket, logs_of

NAME = "degenbot"
_BLOCKS = 20


class Step(NamedTuple):
    """A block: pools that are made anew because their positions changed, then logs. `apart`: the kinds are timed each by itself."""

    logs: Sequence[Log]
    anew: Sequence[Pool] = ()
    apart: bool = False


class Kept(NamedTuple):
    """Seconds to make all pools, bytes they take, seconds of each block that was not `apart`, seconds per log of each kind from those that
    were, seconds per quote of each part, and how many of the quotes were ours to the wei."""

    bootstrap: float
    grown: int
    blocks: list[float]
    applied: dict[str, list[float]]
    quotes: list[float]
    equal: int


def kept(
    tokens: Iterable[bytes],
    pools: Iterable[Pool],
    count: int,
    steps: Sequence[Step],
    after: dict[bytes, Pool],
    parts: Sequence[Sequence[Ask]],
) -> Kept:
    """What degenbot takes for these `count` pools, steps and quotes; `after` is our state when these are asked. Raises
    `rivals.RivalsUnavailable`."""
    found = answer("degenbot_graph_script.py", _lines(tokens, pools, count, steps, parts))
    equal = sum(
        after[ask.address].quote(ask.token, ask.amount).amount_out == theirs
        for part, (_, answers) in zip(parts, found["quotes"], strict=True)
        for ask, theirs in zip(part, answers, strict=True)
    )
    quotes = [seconds / len(part) for part, (seconds, _) in zip(parts, found["quotes"], strict=True)]
    return Kept(found["bootstrap"], found["grown"], found["blocks"], found["applied"], quotes, equal)


def degenbot_pools(size: int) -> Row:
    """degenbot's row; without numbers, and with the reason as its note, where it is not there."""
    market = SyntheticMarket(size)
    short, long, apart = (
        [Step(logs_of(event), apart=n == 2) for event in market.blocks(_BLOCKS, count)]
        for n, count in enumerate((LOGS, LONG, LOGS))
    )
    steps = [*short, *short, *long, *apart]
    after = {pool.address: pool for pool in market.pools()}
    for step in steps:
        for log in step.logs:
            after[log.address] = after[log.address].apply(log)
    parts = {kind: asks(after, kind, QUOTED, AMOUNTS) for kind in (V2, V3)}
    tokens = sorted({token for pool in after.values() for token in pool.tokens})
    try:
        found = kept(tokens, market.pools(), size, steps, after, [*parts[V2], *parts[V3]])
    except rivals.RivalsUnavailable as error:
        return Row(NAME, size, note=f"degenbot: {error}")
    block, longer = median(found.blocks[_BLOCKS : 2 * _BLOCKS]), median(found.blocks[2 * _BLOCKS :])
    v2 = len(parts[V2])
    return Row(
        NAME, size, bootstrap=found.bootstrap, log=max(0.0, longer - block) / (LONG - LOGS), block=block,
        resident=found.grown / size, apply_v2=median(found.applied[V2]), apply_v3=median(found.applied[V3]),
        quote_v2=median(found.quotes[:v2]), quote_v3=median(found.quotes[v2:]),
        note=f"degenbot's quotes at {size:,} pools: {found.equal:,} of {sum(map(len, (*parts[V2], *parts[V3]))):,} equal to ours to the wei.",
    )  # fmt: skip


def _lines(
    tokens: Iterable[bytes],
    pools: Iterable[Pool],
    count: int,
    steps: Sequence[Step],
    parts: Sequence[Sequence[Ask]],
) -> Iterator[str]:
    yield json.dumps({"tokens": list(map(_text, tokens)), "pools": count, "blocks": len(steps)})
    yield from (json.dumps(_pool(pool)) for pool in pools)
    for step in steps:
        logs = [(_text(log.address), log.data.hex()) for log in step.logs]
        yield json.dumps({"logs": logs, "anew": [_pool(pool) for pool in step.anew], "apart": step.apart})
    yield json.dumps([[(_text(ask.address), _text(ask.token), ask.amount) for ask in part] for part in parts])


def _pool(pool: Pool) -> dict[str, object]:
    known: dict[str, object] = {"address": _text(pool.address), "tokens": list(map(_text, pool.tokens))}
    if isinstance(pool, V2Pool):
        return {**known, "fee": pool.fee_pips, "reserves": (pool.reserve0, pool.reserve1)}
    assert isinstance(pool, ConcentratedPool)
    return {
        **known, "fee": pool.fee_pips, "spacing": pool.tick_spacing, "sqrt_price": pool.sqrt_price, "tick": pool.tick,
        "liquidity": pool.liquidity, "ticks": _ticks(pool.ticks),
    }  # fmt: skip


def _ticks(ticks: Ticks) -> list[tuple[int, int, int]]:
    held = (ticks.held(place) for place in range(len(ticks)))
    return [(tick, entry.net, entry.gross) for tick, entry in zip(ticks.index, held, strict=True)]


def _text(address: bytes) -> str:
    return f"0x{address.hex()}"
