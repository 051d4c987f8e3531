"""Uniswap V2: every recorded swap of real blocks whose recording agrees with itself, its reserves after it and what it was paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.pools.base import QuoteRefused
from operators.pools.uniswap_v2 import V2Pool
from tests.acceptance.files import parse, read_all
from tests.acceptance.result import SuiteResult

_ADDRESS, _TOKENS = b"\1" * 20, (b"\2" * 20, b"\3" * 20)
_UNISWAP_FEE = 3000


def run(data: Path, result: SuiteResult) -> None:
    """Files that hold `reserves_before`: a list of blocks, each with its swaps under `v2`."""
    for path, raw in read_all(data, b'"reserves_before"'):
        for block in parse(path, raw):
            for swap in block.get("v2", ()):
                if swap["consistent"]:
                    wrong = _difference(swap)
                    result.check(not wrong, f"{path.name} {swap.get('tx')} log {swap.get('log')}: {wrong}")
                else:
                    result.refuse("recording_inconsistent")


def _difference(swap: dict[str, Any]) -> str:
    """What is otherwise with us, empty if nothing."""
    before, amounts_in, amounts_out, after = (
        (int(swap[name][0]), int(swap[name][1]))
        for name in ("reserves_before", "amounts_in", "amounts_out", "reserves_after")
    )
    pool = V2Pool(_ADDRESS, *_TOKENS, _UNISWAP_FEE, *before)
    try:
        done = pool.swap(amounts_in, amounts_out)
    except QuoteRefused as refused:
        return f"our pair refuses it: {refused}"
    if (done.reserve0, done.reserve1) != after:
        return f"reserves {done.reserve0}, {done.reserve1}, recorded {after}"
    if swap["equals_getAmountOut_997"] is None:
        return ""  # both tokens went in or out, so no quote is made of it
    side = 0 if amounts_in[0] else 1
    quoted = pool.quote(_TOKENS[side], amounts_in[side]).amount_out
    equal = quoted == amounts_out[1 - side]
    if equal != swap["equals_getAmountOut_997"] or quoted < amounts_out[1 - side]:
        return f"the quote is {quoted}, it was paid {amounts_out[1 - side]}"
    return ""
