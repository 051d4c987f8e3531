"""Balancer V2: recorded answers of `querySwap` and vectors of its arithmetic. Pools of Balancer V3 are another protocol and refused."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from operators.pools.balancer_math import fixed_point, log_exp, stable, weighted
from operators.pools.balancer_math.fixed_point import ONE, PowVersion
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.base import BadState
from operators.pools.curve_math.ramp import fixed
from operators.pools.words import Reverts
from tests.acceptance.onchain_answers import State, answers_and_states, check_oracle_lines, coins, numbers
from tests.acceptance.result import SuiteResult

_INVARIANT_VERSIONS = {1: "down", 2: "rounded"}
_GIVEN = {"GIVEN_IN": "given_in", "GIVEN_OUT": "given_out"}


def run(data: Path, result: SuiteResult) -> None:
    """Every answer of a Balancer query, with the state recorded for its pool and block."""
    answers, states, rest = answers_and_states(data, frozenset({"querySwap"}))
    for answer in answers:
        state = states.get((answer.pool, answer.block))
        if state is None or answer.value is None:
            result.refuse("no_state" if state is None else "no_answer")
            continue
        try:
            pool = pool_of(state)
        except (KeyError, BadState):
            result.refuse("incomplete_state")
            continue
        direction = coins(answer.parts, [token["symbol"] for token in state["tokens"]])
        kind = next((name for part, name in _GIVEN.items() if part in answer.parts), None)
        if pool is None or direction is None or kind is None:
            result.refuse("unknown_pool_type" if pool is None else "unknown_tokens")
        elif state.get("bpt_idx") in direction:
            result.refuse("own_token")
        else:
            try:
                found = getattr(pool, kind)(*direction, answer.amount)
            except Reverts as reverts:
                found = f"reverts ({reverts})"
            result.check(found == answer.value, f"{answer.where}: {found}, recorded {answer.value}")
    for _, content in rest:
        _refuse_others(content, result)
    check_oracle_lines(data, "oracle_balancer", _solve, result)


def pool_of(state: State) -> WeightedPool | StablePool | None:
    """The recorded state as ours; None for a kind that is not."""
    tokens = tuple(bytes.fromhex(token["address"][2:]) for token in state["tokens"])
    n = len(tokens)
    shared = (
        bytes.fromhex(state["address"][2:]),
        bytes.fromhex(state["pool_id"][2:]),
        tokens,
        tuple(10 ** (18 - token["decimals"]) for token in state["tokens"]),
        tuple(state["balances"]),
        (0,) * n,
        int(Fraction(state["fee"]) * ONE),
        0,
        "",
    )
    if "weights" in state:
        return WeightedPool.from_plain((*shared, tuple(state["weights"]), state["pow_version"]))
    version = _INVARIANT_VERSIONS.get(state.get("invariant_version", 0))
    if "amp" not in state or version is None:
        return None
    own_token = NO_OWN_TOKEN if state["bpt_idx"] is None else state["bpt_idx"]
    rates = tuple(state["resolved_rates"])
    ramp = tuple(fixed(state["amp"]))
    return StablePool.from_plain((*shared, rates, (0,) * n, (NEVER,) * n, own_token, ramp, version, 0))


def _refuse_others(content: Any, result: SuiteResult) -> None:
    """Vectors of other protocols, and answers without a state, each counted."""
    if isinstance(content, dict) and "pool" in content and "poolType" in content["pool"]:
        for kind in ("swaps", "adds", "removes"):
            for _ in content.get(kind, ()):
                result.refuse("balancer_v3")
        return
    for _ in range(_count(content, "queryOutput")):
        result.refuse("no_state")


def _count(node: Any, name: str) -> int:
    if isinstance(node, dict):
        return sum((key == name) + _count(value, name) for key, value in node.items())
    return sum(_count(value, name) for value in node) if isinstance(node, list) else 0


def _solve(function: str, arguments: list[str]) -> str | None:
    values: list[Any] = [_argument(argument) for argument in arguments]
    try:
        match function:
            case (
                "fp_mul_down"
                | "fp_mul_up"
                | "fp_div_down"
                | "fp_div_up"
                | "fp_complement"
                | "fp_pow_down"
                | "fp_pow_up"
            ):
                return str(getattr(fixed_point, function.removeprefix("fp_"))(*values))
            case "lm_pow":
                return str(log_exp.pow_(*values))
            case "lm_exp" | "lm_ln" | "lm_log":
                return str(getattr(log_exp, function.removeprefix("lm_"))(*values))
            case "wm_invariant" | "wm_out_given_in" | "wm_in_given_out":
                return str(getattr(weighted, function.removeprefix("wm_"))(*values))
            case "sm_out_given_in" | "sm_in_given_out":
                return str(getattr(stable, function.removeprefix("sm_"))(*values))
            case "sm_invariant_d_p":
                return str(stable.invariant_down(*values))
            case "sm_invariant_p_d_up" | "sm_invariant_p_d_down":
                return str(stable.invariant_rounded(*values, round_up=function.endswith("up")))
    except Reverts:
        return "reverts"
    return None


def _argument(text: str) -> Any:
    if text.startswith("["):
        return numbers(text)
    return int(text) if re.fullmatch(r"-?\d+", text) else PowVersion(text.lower())
