"""The checks of Curve and Balancer answers: they find wrong answers, name what they cannot say, and need no certain file names."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.pool_checks import balancer, curve
from tests.acceptance.result import SuiteResult
from tests.shared_data import DATA, needs_data

CURVE_STATE = {
    "address": "0x" + "11" * 20, "block": 5, "balances": [10**24, 10**12], "a_coefficient": 2000, "fee": 1_000_000,
    "admin_fee": 0, "block_timestamp": 7, "initial_a": 2000, "future_a": 2000, "initial_a_time": 0, "future_a_time": 0,
    "lp_token_total_supply": 10**24, "strategies": {"d_variant": 2, "y_variant": 3, "swap_style": 2},
    "tokens": [
        {"address": "0x" + "22" * 20, "symbol": "DAI", "decimals": 18},
        {"address": "0x" + "33" * 20, "symbol": "USDC", "decimals": 6},
    ],
}  # fmt: skip
BALANCER_STATE = {
    "address": "0x" + "11" * 20, "block": 5, "pool_id": "0x" + "11" * 20 + "00" * 12, "balances": [10**24, 10**12],
    "fee": "3/1000", "weights": [5 * 10**17] * 2, "pow_version": "v1", "tokens": CURVE_STATE["tokens"],
}  # fmt: skip


def answers(*keys: str, value: int = 0) -> dict[str, Any]:
    return {"block_number": 5, "entries": {f"0x{'11' * 20}|{key}": {"value": value} for key in keys}}


def checked(check: Any, folder: Path, *documents: Any) -> SuiteResult:
    for number, document in enumerate(documents):
        (folder / f"{number}.json").write_text(json.dumps(document))
    result = SuiteResult()
    check.run(folder, result)
    return result


def test_a_right_and_a_wrong_answer_of_curve(tmp_path: Path) -> None:
    right = curve.plain_pool(CURVE_STATE).get_dy(0, 1, 10**20)
    one = checked(curve, tmp_path, CURVE_STATE, answers(f"get_dy|DAI->USDC|{10**20}", value=right))
    assert (one.exact, one.wrong, one.cases) == (1, 0, 1)
    other = checked(curve, tmp_path, CURVE_STATE, answers(f"get_dy|i=0|j=1|{10**20}", value=right + 1))
    assert (other.exact, other.wrong) == (0, 1)


def test_a_right_and_a_wrong_answer_of_balancer(tmp_path: Path) -> None:
    pool = balancer.pool_of(BALANCER_STATE)
    assert pool is not None
    right = pool.given_out(1, 0, 10**20)
    key = f"querySwap|GIVEN_OUT|USDC->DAI|{10**20}"
    assert checked(balancer, tmp_path, BALANCER_STATE, answers(key, value=right)).exact == 1
    assert checked(balancer, tmp_path, BALANCER_STATE, answers(key, value=right - 1)).wrong == 1


@pytest.mark.parametrize(
    ("state", "key", "reason"),
    [
        (CURVE_STATE | {"block": 6}, "get_dy|DAI->USDC|5", "no_state"),
        (CURVE_STATE, "get_dy|DAI->USDC|many", "no_answer"),
        (CURVE_STATE, "get_dy|DAI->USDT|5", "unknown_coins"),
        (CURVE_STATE, "get_dy_underlying|DAI->USDC|5", "no_base_pool"),
        (CURVE_STATE | {"use_lending": [True, False]}, "get_dy|DAI->USDC|5", "lending"),
        (
            CURVE_STATE | {"strategies": {"d_variant": 9, "y_variant": 9, "swap_style": 1}},
            "get_dy|DAI->USDC|5",
            "unknown_implementation",
        ),
        (
            {name: CURVE_STATE[name] for name in ("address", "block", "balances")},
            "get_dy|DAI->USDC|5",
            "incomplete_state",
        ),
        (CURVE_STATE | {"balances": [-1, 1]}, "get_dy|DAI->USDC|5", "incomplete_state"),
    ],
)
def test_refused_answers_of_curve(tmp_path: Path, state: dict[str, Any], key: str, reason: str) -> None:
    assert checked(curve, tmp_path, state, answers(key)).refused == {reason: 1}


@pytest.mark.parametrize(
    ("state", "key", "reason"),
    [
        (BALANCER_STATE | {"block": 6}, "querySwap|GIVEN_IN|DAI->USDC|5", "no_state"),
        (BALANCER_STATE, "querySwap|GIVEN_IN|DAI->USDT|5", "unknown_tokens"),
        (BALANCER_STATE, "querySwap|SIDEWAYS|DAI->USDC|5", "unknown_tokens"),
        (BALANCER_STATE | {"bpt_idx": 1}, "querySwap|GIVEN_IN|DAI->USDC|5", "own_token"),
        (BALANCER_STATE | {"weights": [1, 1]}, "querySwap|GIVEN_IN|DAI->USDC|5", "incomplete_state"),
        (
            {name: value for name, value in BALANCER_STATE.items() if name != "weights"},
            "querySwap|GIVEN_IN|DAI->USDC|5",
            "unknown_pool_type",
        ),
    ],
)
def test_refused_answers_of_balancer(tmp_path: Path, state: dict[str, Any], key: str, reason: str) -> None:
    assert checked(balancer, tmp_path, state, answers(key)).refused == {reason: 1}


def test_vectors_of_the_next_version_and_without_state_are_counted(tmp_path: Path) -> None:
    version_3 = {"pool": {"poolType": "WEIGHTED"}, "swaps": [{}, {}], "adds": [{}]}
    queries = {"swap": [{"queryOutput": {"amount": "5"}}, {"queryOutput": {}}]}
    assert checked(balancer, tmp_path, version_3, queries).refused == {"balancer_v3": 3, "no_state": 2}


def test_archives_are_read_like_folders_and_overflow_is_no_answer(tmp_path: Path) -> None:
    right = curve.plain_pool(CURVE_STATE).get_dy(0, 1, 10**20)
    lines = f"fp_mul_down {2**128} {2**128} = 5\nfp_mul_up {10**18} 7 = 7\nfp_div_up 1 0 = ERROR:ZERO\nfp_add 1 1 = 2\n"
    with tarfile.open(tmp_path / "any.tar.xz", "w:xz") as archive:
        for name, text in (
            ("a/state.json", json.dumps(CURVE_STATE)),
            ("b/golden.json", json.dumps(answers(f"get_dy|DAI->USDC|{10**20}", value=right))),
            ("c/oracle_balancer.txt", lines),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    assert checked(curve, tmp_path).exact == 1
    found = checked(balancer, tmp_path)
    assert (found.exact, found.wrong, found.refused) == (2, 0, {"leaves_256_bits": 1})


def test_nothing_there_is_no_case(tmp_path: Path) -> None:
    assert checked(curve, tmp_path, {}).cases == checked(balancer, tmp_path, {}).cases == 0


@needs_data
@pytest.mark.parametrize("check", [curve, balancer])
def test_recorded_answers(check: Any) -> None:
    result = SuiteResult()
    check.run(DATA / "BowTiedDevil__degenbot", result)
    assert result.wrong == 0, result.failures
    assert result.exact >= 768
    assert set(result.refused) <= {"leaves_256_bits"}
