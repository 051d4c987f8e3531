"""The engine suites find what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from operators.simulation.revm_engine import available
from tests.acceptance.suites import evm, state_tests
from tests.acceptance.trie import root
from tests.shared_data import recorded

BUNDLE = "risechain__pevm/eth_19933122.json.xz"


def put(folder: Path, content: Any) -> Path:
    (folder / "some.json").write_text(json.dumps(content))
    return folder


def test_a_recorded_block_is_exact(tmp_path: Path) -> None:
    result = evm.run(put(tmp_path, recorded(BUNDLE)))
    assert result.wrong == 0 and result.exact > 0, result.failures


def test_a_wrong_root_is_found(tmp_path: Path) -> None:
    bundle = recorded(BUNDLE)
    bundle["blocks"][0]["receiptsRoot"] = "0x" + "11" * 32
    bundle["receipts"][0][7]["gasUsed"] = "0x5208"
    assert evm.run(put(tmp_path, bundle)).wrong >= 1


@pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")
def test_a_wrong_prestate_is_found(tmp_path: Path) -> None:
    bundle = recorded(BUNDLE)
    sender = bundle["blocks"][0]["transactions"][9]["from"]
    bundle["prestate"][sender]["nonce"] = "0x0"
    assert evm.run(put(tmp_path, bundle)).wrong > 1


def state_test() -> dict[str, Any]:
    """Ether from one account to another, written by hand."""
    sender, to = "0x" + "aa" * 20, "0x" + "bb" * 20
    rich = {"balance": hex(10**18), "code": "0x", "nonce": "0x0", "storage": {}}
    env = {
        "currentBaseFee": "0xa", "currentCoinbase": "0x" + "cc" * 20, "currentDifficulty": "0x0", "currentExcessBlobGas": "0x0",
        "currentGasLimit": "0x1c9c380", "currentNumber": "0x1", "currentRandom": "0x" + "00" * 32, "currentTimestamp": "0x3e8",
    }  # fmt: skip
    tx = {
        "data": ["0x"],
        "gasLimit": ["0x5208"],
        "gasPrice": "0xa",
        "nonce": "0x0",
        "sender": sender,
        "to": to,
        "value": ["0x1"],
    }
    outcome = {"hash": "0x" + "11" * 32, "logs": "0x" + "22" * 32, "indexes": {"data": 0, "gas": 0, "value": 0}}
    return {"title": {"env": env, "pre": {sender: rich}, "post": {"Cancun": [outcome]}, "transaction": tx}}


def test_a_wrong_post_state_is_found(tmp_path: Path) -> None:
    result = state_tests.run(put(tmp_path, state_test()))
    assert result.wrong == result.cases - sum(result.refused.values()) > 0


def test_a_case_that_must_be_rejected_and_is_not_is_found(tmp_path: Path) -> None:
    test = state_test()
    test["title"]["post"]["Cancun"][0]["expectException"] = "TransactionException.SOMETHING"
    result = state_tests.run(put(tmp_path, test))
    assert result.wrong > 0 and "must be rejected" in result.failures[0]


def test_absent_data_is_said(tmp_path: Path) -> None:
    put(tmp_path, {})
    assert evm.run(tmp_path).absent and state_tests.run(tmp_path).absent


def test_the_root_of_a_trie_is_that_of_the_standard_examples() -> None:
    # From the yellow paper's reference tests: no item, one item, and the four words that share prefixes.
    assert root([]).hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    words = [(b"do", b"verb"), (b"dog", b"puppy"), (b"doge", b"coin"), (b"horse", b"stallion")]
    assert root(words).hex() == "5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"
