"""What transactions would do in the next block, asked of the node, with the builder's income measured transaction by transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.chain.transactions import SignedTransaction
from infra.devnet.node import Node, RpcError, data, quantity, to_hex

# Code that answers with the balance of COINBASE, put at an address nobody uses: COINBASE BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN,
# with PUSH1 0 for PUSH0, so that it also runs before Shanghai.
_PROBE = to_hex(b"sluice-balance-probe")
_PROBE_CODE = "0x4131600052602060" + "00f3"
_PROBE_CALLER = to_hex(b"sluice-probe-caller!")
_PROBE_CALL = {"from": _PROBE_CALLER, "to": _PROBE, "gas": hex(60_000)}


class SimulationRefused(RuntimeError):
    """The node would not simulate this at all: a sender cannot pay, or a field it does not take."""


@dataclass(frozen=True)
class BlockEnv:
    """The block to be built. Wei and unix seconds."""

    number: int
    timestamp: int
    base_fee: int
    gas_limit: int
    coinbase: bytes

    def overrides(self) -> dict[str, str]:
        """As block overrides: without them the node simulates on top of its head as if it were the head again."""
        return {
            "number": hex(self.number),
            "time": hex(self.timestamp),
            "baseFeePerGas": hex(self.base_fee),
            "gasLimit": hex(self.gas_limit),
            "feeRecipient": to_hex(self.coinbase),
        }


@dataclass(frozen=True)
class Result:
    """What one transaction did."""

    success: bool
    gas_used: int
    output: bytes
    """Return or revert data."""
    coinbase_diff: int
    """Wei the builder's address gained over this transaction: tips and direct payments. Zero where it was not measured."""


def simulate(
    node: Node,
    env: BlockEnv,
    transactions: Sequence[SignedTransaction],
    measured: range | None = None,
    state_block: str = "latest",
) -> list[Result]:
    """Execute transactions in order on the state after `state_block`; nothing stays. Nonces are not looked at.

    `measured` are the indices whose payment to the builder is wanted (all by default). Raises SimulationRefused.
    """
    measured = measured if measured is not None else range(len(transactions))
    calls: list[dict[str, object]] = []
    places: list[int] = []
    for index, transaction in enumerate(transactions):
        if index == measured.start:
            calls.append(dict(_PROBE_CALL))
        places.append(len(calls))
        calls.append(transaction.call())
        if index in measured:
            calls.append(dict(_PROBE_CALL))
    block = {"blockOverrides": env.overrides(), "stateOverrides": {_PROBE: {"code": _PROBE_CODE}}, "calls": calls}
    try:
        # With validation the base fee is charged and the BASEFEE opcode tells it; without, it reads zero.
        answer = node.call("eth_simulateV1", {"blockStateCalls": [block], "validation": True}, state_block)
    except RpcError as error:
        raise SimulationRefused(error.message) from error
    outcomes = answer[0]["calls"]
    results = []
    for index, place in enumerate(places):
        outcome = outcomes[place]
        gain = _balance(outcomes[place + 1]) - _balance(outcomes[place - 1]) if index in measured else 0
        results.append(
            Result(
                outcome["status"] == "0x1", quantity(outcome["gasUsed"]), data(outcome.get("returnData") or "0x"), gain
            )
        )
    return results


def _balance(outcome: dict[str, str]) -> int:
    return quantity(outcome["returnData"])
