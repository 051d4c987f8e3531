"""The second judge: the chain's own node executes the bundle on the head it was decided on, before anything is sent.

It does not take the prediction's word for anything but the calldata: the base fee of the next block comes from the node too.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from infra.chain.transactions import TransactionRefused, decode
from infra.relays.node import Node, NodeTrouble, RpcError, Trouble, quantity
from schemas.decisions import ChosenCall, DecisionRecord
from schemas.submissions import Certificate, CertificateKind
from schemas.types import Signed

METHOD = "eth_simulateV1"
DEFAULT_BLOCK_INTERVAL_S = 12
_KEPT_HEADERS = 8
_METHOD_NOT_FOUND, _RESOURCE_NOT_FOUND, _TRANSACTION_REJECTED = -32601, -32001, -32003
# The execution API reserves these for transactions that the simulated block cannot hold (nonce, funds, fee, gas).
_INVALID_TRANSACTION = range(-38029, -38009)
_INVALID_WORDS = ("insufficient funds", "nonce too", "intrinsic gas", "max fee per gas less")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A certificate and what follows from it."""

    certificate: Certificate
    sendable: bool


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of the head's header that the next block's environment follows from. Base fees in wei per gas, None before
    EIP-1559; `next_base_fee` is the node's own computation."""

    number: int
    timestamp: int
    gas_limit: str
    coinbase: str
    prev_randao: str
    next_base_fee: int | None


class Certifier:
    """Asks one node. A certificate that cannot be had never stops a bundle; one that says no does."""

    def __init__(self, node: Node, budget_s: float, block_interval_s: int = DEFAULT_BLOCK_INTERVAL_S) -> None:
        self._node = node
        self._budget_s = budget_s
        self._block_interval_s = block_interval_s
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    async def judge(self, decision: DecisionRecord) -> Judgement:
        """Simulate what was chosen, behind its target, in the target block on the decision's head.

        Never raises for what the node does: UNAVAILABLE with the kind of trouble says it.
        """
        chosen = decision.chosen
        if chosen is None:
            raise ValueError("a decision without a choice has nothing to certify")
        try:
            async with asyncio.timeout(self._budget_s):
                header = await self._header(decision.head_hash, decision.head_number)
                if header.next_base_fee is not None and chosen.max_fee < header.next_base_fee:
                    return _fails(f"max fee {chosen.max_fee} below the node's next base fee {header.next_base_fee}")
                request = simulation_request(decision, chosen, header, self._block_interval_s)
                result = await self._node.call(METHOD, request, {"blockHash": "0x" + decision.head_hash.hex()})
                return read_simulation(result, decision.target_block, chosen, header.next_base_fee or 0)
        except TimeoutError:
            return _unavailable(Trouble.TIMEOUT, f"over {self._budget_s:g} s")
        except TransactionRefused as error:
            return _unavailable(Trouble.TARGET_UNREADABLE, str(error))
        except NodeTrouble as error:
            return _of_kind(CertificateKind.UNAVAILABLE, str(error))
        except RpcError as error:
            return _of_rpc_error(error)

    async def _header(self, head_hash: bytes, head_number: int) -> Header:
        if head_hash not in self._headers:
            self._headers[head_hash] = await self._read_header(head_hash, head_number)
            while len(self._headers) > _KEPT_HEADERS:
                self._headers.popitem(last=False)
        return self._headers[head_hash]

    async def _read_header(self, head_hash: bytes, head_number: int) -> Header:
        name = "0x" + head_hash.hex()
        block = await self._node.call("eth_getBlockByHash", name, False)
        if block is None:
            raise NodeTrouble(Trouble.HEAD_UNKNOWN, f"no block {name}")
        if not isinstance(block, dict) or str(block.get("hash", "")).lower() != name:
            raise NodeTrouble(Trouble.MALFORMED, f"asked for block {name}, got another")
        if quantity(block.get("number"), "number") != head_number:
            raise NodeTrouble(Trouble.MALFORMED, f"block {name} is not at height {head_number}")
        next_base_fee = None
        if block.get("baseFeePerGas") is not None:
            history = await self._node.call("eth_feeHistory", "0x1", hex(head_number), [])
            fees = history.get("baseFeePerGas") if isinstance(history, dict) else None
            if not isinstance(fees, list) or len(fees) != 2 or fees[0] != block["baseFeePerGas"]:
                raise NodeTrouble(Trouble.HEAD_UNKNOWN, f"fee history is not that of {name}")
            next_base_fee = quantity(fees[1], "baseFeePerGas")
        texts = [block.get(key) for key in ("gasLimit", "miner", "mixHash")]
        if not all(isinstance(text, str) for text in texts):
            raise NodeTrouble(Trouble.MALFORMED, "header without gasLimit, miner or mixHash")
        gas_limit, coinbase, prev_randao = map(str, texts)
        timestamp = quantity(block.get("timestamp"), "timestamp")
        return Header(head_number, timestamp, gas_limit, coinbase, prev_randao, next_base_fee)


def simulation_request(
    decision: DecisionRecord, chosen: ChosenCall, header: Header, block_interval_s: int
) -> dict[str, Any]:
    """The `eth_simulateV1` request: one block with the target (if any) and then our call. Nodes differ in the environment
    they assume for it, so all of it is given. Raises `TransactionRefused` for a target of an unknown kind."""
    overrides = {
        "number": hex(decision.target_block),
        "time": hex(header.timestamp + block_interval_s * (decision.target_block - header.number)),
        "gasLimit": header.gas_limit,
        "feeRecipient": header.coinbase,
        "prevRandao": header.prev_randao,
    }
    if header.next_base_fee is not None:
        overrides["baseFeePerGas"] = hex(header.next_base_fee)
    calls = [decode(chosen.target_raw).call()] if chosen.target_raw else []
    calls.append(_our_call(chosen, legacy=header.next_base_fee is None))
    return {"blockStateCalls": [{"blockOverrides": overrides, "calls": calls}], "validation": True}


def read_simulation(result: Any, target_block: int, chosen: ChosenCall, base_fee: int) -> Judgement:
    """The judgement on a simulation's result; `base_fee` is what the node was told, in wei per gas.

    Raises `NodeTrouble(MALFORMED)` where the result is not of the block and the calls that were asked for.
    """
    block = result[0] if isinstance(result, list) and len(result) == 1 else None
    calls = block.get("calls") if isinstance(block, dict) else None
    expected = 2 if chosen.target_raw else 1
    if not isinstance(block, dict) or not isinstance(calls, list) or len(calls) != expected:
        raise NodeTrouble(Trouble.MALFORMED, f"not one block of {expected} calls")
    if quantity(block.get("number"), "number") != target_block:
        raise NodeTrouble(Trouble.MALFORMED, f"simulated block {block.get('number')} instead of {target_block}")
    if base_fee and quantity(block.get("baseFeePerGas"), "baseFeePerGas") != base_fee:
        raise NodeTrouble(Trouble.MALFORMED, f"base fee {block.get('baseFeePerGas')} instead of {hex(base_fee)}")
    if chosen.target_raw and not _succeeded(calls[0]):
        return _fails(f"the target fails: {_cause(calls[0])}")
    ours = calls[-1]
    succeeded, gas_used = _succeeded(ours), quantity(ours.get("gasUsed"), "gasUsed")
    if gas_used > chosen.gas_limit:
        raise NodeTrouble(Trouble.MALFORMED, f"gas {gas_used} above the limit {chosen.gas_limit}")
    if not succeeded:
        return _fails(f"ours fails: {_cause(ours)}", gas_used, gas_used - chosen.gas_used)
    return _compare(chosen, gas_used, base_fee)


def _compare(chosen: ChosenCall, gas_used: int, base_fee: int) -> Judgement:
    difference = gas_used - chosen.gas_used
    if difference == 0 and base_fee == chosen.base_fee:
        return _of_kind(CertificateKind.AGREES, "", gas_used)
    priority = min(chosen.priority_fee, chosen.max_fee - base_fee)
    net = chosen.gross - gas_used * (base_fee + priority)
    detail = f"net {net} wei at gas {gas_used} and base fee {base_fee}, predicted {int(chosen.net)} at {chosen.gas_used} and {chosen.base_fee}"
    judgement = _of_kind(CertificateKind.DIFFERS, detail, gas_used, difference)
    return Judgement(judgement.certificate, sendable=net > 0)


def _our_call(chosen: ChosenCall, legacy: bool) -> dict[str, Any]:
    price = {"gasPrice": hex(chosen.max_fee)}
    if not legacy:
        price = {"maxFeePerGas": hex(chosen.max_fee), "maxPriorityFeePerGas": hex(chosen.priority_fee)}
    return {
        "from": "0x" + chosen.sender.hex(),
        "to": "0x" + chosen.to.hex(),
        "nonce": hex(chosen.nonce),
        "gas": hex(chosen.gas_limit),
        "value": "0x0",
        "input": "0x" + chosen.data.hex(),
        **price,
    }


def _succeeded(call: Any) -> bool:
    status = call.get("status") if isinstance(call, dict) else None
    if status not in ("0x0", "0x1"):
        raise NodeTrouble(Trouble.MALFORMED, f"a call with status {str(status)[:20]!r}")
    return bool(status == "0x1")


def _cause(call: dict[str, Any]) -> str:
    """Message and revert data; some nodes put the data into the error, some into the result."""
    error = call.get("error")
    error = error if isinstance(error, dict) else {}
    data = error.get("data") or call.get("returnData") or "0x"
    return f"{str(error.get('message', 'no message'))[:100]} {str(data)[:522]}"


def _of_rpc_error(error: RpcError) -> Judgement:
    text = str(error)
    if (
        error.code == _TRANSACTION_REJECTED
        or error.code in _INVALID_TRANSACTION
        or any(w in text.lower() for w in _INVALID_WORDS)
    ):
        return _fails(f"invalid in the target block: {text}")
    if error.code == _METHOD_NOT_FOUND:
        return _unavailable(Trouble.UNSUPPORTED, text)
    if error.code == _RESOURCE_NOT_FOUND or "header not found" in text.lower() or "unknown block" in text.lower():
        return _unavailable(Trouble.HEAD_UNKNOWN, text)
    return _unavailable(Trouble.RPC_ERROR, text)


def _fails(detail: str, gas_used: int = 0, difference: int = 0) -> Judgement:
    return _of_kind(CertificateKind.FAILS, detail, gas_used, difference)


def _unavailable(kind: Trouble, detail: str) -> Judgement:
    return _of_kind(CertificateKind.UNAVAILABLE, f"{kind}: {detail}")


def _of_kind(kind: CertificateKind, detail: str, gas_used: int = 0, difference: int = 0) -> Judgement:
    certificate = Certificate(
        kind=kind, method=METHOD, gas_used=gas_used, gas_difference=Signed(difference), detail=detail[:2000]
    )
    return Judgement(certificate, sendable=kind is not CertificateKind.FAILS)


def skipped(detail: str) -> Judgement:
    """The judgement where none was asked for."""
    certificate = Certificate(
        kind=CertificateKind.SKIPPED, method="", gas_used=0, gas_difference=Signed(0), detail=detail[:2000]
    )
    return Judgement(certificate, sendable=True)
