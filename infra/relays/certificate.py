"""The second judge: the chain's own node executes the bundle on the head it was decided on, before anything is sent.

It does not take the prediction's word for anything but the calldata: the base fee of the next block comes from the node too.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.chain.transactions import TransactionRefused, call_access_list, decode
from infra.judge import simulate_v1
from infra.judge.simulate_v1 import METHOD, CallResult, Malformed, NextBlock
from infra.relays import call_bundle
from infra.relays.node import Node, NodeTrouble, RpcError, Trouble, quantity
from schemas.decisions import ChosenCall, DecisionRecord
from schemas.submissions import Certificate, CertificateKind
from schemas.types import Signed

DEFAULT_BLOCK_INTERVAL_S = 12
_KEPT_HEADERS = 8
#: After so many seconds a node that did not agree is asked once more.
_SECOND_LOOK_S = 0.05
_METHOD_NOT_FOUND, _RESOURCE_NOT_FOUND = -32601, -32001


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
    """Asks one node. A certificate that cannot be had never stops a bundle; one that says no, twice, does."""

    def __init__(self, node: Node, budget_s: float, block_interval_s: int = DEFAULT_BLOCK_INTERVAL_S) -> None:
        self._node = node
        self._budget_s = budget_s
        self._block_interval_s = block_interval_s
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    async def judge(self, decision: DecisionRecord, signed: Sequence[bytes] = ()) -> Judgement:
        """Simulate what was chosen, behind its target, in the target block on the decision's head. `signed` is the bundle, for nodes that
        have `eth_callBundle` instead of `eth_simulateV1`.

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
                try:
                    first = await self._simulated(decision, chosen, header, request)
                except RpcError as error:
                    if not signed or error.code != _METHOD_NOT_FOUND:
                        raise
                    return await self._by_bundle(decision, chosen, header, signed)
                if first.certificate.kind is CertificateKind.AGREES:
                    return first
                # Nodes are not always of one mind about their newest block, and this one has only just come: what it says then holds.
                await asyncio.sleep(_SECOND_LOOK_S)
                return await self._simulated(decision, chosen, header, request)
        except TimeoutError:
            return _unavailable(Trouble.TIMEOUT, f"over {self._budget_s:g} s")
        except TransactionRefused as error:
            return _unavailable(Trouble.TARGET_UNREADABLE, str(error))
        except NodeTrouble as error:
            return _of_kind(CertificateKind.UNAVAILABLE, str(error))
        except RpcError as error:
            return _of_rpc_error(error)

    async def _simulated(
        self, decision: DecisionRecord, chosen: ChosenCall, header: Header, request: dict[str, Any]
    ) -> Judgement:
        result = await self._node.call(METHOD, request, {"blockHash": "0x" + decision.head_hash.hex()})
        return read_simulation(result, decision.target_block, chosen, header.next_base_fee or 0)

    async def _by_bundle(
        self, decision: DecisionRecord, chosen: ChosenCall, header: Header, signed: Sequence[bytes]
    ) -> Judgement:
        timestamp = header.timestamp + self._block_interval_s * (decision.target_block - header.number)
        request = call_bundle.request(signed, decision.target_block, header.number, timestamp)
        result = await self._node.call(call_bundle.METHOD, request)
        try:
            calls = call_bundle.read(result, header.number, len(signed))
        except Malformed as error:
            raise NodeTrouble(Trouble.MALFORMED, str(error)) from None
        judgement = _judged(calls, chosen, header.next_base_fee or 0)
        by_bundle = msgspec.structs.replace(judgement.certificate, method=call_bundle.METHOD)
        return Judgement(by_bundle, judgement.sendable)

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
    """The `eth_simulateV1` request: one block with the targets (if any) and then our call. Raises `TransactionRefused` for a target of an
    unknown kind."""
    block = NextBlock(
        number=decision.target_block,
        timestamp=header.timestamp + block_interval_s * (decision.target_block - header.number),
        base_fee=header.next_base_fee,
        gas_limit=header.gas_limit,
        coinbase=header.coinbase,
        prev_randao=header.prev_randao,
    )
    calls = [decode(target.raw).call() for target in chosen.targets]
    calls.append(_our_call(chosen, legacy=header.next_base_fee is None))
    return simulate_v1.request(block, calls)


def read_simulation(result: Any, target_block: int, chosen: ChosenCall, base_fee: int) -> Judgement:
    """The judgement on a simulation's result; `base_fee` is what the node was told, in wei per gas.

    Raises `NodeTrouble(MALFORMED)` where the result is not of the block and the calls that were asked for.
    """
    try:
        calls = simulate_v1.read_block(result, target_block, base_fee, len(chosen.targets) + 1)
    except Malformed as error:
        raise NodeTrouble(Trouble.MALFORMED, str(error)) from None
    return _judged(calls, chosen, base_fee)


def _judged(calls: Sequence[CallResult], chosen: ChosenCall, base_fee: int) -> Judgement:
    *targets, ours = calls
    for number, target in enumerate(targets, 1):
        if not target.succeeded:
            which = f"target {number} of {len(targets)}" if len(targets) > 1 else "the target"
            return _fails(f"{which} fails: {target.cause}")
    if ours.gas_used > chosen.gas_limit:
        raise NodeTrouble(Trouble.MALFORMED, f"gas {ours.gas_used} above the limit {chosen.gas_limit}")
    if not ours.succeeded:
        return _fails(f"ours fails: {ours.cause}", ours.gas_used, ours.gas_used - chosen.gas_used)
    return _compare(chosen, ours.gas_used, base_fee)


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
        **({"accessList": call_access_list(chosen.access_list)} if chosen.access_list else {}),
    }


def _of_rpc_error(error: RpcError) -> Judgement:
    text = str(error)
    if simulate_v1.is_invalid_transaction(error.code, text):
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
