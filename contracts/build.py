"""Reproducible build of the executor: `python -m contracts.build [--check]`.

Source, compiler and settings give the same bytes on every machine: solc is a pinned npm package (WebAssembly), the settings are below,
and neither a metadata hash nor a file path enters the code. `--check` compares with the committed artifact instead of writing it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import toolchain
from contracts.toolchain import CONTRACTS, ToolMissing

CONTRACT = "SluiceExecutor"
SOURCE_NAME = f"src/{CONTRACT}.sol"
#: The contract first, then what it imports.
SOURCES = {name: CONTRACTS / name for name in (SOURCE_NAME, "src/Protocols.sol")}
ARTIFACT = CONTRACTS / "artifacts" / f"{CONTRACT}.json"
SOLC_VERSION = "0.8.37"

SETTINGS: dict[str, Any] = {
    # The oldest EVM the executor must run on: recorded mainnet state from Istanbul on. Newer targets emit PUSH0, MCOPY or BASEFEE.
    "evmVersion": "istanbul",
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
_OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]

# Not a finding about our source: solc says it of every target before London, and the target is old on purpose.
_EXPECTED_WARNING = "Support for EVM versions older than london is deprecated"


class BuildError(RuntimeError):
    """The contract does not compile as pinned, or the committed artifact is not what its source gives."""


def build(solc: Path) -> dict[str, Any]:
    """Compile the source with the executable `solc`; returns the artifact.

    Keys: contractName, abi, bytecode and deployedBytecode (0x-hex; immutables zero), immutableReferences (name → byte offsets into
    deployedBytecode, each 32 bytes wide), compiler, settings, sourceSha256 (by source name). Raises BuildError.
    """
    sources = {name: path.read_bytes() for name, path in SOURCES.items()}
    output = _compile(solc, _standard_json(sources))
    compiled = output["contracts"][SOURCE_NAME][CONTRACT]
    return {
        "contractName": CONTRACT,
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + compiled["evm"]["deployedBytecode"]["object"],
        "immutableReferences": {"owner": _only_immutable(compiled["evm"]["deployedBytecode"]["immutableReferences"])},
        "compiler": {"name": "solc", "version": _version(solc)},
        "settings": SETTINGS,
        "sourceSha256": {name: hashlib.sha256(source).hexdigest() for name, source in sources.items()},
    }


def _standard_json(sources: dict[str, bytes]) -> dict[str, Any]:
    return {
        "language": "Solidity",
        "sources": {name: {"content": source.decode()} for name, source in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {SOURCE_NAME: {CONTRACT: _OUTPUTS}}},
    }


def _only_immutable(references: dict[str, list[dict[str, int]]]) -> list[int]:
    """Byte offsets of `owner`; solc names immutables by syntax tree ids, so with one of them there is nothing to mix up."""
    if len(references) != 1:
        raise BuildError(
            f"expected the one immutable `owner`, solc reports {len(references)}: name them in the artifact first"
        )
    (places,) = references.values()
    return sorted(place["start"] for place in places)


def _version(solc: Path) -> str:
    """The compiler's full version, like 0.8.37+commit.f401782d; BuildError when it is not the pinned release."""
    version = _run([str(solc), "--version"]).rpartition("Version: ")[2].partition(".Emscripten")[0].strip()
    if version.partition("+")[0] != SOLC_VERSION:
        raise BuildError(f"solc {SOLC_VERSION} is pinned, {solc} is {version}")
    return version


def _compile(solc: Path, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_run([str(solc), "--standard-json"], json.dumps(request)))
    complaints = [
        item["formattedMessage"] for item in answer.get("errors", []) if _EXPECTED_WARNING not in item["message"]
    ]
    if complaints:
        raise BuildError("solc is not content with the source:\n" + "\n".join(complaints))
    return answer


def _run(command: list[str], stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{command[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def render(artifact: dict[str, Any]) -> bytes:
    """The artifact as the committed file holds it."""
    return (json.dumps(artifact, indent=2, sort_keys=True) + "\n").encode()


def check(solc: Path) -> None:
    """Raise BuildError unless the committed artifact is byte for byte what the source compiles to."""
    committed = ARTIFACT.read_bytes() if ARTIFACT.exists() else b""
    if committed != render(build(solc)):
        raise BuildError(
            f"{ARTIFACT} is not what {SOURCES[SOURCE_NAME]} compiles to: run `python -m contracts.build` and commit it"
        )


def main(
    check_only: Annotated[
        bool, typer.Option("--check", help="Compare with the committed artifact, write nothing.")
    ] = False,
    solc: Annotated[Path | None, typer.Option(help="The compiler; default: .sluice/bin/solc.")] = None,
) -> None:
    """Build the executor's artifact, or check the committed one."""
    try:
        compiler = solc or toolchain.solc()
        if check_only:
            check(compiler)
        else:
            ARTIFACT.parent.mkdir(exist_ok=True)
            ARTIFACT.write_bytes(render(build(compiler)))
    except (BuildError, ToolMissing) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{ARTIFACT.name}: {'reproduced' if check_only else 'written'}")


if __name__ == "__main__":
    typer.run(main)
