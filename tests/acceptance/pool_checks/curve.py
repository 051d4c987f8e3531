"""Curve: recorded answers of plain pools, metapools and crypto pools' views, and of the invariant's solvers."""

from __future__ import annotations

from pathlib import Path

from operators.pools.base import BadState
from operators.pools.curve import CurvePool
from operators.pools.curve_math import crypto
from operators.pools.curve_math.stable import Form, balance_at, invariant
from operators.pools.curve_meta import base_rate, get_dy_underlying
from operators.pools.words import Reverts
from tests.acceptance.onchain_answers import Answer, State, answers_and_states, check_oracle_lines, coins, numbers
from tests.acceptance.result import SuiteResult

_FUNCTIONS = frozenset({"get_dy", "get_dy_underlying", "calc_token_amount", "calc_withdraw_one_coin"})
_CRYPTO_STYLE = 4
#: How the recordings name the generations: (invariant, balance, exchange) variants.
_GENERATIONS = {(2, 3, 2): "3pool", (1, 1, 1): "base"}
#: The variants of the recorded solver lines that deployed contracts of ours have.
_INVARIANTS = {"1": Form(100), "2": Form(1)}
_BALANCES = {"1": Form(1), "2": Form(100)}


class NotModelled(Exception):
    """The message is the reason."""


def run(data: Path, result: SuiteResult) -> None:
    """Every answer of a Curve view, with the state recorded for its pool and block."""
    answers, states, _ = answers_and_states(data, _FUNCTIONS)
    for answer in answers:
        state = states.get((answer.pool, answer.block))
        if state is None or answer.value is None:
            result.refuse("no_state" if state is None else "no_answer")
            continue
        try:
            found = _view(answer, state)
        except NotModelled as reason:
            result.refuse(str(reason))
        except (KeyError, BadState):
            result.refuse("incomplete_state")
        except Reverts as reverts:
            result.fail(f"{answer.where}: reverts ({reverts}), recorded {answer.value}")
        else:
            result.check(found == answer.value, f"{answer.where}: {found}, recorded {answer.value}")
    check_oracle_lines(data, "oracle_curve", _solve, result)


def _view(answer: Answer, state: State) -> int:
    if state["strategies"]["swap_style"] == _CRYPTO_STYLE:
        return _crypto(answer, state)
    if "base_pool" in state:
        return _metapool(answer, state)
    pool = plain_pool(state)
    if answer.function == "get_dy":
        return pool.get_dy(*_direction(answer, state["tokens"]), answer.amount)
    if answer.function == "get_dy_underlying":
        raise NotModelled("no_base_pool")
    i = _single(answer, len(pool.tokens))
    if answer.function == "calc_withdraw_one_coin":
        return pool.withdraw_one(answer.amount, i)[0]
    amounts = [answer.amount if k == i else 0 for k in range(len(pool.tokens))]
    return pool.calc_token_amount(amounts, deposit="deposit" in answer.parts)


def _metapool(answer: Answer, state: State) -> int:
    base = plain_pool(_base_state(state))
    rate = base_rate(base, state["base_virtual_price"], state["base_cache_updated"], state["block_timestamp"])
    if "redemption_price" not in state:
        raise NotModelled("metapool_without_rate")
    meta = plain_pool(state, (state["redemption_price"], rate))
    if answer.function == "get_dy":
        return meta.get_dy(*_direction(answer, state["tokens"]), answer.amount)
    if answer.function == "get_dy_underlying":
        return get_dy_underlying(meta, base, *_direction(answer, state["tokens_underlying"]), answer.amount)
    raise NotModelled("metapool_liquidity")


def _base_state(state: State) -> State:
    """The base pool's state, which recordings of several blocks write beside the metapool's."""
    base: State = dict(state["base_pool"])
    if "balances" in base:
        return base
    return (
        base
        | {
            "balances": state["base_balances"],
            "a_coefficient": state["base_a"],
            "lp_token_total_supply": state["base_lp_token_total_supply"],
            "block_timestamp": state["block_timestamp"],
        }
        | {name: state[f"base_{name}"] for name in ("initial_a", "future_a", "initial_a_time", "future_a_time")}
    )


def plain_pool(state: State, rates: tuple[int, ...] | None = None) -> CurvePool:
    """The recorded state as ours. Raises `NotModelled` for a generation that is not."""
    style = state["strategies"]
    implementation = _GENERATIONS.get((style["d_variant"], style["y_variant"], style["swap_style"]))
    if implementation is None or any(state.get("use_lending", ())):
        raise NotModelled("lending" if implementation else "unknown_implementation")
    decimals = [token["decimals"] for token in state["tokens"]]
    # The first pools count A in ones, the later in hundredths; recordings give the ramp as the contract has it.
    unit = CurvePool.CONTRACTS[implementation].form.precision
    amp = state["a_coefficient"] * unit
    ramp = (
        (amp, amp, 0, 0)
        if state.get("future_a") is None
        else tuple(state[name] for name in ("initial_a", "future_a", "initial_a_time", "future_a_time"))
    )
    return CurvePool.from_plain(
        (
            bytes.fromhex(state["address"][2:]),
            tuple(bytes.fromhex(token["address"][2:]) for token in state["tokens"]),
            rates or tuple(10 ** (36 - places) for places in decimals),
            implementation,
            tuple(state["balances"]),
            ramp,
            state["fee"],
            state["admin_fee"],
            state["lp_token_total_supply"],
            state["block_timestamp"],
            "",
        )
    )


def _crypto(answer: Answer, state: State) -> int:
    if answer.function != "get_dy" or len(state["tokens"]) != crypto.N:
        raise NotModelled("crypto_pool")
    precisions = [10 ** (18 - token["decimals"]) for token in state["tokens"]]
    return crypto.get_dy(
        *_direction(answer, state["tokens"]),
        answer.amount,
        balances=state["balances"],
        precisions=precisions,
        price_scale=state["price_scale"],
        ann=state["a_coefficient"],
        gamma=state["gamma"],
        d=state["d"],
        fees=(state["mid_fee"], state["out_fee"], state["fee_gamma"]),
        a_unit=_a_unit(state, crypto.scaled(state["balances"], precisions, state["price_scale"])),
    )


def _a_unit(state: State, xp: list[int]) -> int:
    """The unit of A, which recordings leave out: the one in which the recorded D is the invariant of the recorded balances."""
    for unit in (crypto.A_UNIT, crypto.FIRST_A_UNIT):
        try:
            solved = crypto.newton_y(state["a_coefficient"], state["gamma"], xp, state["d"], 0, unit)
        except Reverts:
            continue
        if abs(solved - xp[0]) * 10**9 < xp[0]:
            return unit
    raise NotModelled("unknown_implementation")


def _direction(answer: Answer, tokens: list[State]) -> tuple[int, int]:
    found = coins(answer.parts, [token["symbol"] for token in tokens])
    if found is None:
        raise NotModelled("unknown_coins")
    return found


def _single(answer: Answer, n: int) -> int:
    for part in answer.parts:
        if part.startswith("i=") and int(part[2:]) < n:
            return int(part[2:])
    raise NotModelled("unknown_coins")


def _solve(function: str, arguments: list[str]) -> str | None:
    try:
        if function == "get_d" and arguments[-1] in _INVARIANTS:
            return str(invariant(numbers(arguments[1]), int(arguments[2]), _INVARIANTS[arguments[-1]]))
        if function == "get_y_d" and arguments[-1] in _BALANCES:
            amp, i, xp, d = arguments[1:5]
            return str(balance_at(int(i), numbers(xp), int(amp), int(d), _BALANCES[arguments[-1]]))
    except Reverts:
        return "reverts"
    return None
