"""`eth_callBundle` on the chain's own node, for nodes that have it and no `eth_simulateV1`: signed transactions in, results out. No I/O.

The shapes are those of Flashbots' documentation, which mev-geth, Reth and Erigon follow. It takes a head by number only: after a reorg the answer is about
another head than the decision's, whose bundle nobody can include then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.judge.simulate_v1 import CallResult, Malformed

METHOD = "eth_callBundle"


def request(transactions: Sequence[bytes], target_block: int, head_number: int, timestamp: int) -> dict[str, Any]:
    """The request: signed transactions in order, in the target block at that time (unix seconds), on the state of the head."""
    return {
        "txs": ["0x" + raw.hex() for raw in transactions],
        "blockNumber": hex(target_block),
        "stateBlockNumber": hex(head_number),
        "timestamp": timestamp,
    }


def read(result: Any, head_number: int, count: int) -> tuple[CallResult, ...]:
    """The results of the `count` transactions. Raises `Malformed`."""
    results = result.get("results") if isinstance(result, dict) else None
    if not isinstance(results, list) or len(results) != count:
        raise Malformed(f"not the results of {count} transactions")
    state = _number(result.get("stateBlockNumber"), "stateBlockNumber")
    if state != head_number:
        raise Malformed(f"simulated on block {state} instead of {head_number}")
    return tuple(_read_one(entry) for entry in results)


def _read_one(entry: Any) -> CallResult:
    if not isinstance(entry, dict):
        raise Malformed("a result that is no object")
    gas_used = _number(entry.get("gasUsed"), "gasUsed")
    error = entry.get("error")
    if error is None and entry.get("revert") is None:
        return CallResult(True, gas_used, (), "")
    return CallResult(False, gas_used, (), f"{str(error)[:100]} {str(entry.get('revert') or '0x')[:522]}")


def _number(value: Any, what: str) -> int:
    """Numbers are JSON numbers with some nodes and hex with others."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise Malformed(f"{what} is no number: {str(value)[:40]!r}")
