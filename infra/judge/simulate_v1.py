"""`eth_simulateV1` (execution-apis): one simulated block of calls on a known head, asked and read. No I/O.

Nodes differ in the environment they assume for the block, so all of it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

METHOD = "eth_simulateV1"

_TRANSACTION_REJECTED = -32003
# The execution API reserves these for transactions that the simulated block cannot hold (nonce, funds, fee, gas).
_INVALID_TRANSACTION = range(-38029, -38009)
_INVALID_WORDS = ("insufficient funds", "nonce too", "intrinsic gas", "max fee per gas less")


class Malformed(ValueError):
    """The answer is not of the block and the calls that were asked for."""


@dataclass(frozen=True, slots=True)
class NextBlock:
    """The block to simulate: number, unix seconds, wei per gas (None before London), and the rest as the node writes it."""

    number: int
    timestamp: int
    base_fee: int | None
    gas_limit: str
    coinbase: str
    prev_randao: str

    def overrides(self) -> dict[str, str]:
        """As `blockOverrides`."""
        given = {
            "number": hex(self.number),
            "time": hex(self.timestamp),
            "gasLimit": self.gas_limit,
            "feeRecipient": self.coinbase,
            "prevRandao": self.prev_randao,
        }
        if self.base_fee is not None:
            given["baseFeePerGas"] = hex(self.base_fee)
        return given


@dataclass(frozen=True, slots=True)
class CallResult:
    """What one call did. `gas_used` is the receipt's: with the intrinsic gas, less refunds. `logs` as the node writes them; `cause` is
    the node's message and the revert data of a call that failed."""

    succeeded: bool
    gas_used: int
    logs: tuple[Any, ...]
    cause: str


def request(block: NextBlock, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The request: one block of calls, fees charged as in a real one."""
    return {"blockStateCalls": [{"blockOverrides": block.overrides(), "calls": calls}], "validation": True}


def read_block(result: Any, number: int, base_fee: int | None, count: int) -> tuple[CallResult, ...]:
    """The results of the `count` calls. `base_fee` is what the node was told, in wei per gas. Raises `Malformed`."""
    block = result[0] if isinstance(result, list) and len(result) == 1 else None
    calls = block.get("calls") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(calls, list) or len(calls) != count:
        raise Malformed(f"not one block of {count} calls")
    if hex_quantity(block.get("number"), "number") != number:
        raise Malformed(f"simulated block {block.get('number')} instead of {number}")
    if base_fee and hex_quantity(block.get("baseFeePerGas"), "baseFeePerGas") != base_fee:
        raise Malformed(f"base fee {block.get('baseFeePerGas')} instead of {hex(base_fee)}")
    return tuple(_read_call(call) for call in calls)


def _read_call(call: Any) -> CallResult:
    status = call.get("status") if isinstance(call, dict) else None
    if status not in ("0x0", "0x1"):
        raise Malformed(f"a call with status {str(status)[:20]!r}")
    logs = call.get("logs") or ()
    if not isinstance(logs, list | tuple):
        raise Malformed("a call whose logs are no list")
    succeeded = status == "0x1"
    gas_used = hex_quantity(call.get("gasUsed"), "gasUsed")
    return CallResult(succeeded, gas_used, tuple(logs), "" if succeeded else _cause(call))


def _cause(call: dict[str, Any]) -> str:
    """Message and revert data; some nodes put the data into the error, some into the result."""
    error = call.get("error")
    error = error if isinstance(error, dict) else {}
    data = error.get("data") or call.get("returnData") or "0x"
    return f"{str(error.get('message', 'no message'))[:100]} {str(data)[:522]}"


def is_invalid_transaction(code: int, message: str) -> bool:
    """Whether an error answer says that the block could not hold a transaction, so that nothing was simulated."""
    if code == _TRANSACTION_REJECTED or code in _INVALID_TRANSACTION:
        return True
    return any(words in message.lower() for words in _INVALID_WORDS)


def hex_quantity(value: Any, what: str) -> int:
    """A JSON-RPC hex quantity. Raises `Malformed` naming `what`."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise Malformed(f"{what} is not a hex quantity: {str(value)[:40]!r}")
