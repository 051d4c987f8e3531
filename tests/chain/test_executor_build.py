"""The executor's artifact is what its source gives, and passes its Foundry tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import build, toolchain
from contracts.forge_test import forge_test
from infra.toolchain import layout

pytestmark = pytest.mark.chain

# The first opcode each later fork brought that solc would emit by itself: the target EVM must know none of them.
LATER_OPCODES = {
    0x48: "BASEFEE",
    0x49: "BLOBHASH",
    0x4A: "BLOBBASEFEE",
    0x5C: "TLOAD",
    0x5D: "TSTORE",
    0x5E: "MCOPY",
    0x5F: "PUSH0",
    0x1E: "CLZ",
}


def test_rebuild_gives_the_committed_bytes() -> None:
    assert build.render(build.build(toolchain.solc())) == build.ARTIFACT.read_bytes()


def test_rebuild_does_not_depend_on_where_the_project_lies(tmp_path: Path) -> None:
    shutil.copytree(toolchain.CONTRACTS, tmp_path / "contracts")
    (tmp_path / "contracts" / "artifacts" / "SluiceExecutor.json").unlink()
    command = [sys.executable, "-m", "contracts.build", "--solc", str(toolchain.solc())]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "contracts" / "artifacts" / "SluiceExecutor.json").read_bytes() == build.ARTIFACT.read_bytes()


def test_check_fails_when_the_artifact_is_not_its_source(tmp_path: Path) -> None:
    shutil.copytree(toolchain.CONTRACTS, tmp_path / "contracts")
    source = tmp_path / "contracts" / build.SOURCE_NAME
    source.write_text(source.read_text().replace("MAX_HOPS = 8", "MAX_HOPS = 9"))
    command = [sys.executable, "-m", "contracts.build", "--check", "--solc", str(toolchain.solc())]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "run `python -m contracts.build`" in done.stderr


def test_source_that_does_not_compile_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.sol"
    broken.write_text("pragma solidity 0.8.37; contract SluiceExecutor { nonsense }")
    monkeypatch.setitem(build.SOURCES, build.SOURCE_NAME, broken)
    with pytest.raises(build.BuildError, match="ParserError"):
        build.build(toolchain.solc())


def test_code_has_no_opcode_later_than_istanbul() -> None:
    artifact = build.build(toolchain.solc())
    for name in ("bytecode", "deployedBytecode"):
        found = _opcodes(bytes.fromhex(artifact[name][2:])) & LATER_OPCODES.keys()
        assert not found, [LATER_OPCODES[opcode] for opcode in found]


def test_foundry_tests_pass() -> None:
    done = forge_test(capture=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "SluiceExecutorTest" in done.stdout


def test_tools_are_the_ones_of_the_set_up() -> None:
    # `contracts` imports nothing of ours and so repeats where the set-up puts things; this holds the two together.
    assert toolchain.HOME == layout.HOME
    assert toolchain.solc().parent == layout.BIN


def _opcodes(code: bytes) -> set[int]:
    """The opcodes of a code, without what PUSH instructions carry; PUSH1 is 0x60, PUSH32 is 0x7F."""
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found
