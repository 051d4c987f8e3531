"""Tokens of every kind, compiled from `Kinds.sol`, as accounts of a witness."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from infra.chain.keccak import keccak
from infra.toolchain import paths
from operators.simulation.model import AccountView, BlockEnv, Witness

TOKEN, HOLDER, OWNER, EXECUTOR = (bytes([number]) * 20 for number in (0x22, 0x11, 0x44, 0x55))
BALANCE = 10**24
_SOURCE = Path(__file__).parent / "Kinds.sol"

ENV = BlockEnv(
    chain_id=1, number=19_932_149, timestamp=1_716_000_012, coinbase=b"\x99" * 20, base_fee=10**9, gas_limit=30_000_000,
    prevrandao=bytes(32), difficulty=0, excess_blob_gas=0, fork="Cancun",
)  # fmt: skip


@cache
def compiled() -> dict[str, bytes]:
    """Runtime code by contract. Skips the test where the compiler is not installed."""
    try:
        solc = paths.solc()
    except paths.ToolMissing as error:
        pytest.skip(str(error))
    request = {
        "language": "Solidity",
        "sources": {"Kinds.sol": {"content": _SOURCE.read_text()}},
        "settings": {
            "evmVersion": "cancun",
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
        },
    }
    done = subprocess.run([str(solc), "--standard-json"], input=json.dumps(request), capture_output=True, text=True)
    answer = json.loads(done.stdout)
    errors = [error["formattedMessage"] for error in answer.get("errors", ()) if error["severity"] == "error"]
    assert not errors, errors
    return {
        name: bytes.fromhex(contract["evm"]["deployedBytecode"]["object"])
        for name, contract in answer["contracts"]["Kinds.sol"].items()
    }


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def mapped(key: bytes, slot: int) -> bytes:
    """The slot of a mapping's entry."""
    return keccak(word(key) + word(slot))


def world(token: bytes, slots: dict[bytes, bytes] | None = None, *, whole: bool = True) -> Witness:
    """A state with the token's code at `TOKEN`, a pool that holds it, and nothing else."""
    state = Witness({}, {})
    storage = {mapped(HOLDER, 0): word(BALANCE), word(1): word(10 * BALANCE)} | (slots or {})
    pool = compiled()["Pool"]
    state.accounts[TOKEN] = AccountView(1, 0, state.add_code(token), storage, complete=whole)
    state.accounts[HOLDER] = AccountView(1, 0, state.add_code(pool), {}, complete=True)
    return state


def kind(name: str, *, knob: int = 0, marked: bytes = b"") -> Witness:
    """A world of one kind, set up."""
    return world(compiled()[name], {word(2): word(knob), word(3): word(marked)})
