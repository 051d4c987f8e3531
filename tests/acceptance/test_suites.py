"""The suites on the recorded data, and on folders that hold other data, wrong data or none."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import registry
from tests.acceptance.__main__ import main
from tests.acceptance.result import ABSENT
from tests.shared_data import DATA, needs_data, recorded

BUNDLE = "risechain__pevm/eth_19933122.json.xz"


@needs_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", registry.names())
def test_suite_on_the_recorded_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each block is a world of its own (10 s); six spread over the folder here, all of them by the harness itself.
    monkeypatch.setenv("SLUICE_ACCEPTANCE_BLOCKS", os.environ.get("SLUICE_ACCEPTANCE_BLOCKS", "6"))
    run, _ = registry.load(name)
    result = run(DATA)
    assert not result.absent, f"nothing for suite {name} in the recorded data"
    assert result.wrong == 0, result.failures
    if set(result.refused) == {"revm_not_built"}:
        pytest.skip(f"suite {name} executes whole blocks: the extension sluice_evm is not built")
    assert result.exact > 0
    assert result.cases == result.exact + sum(result.refused.values()) + result.wrong


def put(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content).encode()
    (folder / name).write_bytes(lzma.compress(text) if name.endswith(".xz") else text)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_files_are_known_by_what_they_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "somewhere/else/whatever.json.xz", recorded(BUNDLE))
    code, found = answer(capsys, str(tmp_path), "reserves", "signatures")
    assert code == 0
    assert found["reserves"] == {"cases": 1, "exact": 1, "refused": {}, "wrong": 0}
    assert found["signatures"] == {"cases": 45, "exact": 45, "refused": {}, "wrong": 0}


def test_a_wrong_reserve_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = recorded(BUNDLE)
    for pool in bundle["pool_truth"].values():
        if pool["kind"] == "v2":
            pool["post"]["reserve1"] = str(int(pool["post"]["reserve1"]) + 1)
    put(tmp_path, "x.json", bundle)
    code, found = answer(capsys, str(tmp_path), "reserves")
    assert (code, found["reserves"]["wrong"]) == (1, 1)


@pytest.mark.parametrize(("name", "value"), [("hash", "0x" + "11" * 32), ("from", "0x" + "22" * 20), ("nonce", "0x7")])
def test_a_wrong_transaction_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    bundle = recorded(BUNDLE)
    bundle["blocks"][0]["transactions"][3][name] = value
    put(tmp_path, "x.json.xz", bundle)
    code, found = answer(capsys, str(tmp_path), "signatures")
    assert (code, found["signatures"]["wrong"], found["signatures"]["exact"]) == (1, 1, 44)


def test_an_unreadable_signature_is_a_wrong_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "txs.json", [{"raw": "0x02c0", "hash": "0x" + "00" * 32, "sender": "0x" + "00" * 20}])
    code, found = answer(capsys, str(tmp_path), "signatures")
    assert (code, found["signatures"]["wrong"]) == (1, 1)


def test_absent_data_is_said_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "unrelated.json", {"nothing": "here"})
    code, found = answer(capsys, str(tmp_path), "reserves", "signatures")
    assert code == 0
    assert found == {
        name: {"cases": 0, "exact": 0, "refused": {ABSENT: 1}, "wrong": 0} for name in ("reserves", "signatures")
    }


def test_the_table_names_every_suite_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "unrelated.json", {})
    assert main([str(tmp_path), "reserves"]) == 0
    shown = capsys.readouterr()
    assert "reserves" in shown.out and ABSENT in shown.out
    assert "signatures" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "DIR"),
        (["{folder}/none"], "is not a folder"),
        (["{folder}"], "holds no recorded data"),
        (["{folder}", "nonsense"], "known: "),
        (["{folder}", "--what"], "--what"),
    ],
)
def test_wrong_use_exits_2_and_says_why(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([argument.format(folder=tmp_path) for argument in arguments])
    shown = capsys.readouterr()
    assert stopped.value.code == 2
    assert said in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("broken", [b"{", b"\xfd7zXZ\0broken"])
def test_a_broken_file_is_named(broken: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "cut.json.xz" if broken.startswith(b"\xfd") else "cut.json"
    (tmp_path / name).write_bytes(broken + b' "schema":"replay-bundle/1" ')
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), "reserves"])
    assert stopped.value.code == 2
    assert name in capsys.readouterr().err
