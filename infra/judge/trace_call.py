"""`debug_traceCall` as a judge, for nodes without `eth_simulateV1`: one call at a time, an earlier one's effect laid over the state. No I/O.

The tracers are geth's: `callTracer` (with logs) tells success, gas and logs; `prestateTracer` in diff mode tells the effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.judge.simulate_v1 import CallResult, Malformed, NextBlock, hex_quantity

METHOD = "debug_traceCall"


def outcome_options(block: NextBlock, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Options that tell what a call does, on a state overridden by `state`."""
    options: dict[str, Any] = {
        "tracer": "callTracer",
        "tracerConfig": {"withLog": True},
        "blockOverrides": block.overrides(),
    }
    if state:
        options["stateOverrides"] = state
    return options


def effect_options(block: NextBlock, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Options that tell what a call changes, on a state overridden by `state`."""
    options: dict[str, Any] = {
        "tracer": "prestateTracer",
        "tracerConfig": {"diffMode": True},
        "blockOverrides": block.overrides(),
    }
    if state:
        options["stateOverrides"] = state
    return options


def read_outcome(result: Any) -> CallResult:
    """The result of a call from its trace. Raises `Malformed`."""
    if not isinstance(result, dict) or "gasUsed" not in result or "from" not in result:
        raise Malformed("not a call trace")
    error = result.get("error")
    gas_used = hex_quantity(result["gasUsed"], "gasUsed")
    if error is None:
        return CallResult(True, gas_used, tuple(_logs(result)), "")
    return CallResult(False, gas_used, (), f"{str(error)[:100]} {str(result.get('output') or '0x')[:522]}")


def _logs(frame: dict[str, Any]) -> Iterator[Any]:
    """The logs of a frame and all below it that were not undone; not in order of emission."""
    if frame.get("error") is not None:
        return
    yield from frame.get("logs") or ()
    for inner in frame.get("calls") or ():
        yield from _logs(inner)


def laid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two overrides as one, the second one over the first."""
    out = dict(below)
    for address, override in above.items():
        known = out.get(address, {})
        out[address] = {**known, **override}
        if "stateDiff" in known and "stateDiff" in override:
            out[address]["stateDiff"] = {**known["stateDiff"], **override["stateDiff"]}
    return out


def overrides_of(result: Any) -> dict[str, Any]:
    """A call's effect as `stateOverrides`. Raises `Malformed`, also where the call deletes an account: that cannot be laid over."""
    pre, post = (result.get(key) for key in ("pre", "post")) if isinstance(result, dict) else (None, None)
    if not isinstance(pre, dict) or not isinstance(post, dict):
        raise Malformed("not a state difference")
    if deleted := sorted(set(pre) - set(post)):
        raise Malformed(f"the target deletes account {deleted[0]}")
    out: dict[str, Any] = {}
    for address, after in post.items():
        before = pre.get(address, {})
        override = {key: after[key] for key in ("balance", "code") if key in after}
        if "nonce" in after:
            # Written as a number by tracers, taken as hex.
            nonce = after["nonce"]
            override["nonce"] = hex(nonce) if isinstance(nonce, int) else nonce
        slots = dict.fromkeys(before.get("storage", {}), "0x" + "00" * 32) | after.get("storage", {})
        if slots:
            override["stateDiff"] = slots
        out[address] = override
    return out
