"""py-evm beside us: in a virtual environment of its own, because its dependencies clash with ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.swap_case import SwapCase

VENV = Path(".sluice/run/bench-py-evm")
_SCRIPT = Path(__file__).with_name("py_evm_script.py")
_PYTHON = VENV / "bin" / "python"
#: What in our environment names modules that are not in that one.
_OURS = ("PYTHONPATH", "ETH_HASH_BACKEND")
_INSTALL_SECONDS, _RUN_SECONDS = 60, 60


class PyEvmUnavailable(RuntimeError):
    """py-evm could not be installed or did not run; the message is the last line it left."""


def run_py_evm(case: SwapCase, count: int) -> dict[str, Any]:
    """Run the case `count` times: `success`, `gas`, `logs` (hex) of the last; of each, `loading_seconds` of the state and
    `seconds` of the run after that.

    Installs py-evm when it is not there yet. Raises `PyEvmUnavailable`.
    """
    _install()
    answer: dict[str, Any] = json.loads(
        _run([str(_PYTHON), str(_SCRIPT)], _RUN_SECONDS, json.dumps(_plain(case, count)))
    )
    return answer


def _install() -> None:
    done = VENV / "installed"
    if done.exists():
        return
    _run([sys.executable, "-m", "venv", str(VENV)], _INSTALL_SECONDS)
    _run([str(_PYTHON), "-m", "pip", "install", "--quiet", "py-evm"], _INSTALL_SECONDS)
    done.touch()


def _run(command: list[str], seconds: int, text: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=seconds, env=environment, check=True
        )
    except subprocess.CalledProcessError as error:
        raise PyEvmUnavailable((error.stderr.strip().splitlines() or [str(error)])[-1]) from None
    except (subprocess.TimeoutExpired, OSError) as error:
        raise PyEvmUnavailable(str(error)) from None
    return done.stdout


def _plain(case: SwapCase, count: int) -> dict[str, Any]:
    env, tx, witness = case.env, case.tx, case.witness
    return {
        "count": count,
        "block": {
            "chain_id": env.chain_id,
            "number": env.number,
            "timestamp": env.timestamp,
            "gas_limit": env.gas_limit,
            "coinbase": env.coinbase.hex(),
            "prevrandao": env.prevrandao.hex(),
            "base_fee": env.base_fee,
            "excess_blob_gas": env.excess_blob_gas,
        },
        "tx": {
            "sender": tx.sender.hex(),
            "to": tx.to.hex(),
            "nonce": tx.nonce,
            "value": tx.value,
            "data": tx.data.hex(),
            "gas_limit": tx.gas_limit,
            "max_fee": tx.max_fee,
            "priority_fee": tx.priority_fee,
        },
        "accounts": {
            address.hex(): {
                "balance": str(view.balance),
                "nonce": view.nonce,
                "code": witness.codes.get(view.code_hash, b"").hex(),
                "slots": {key.hex(): value.hex() for key, value in view.slots.items()},
            }
            for address, view in witness.accounts.items()
        },
    }
