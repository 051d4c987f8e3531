"""Uniswap V3 and V4: what the protocols' quoters answered on chain, with the state and all ticks recorded for the pool and the block.

V3's quoter answers for as much of the amount as the pool takes; V4's reverts where that is not all. Refused: `no_state`, `no_answer`,
`incomplete_state` (ticks and liquidity contradict each other), `unknown_direction`, and the refusals of the family.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from operators.pools.base import BadState, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool
from tests.acceptance.files import parse, read_all
from tests.acceptance.onchain_answers import members
from tests.acceptance.result import SuiteResult

_FUNCTIONS = {"quoteExactInputSingle": 1, "quoteExactOutputSingle": -1}
_MARKS = (b'"tick_data"', *(f"|{name}|".encode() for name in _FUNCTIONS))
_NATIVE = "0x" + "00" * 20


def run(data: Path, result: SuiteResult) -> None:
    """Answers `pool|function|A->B|amount` and states with `scalars` and `tick_data`, loose or in archives."""
    states: dict[tuple[str, int], dict[str, Any]] = {}
    answers: list[tuple[str, dict[str, Any]]] = []
    for where, content in _documents(data):
        if {"scalars", "tick_data", "block"} <= content.keys():
            states[_plain(content.get("pool_id") or content["pool"]), int(content["block"])] = content
        elif isinstance(content.get("entries"), dict):
            answers.append((where, content))
    for where, content in answers:
        for key, entry in content["entries"].items():
            _check(where, key, entry, int(content["block_number"]), states, result)


def _documents(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    loose = ((str(path), path, raw) for path, raw in read_all(data, *_MARKS))
    packed = (
        (f"{path.name}:{name}", Path(name), raw)
        for path, name, raw in members(data)
        if name.endswith(".json") and any(mark in raw for mark in _MARKS)
    )
    for where, path, raw in (*loose, *packed):
        content = parse(path, raw)
        if isinstance(content, dict):
            yield where, content


def _check(
    where: str,
    key: str,
    entry: dict[str, Any],
    block: int,
    states: dict[tuple[str, int], dict[str, Any]],
    result: SuiteResult,
) -> None:
    name, function, *parts = key.split("|")
    if function not in _FUNCTIONS:
        return
    state = states.get((_plain(name), block))
    if state is None or ("value" not in entry and not entry.get("reverted")):
        result.refuse("no_answer" if state else "no_state")
        return
    zero_for_one = _direction(parts[0], state)
    if zero_for_one is None:
        result.refuse("unknown_direction")
        return
    try:
        pool = _pool(state)
    except BadState:
        result.refuse("bad_state")
        return
    if pool.refusal or pool.audit():
        result.refuse(pool.refusal or "incomplete_state")
        return
    found, expected = _answer(pool, zero_for_one, function, int(parts[-1])), entry.get("value")
    result.check(found == (None if expected is None else int(expected)), f"{where} {key}: {found}, recorded {expected}")


def _answer(pool: ConcentratedPool, zero_for_one: bool, function: str, amount: int) -> int | None:
    """What the quoter says, None where it reverts."""
    token_in, exact_in = pool.tokens[not zero_for_one], _FUNCTIONS[function] > 0
    try:
        if isinstance(pool, V4Pool):
            quote = pool.quote(token_in, amount) if exact_in else pool.quote_exact_out(token_in, amount)
            return quote.amount_out if exact_in else quote.amount_in
        done = pool.swap(zero_for_one, amount if exact_in else -amount)
    except QuoteRefused:
        return None
    return -min(done.amount0, done.amount1) if exact_in else max(done.amount0, done.amount1)


def _direction(named: str, state: dict[str, Any]) -> bool | None:
    symbols = [(state.get(token) or {}).get("symbol") for token in ("token0", "token1")]
    sold, arrow, bought = named.partition("->")
    if not arrow or {sold, bought} != set(symbols):
        return None
    return sold == symbols[0]


def _pool(state: dict[str, Any]) -> ConcentratedPool:
    scalars = state["scalars"]
    known = {
        "token0": bytes.fromhex(_plain(state["token0"]["address"])),
        "token1": bytes.fromhex(_plain(state["token1"]["address"])),
        "fee_pips": int(scalars["fee"]),
        "tick_spacing": int(scalars["tick_spacing"]),
        "sqrt_price": int(scalars["sqrt_price_x96"]),
        "tick": int(scalars["tick"]),
        "liquidity": int(scalars["liquidity"]),
        # Recorded as gross, net, block.
        "ticks": [(int(tick), int(held[1]), int(held[0])) for tick, held in state["tick_data"].items()],
    }
    if "pool_id" not in state:
        return V3Pool.from_parts(address=bytes.fromhex(_plain(state["pool"])), **known)
    parts = [int(scalars.get(f"protocol_fee_{name}", 0)) for name in ("zero_for_one", "one_for_zero")]
    return V4Pool.from_parts(
        manager=bytes.fromhex(_plain(state["pool_manager"])),
        pool_id=bytes.fromhex(_plain(state["pool_id"])),
        hooks=bytes.fromhex(_plain(state.get("hooks", _NATIVE))),
        protocol_fee=parts[0] | parts[1] << 12,
        **known,
    )


def _plain(value: str) -> str:
    return value.removeprefix("0x").lower()
