"""The checks of suite `pools` find what is wrong: each is given recorded data with one value changed, and on-chain answers made up here."""

from __future__ import annotations

import importlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operators.pools import pancake_v3
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool
from tests.acceptance.result import SuiteResult
from tests.acceptance.suites import pools
from tests.shared_data import recorded


def check(name: str, data: Path) -> SuiteResult:
    result = SuiteResult()
    importlib.import_module(f"tests.acceptance.pool_checks.{name}").run(data, result)
    return result


def put(folder: Path, content: Any) -> None:
    (folder / "changed.json").write_text(json.dumps(content))


def first(kind: str, blocks: Any) -> Any:
    return next(swap for block in blocks for swap in block[kind] if swap.get("verified") or swap.get("consistent"))


def v2_reserve(blocks: Any) -> None:
    swap = first("v2", blocks)
    swap["reserves_after"] = [str(int(reserve) + 1) for reserve in swap["reserves_after"]]


def v3_amount(blocks: Any) -> None:
    swap = first("v3", blocks)
    swap["amount0"] = str(int(swap["amount0"]) + 1)


def vector_amount(content: Any) -> None:
    content["vectors"][0]["expected"]["amount0Delta"] += "0"


def vector_reverts(content: Any) -> None:
    content["vectors"][0]["expected"]["swapError"] = "SPL"


def step_fee(content: Any) -> None:
    content["computeSwapStep"][0]["feeAmount"] += "0"


def history_price(content: Any) -> None:
    content["swap_events"][7]["amount1"] += "0"


def truth_price(content: Any) -> None:
    pool = next(pool for pool in content["pool_truth"].values() if pool["kind"] == "v3")
    pool["post"]["sqrtPriceX96"] += "0"


def pancake_amount(content: Any) -> None:
    logs = [log for receipts in content["receipts"] for receipt in receipts for log in receipt["logs"]]
    log = next(log for log in logs if log["topics"] and log["topics"][0] == "0x" + pancake_v3.SWAP_TOPIC.hex())
    log["data"] = log["data"][:65] + ("1" if log["data"][65] == "0" else "0") + log["data"][66:]


SWAPS = "derived/swap_vectors_from_blocks.json.xz"
CORE = "Uniswap__v3-core"
ENS = "Bella-DeFinTech__uniswap-v3-simulator/v3_ENS_WETH_full_history.json.xz"


@pytest.mark.parametrize(
    ("name", "file", "change"),
    [
        ("v2_swaps", SWAPS, v2_reserve),
        ("v3_swaps", SWAPS, v3_amount),
        ("v3_vectors", f"{CORE}/pool_swap_vectors.json", vector_amount),
        ("v3_vectors", f"{CORE}/pool_swap_vectors.json", vector_reverts),
        ("v3_vectors", f"{CORE}/math_vectors.json", step_fee),
        ("v3_history", ENS, history_price),
        ("pancake_swaps", "consensys__linea-monorepo/linea_4323985-4323985.json.xz", pancake_amount),
        ("v3_logs", "risechain__pevm/eth_19923400.json.xz", truth_price),
    ],
)
def test_one_changed_value_is_one_wrong_case(
    name: str, file: str, change: Callable[[Any], None], tmp_path: Path
) -> None:
    content = recorded(file)
    put(tmp_path, content)
    right = check(name, tmp_path)
    assert right.exact > 0 == right.wrong
    change(content)
    put(tmp_path, content)
    wrong = check(name, tmp_path)
    assert (wrong.cases, wrong.wrong) == (right.cases, 1)


# ---------------------------------------------------------------- quoters

MANAGER, ID, POOL = ("0x" + pair * count for pair, count in (("04", 20), ("21", 32), ("01", 20)))
TICKS = {"-600": [10**18, 10**18, 1], "600": [10**18, -(10**18), 1]}
SCALARS = {"fee": 500, "tick_spacing": 10, "sqrt_price_x96": 1 << 96, "tick": 0, "liquidity": 10**18}
TOKENS = {
    "token0": {"address": "0x" + "02" * 20, "symbol": "AAA"},
    "token1": {"address": "0x" + "03" * 20, "symbol": "BBB"},
}


def archive(folder: Path, **files: Any) -> None:
    with tarfile.open(folder / "answers.tar.xz", "w:xz") as tar:
        for name, content in files.items():
            path = folder / f"{name}.part"
            path.write_text(json.dumps(content))
            tar.add(path, f"in/{name}.json")


def states() -> dict[str, Any]:
    v3 = {"pool": POOL, "block": 7, "scalars": SCALARS, "tick_data": TICKS, **TOKENS}
    v4 = {**v3, "pool_id": ID, "pool_manager": MANAGER}
    del v4["pool"]
    return {"v3": v3, "v4": v4}


def test_quoters_answers_are_held_to_the_recorded_states(tmp_path: Path) -> None:
    known = {"fee_pips": 500, "tick_spacing": 10, "sqrt_price": 1 << 96, "liquidity": 10**18, "token0": b"\2" * 20}
    known |= {"token1": b"\3" * 20, "ticks": [(-600, 10**18, 10**18), (600, -(10**18), 10**18)]}
    v3 = V3Pool.from_parts(address=b"\1" * 20, **known)  # type: ignore[arg-type]
    v4 = V4Pool.from_parts(manager=b"\4" * 20, pool_id=b"\x21" * 32, **known)  # type: ignore[arg-type]
    most = v3.swap(True, 10**30)
    answers = {
        f"{POOL}|quoteExactInputSingle|AAA->BBB|1000000": v3.quote(v3.token0, 10**6).amount_out,
        f"{POOL}|quoteExactOutputSingle|BBB->AAA|1000000": v3.quote_exact_out(v3.token1, 10**6).amount_in,
        # More than the pool takes: V3's quoter answers for what it takes, V4's reverts.
        f"{POOL}|quoteExactInputSingle|AAA->BBB|{10**30}": -most.amount1,
        f"{ID[2:]}|quoteExactInputSingle|AAA->BBB|1000000": v4.quote(v4.token0, 10**6).amount_out,
        f"{ID[2:]}|quoteExactInputSingle|AAA->BBB|{10**30}": None,
    }
    entries = {key: {"reverted": True} if value is None else {"value": value} for key, value in answers.items()}
    refused = {
        f"{POOL}|quoteExactInputSingle|AAA->CCC|1": {"value": 1},
        f"0x{'77' * 20}|quoteExactInputSingle|AAA->BBB|1": {"value": 1},
        f"{POOL}|quoteExactInputSingle|AAA->BBB|1": {"exception": "Timeout"},
    }
    archive(tmp_path, **states(), golden={"block_number": 7, "entries": entries | refused})
    found = check("quoter_answers", tmp_path)
    assert (found.exact, found.wrong, found.failures) == (len(answers), 0, [])
    assert dict(found.refused) == {"unknown_direction": 1, "no_state": 1, "no_answer": 1}

    for entry in entries.values():
        entry["value"] = int(entry.pop("value", 5)) + 1  # type: ignore[call-overload]
    changed = tmp_path / "changed"
    changed.mkdir()
    archive(changed, **states(), golden={"block_number": 7, "entries": entries})
    assert check("quoter_answers", changed).wrong == len(answers)


def test_a_state_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    broken = states()["v3"] | {"scalars": SCALARS | {"liquidity": 5}}
    entries = {f"{POOL}|quoteExactInputSingle|AAA->BBB|1000000": {"value": 1}}
    archive(tmp_path, v3=broken, golden={"block_number": 7, "entries": entries})
    assert dict(check("quoter_answers", tmp_path).refused) == {"incomplete_state": 1}


def test_an_empty_folder_has_nothing_for_the_suite(tmp_path: Path) -> None:
    put(tmp_path, {"nothing": "here"})
    assert pools.run(tmp_path).absent
