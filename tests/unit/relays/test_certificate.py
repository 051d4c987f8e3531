"""The judgement on what a node says, and on nodes that lag, lie, hang or are away. The real node is in tests/chain."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from eth_account import Account

from infra.relays.certificate import Certifier, Judgement, read_simulation
from infra.relays.node import Node, NodeTrouble
from schemas.decisions import ChosenCall, DecisionRecord, Target
from schemas.submissions import CertificateKind as Kind
from tests.unit.relays.misbehaving_server import Behave, Seen, refusing, says, serving
from tests.unit.relays.samples import USER_KEY, decision, user_raw, wide

DECISION = decision()
assert DECISION.chosen is not None
CHOSEN: ChosenCall = DECISION.chosen
BASE_FEE = CHOSEN.base_fee
HEAD = "0x" + DECISION.head_hash.hex()
BLOCK = {
    "hash": HEAD, "number": hex(DECISION.head_number), "timestamp": hex(1_700_000_000), "gasLimit": "0x1c9c380",
    "miner": "0x" + "99" * 20, "mixHash": "0x" + "88" * 32, "baseFeePerGas": "0x3b9aca00",
}  # fmt: skip
FEES = {"baseFeePerGas": ["0x3b9aca00", hex(BASE_FEE)], "oldestBlock": hex(DECISION.head_number)}
TARGET_OK = {"status": "0x1", "gasUsed": "0x5208", "returnData": "0x", "logs": []}


def ours(gas: int = CHOSEN.gas_used, status: str = "0x1", **more: Any) -> dict[str, Any]:
    return {"status": status, "gasUsed": hex(gas), "returnData": "0x", "logs": [], **more}


def block(*calls: Any, number: int = DECISION.target_block, base_fee: int = BASE_FEE) -> list[dict[str, Any]]:
    return [{"number": hex(number), "baseFeePerGas": hex(base_fee), "calls": list(calls)}]


def judge(
    node: dict[str, Any], made: DecisionRecord = DECISION, budget_s: float = 60.0, signed: tuple[bytes, ...] = ()
) -> tuple[Judgement, list[Seen]]:
    """The judgement from a node that answers each method as told: a result, or a whole behaviour. A patient one, so that a busy machine does
    not change what a test means."""
    answers = {"eth_getBlockByHash": BLOCK, "eth_feeHistory": FEES, "eth_simulateV1": block(TARGET_OK, ours()), **node}

    def script(seen: Seen) -> Behave:
        answer = answers[seen.call["method"]]
        if callable(answer):
            return answer(seen)
        return answer if isinstance(answer, Behave) else says({"jsonrpc": "2.0", "id": 1, "result": answer})

    async def run(url: str) -> Judgement:
        client = Node(url, budget_s)
        try:
            return await Certifier(client, budget_s).judge(made, signed)
        finally:
            await client.close()

    with serving(script=script) as server:
        return asyncio.run(run(server.url)), server.seen


def error(code: int, message: str) -> Behave:
    return says({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})


def test_agrees_and_what_was_asked() -> None:
    judgement, seen = judge({})
    certificate = judgement.certificate
    assert judgement.sendable and certificate.kind is Kind.AGREES and certificate.method == "eth_simulateV1"
    assert (certificate.gas_used, certificate.gas_difference, certificate.detail) == (CHOSEN.gas_used, 0, "")
    request, at = seen[-1].call["params"]
    assert at == {"blockHash": HEAD} and request["validation"] is True
    (one_block,) = request["blockStateCalls"]
    assert one_block["blockOverrides"] == {
        "number": hex(DECISION.target_block), "time": hex(1_700_000_012), "gasLimit": "0x1c9c380",
        "feeRecipient": "0x" + "99" * 20, "prevRandao": "0x" + "88" * 32, "baseFeePerGas": hex(BASE_FEE),
    }  # fmt: skip
    target, our_call = one_block["calls"]
    assert target["from"] == Account.from_key(USER_KEY).address.lower() and target["nonce"] == "0x7"
    assert our_call["from"] == "0x" + CHOSEN.sender.hex() and our_call["input"] == "0x" + CHOSEN.data.hex()
    assert our_call["maxFeePerGas"] == hex(CHOSEN.max_fee) and our_call["nonce"] == hex(CHOSEN.nonce)
    assert our_call["accessList"] == [{"address": "0x" + "06" * 20, "storageKeys": ["0x" + "08".rjust(64, "0")]}]


def test_several_targets_stand_before_ours_in_order() -> None:
    raws = [user_raw(nonce=nonce) for nonce in (7, 8)]
    judgement, seen = judge({"eth_simulateV1": block(TARGET_OK, TARGET_OK, ours())}, decision(*raws))
    assert judgement.certificate.kind is Kind.AGREES
    *targets, our_call = seen[-1].call["params"][0]["blockStateCalls"][0]["calls"]
    assert [target["nonce"] for target in targets] == ["0x7", "0x8"] and our_call["nonce"] == hex(CHOSEN.nonce)
    failed = {**TARGET_OK, "status": "0x0"}
    for calls, which in (((failed, TARGET_OK), "target 1 of 2"), ((TARGET_OK, failed), "target 2 of 2")):
        judgement, _ = judge({"eth_simulateV1": block(*calls, ours())}, decision(*raws))
        assert not judgement.sendable and judgement.certificate.detail.startswith(which)


def test_a_cycle_has_one_call() -> None:
    judgement, seen = judge({"eth_simulateV1": block(ours())}, decision(cycle=True))
    assert judgement.certificate.kind is Kind.AGREES
    assert len(seen[-1].call["params"][0]["blockStateCalls"][0]["calls"]) == 1


def test_a_chain_without_base_fee() -> None:
    old = {key: value for key, value in BLOCK.items() if key != "baseFeePerGas"}
    made = decision(base_fee=0, priority_fee=CHOSEN.max_fee)
    judgement, seen = judge({"eth_getBlockByHash": old}, made)
    assert judgement.certificate.kind is Kind.AGREES
    request = seen[-1].call["params"][0]["blockStateCalls"][0]
    assert "baseFeePerGas" not in request["blockOverrides"] and request["calls"][1]["gasPrice"] == hex(CHOSEN.max_fee)


def test_other_gas_differs_and_is_sent_while_it_pays() -> None:
    judgement, _ = judge({"eth_simulateV1": block(TARGET_OK, ours(CHOSEN.gas_used + 7))})
    assert (
        judgement.sendable and judgement.certificate.kind is Kind.DIFFERS and judgement.certificate.gas_difference == 7
    )
    judgement, _ = judge({"eth_simulateV1": block(TARGET_OK, ours(CHOSEN.gas_used - 7))})
    assert judgement.sendable and judgement.certificate.gas_difference == -7


def test_it_is_not_sent_when_it_no_longer_pays() -> None:
    price = BASE_FEE + CHOSEN.priority_fee
    for gross, sendable in ((CHOSEN.gas_used * price + price, False), (CHOSEN.gas_used * price + price + 1, True)):
        made = decision(gross=wide(gross))
        judgement, _ = judge({"eth_simulateV1": block(TARGET_OK, ours(CHOSEN.gas_used + 1))}, made)
        assert judgement.certificate.kind is Kind.DIFFERS and judgement.sendable is sendable


@pytest.mark.parametrize("first", [ours(1), ours(status="0x0"), ours(CHOSEN.gas_used + 1)])
def test_a_node_that_does_not_agree_is_asked_once_more(first: dict[str, Any]) -> None:
    """As anvil does about the block that it is still putting together."""
    asked: list[Seen] = []

    def script(seen: Seen) -> Behave:
        asked.append(seen)
        return says({"jsonrpc": "2.0", "id": 1, "result": block(TARGET_OK, first if len(asked) == 1 else ours())})

    judgement, seen = judge({"eth_simulateV1": script})
    assert judgement.sendable and judgement.certificate.kind is Kind.AGREES and len(asked) == 2
    _, seen = judge({"eth_simulateV1": block(TARGET_OK, first)})
    assert [one.call["method"] for one in seen].count("eth_simulateV1") == 2


def test_another_base_fee_differs_though_the_gas_agrees() -> None:
    fees = {**FEES, "baseFeePerGas": ["0x3b9aca00", hex(BASE_FEE + 1)]}
    judgement, seen = judge({"eth_feeHistory": fees, "eth_simulateV1": block(TARGET_OK, ours(), base_fee=BASE_FEE + 1)})
    assert judgement.certificate.kind is Kind.DIFFERS and str(BASE_FEE + 1) in judgement.certificate.detail
    assert seen[-1].call["params"][0]["blockStateCalls"][0]["blockOverrides"]["baseFeePerGas"] == hex(BASE_FEE + 1)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            {
                "eth_simulateV1": block(
                    TARGET_OK, ours(30_000, "0x0", error={"code": 3, "message": "reverted", "data": "0x08c379a0"})
                )
            },
            "0x08c379a0",
        ),
        ({"eth_simulateV1": block(TARGET_OK, ours(30_000, "0x0", returnData="0x4e487b71"))}, "0x4e487b71"),
        ({"eth_simulateV1": block({**TARGET_OK, "status": "0x0"}, ours())}, "target fails"),
        ({"eth_simulateV1": error(-32003, "Insufficient funds for gas * price + value")}, "nsufficient funds"),
        ({"eth_simulateV1": error(-38010, "nonce too low")}, "nonce too low"),
        ({"eth_simulateV1": error(-38014, "insufficient funds")}, "-38014"),
        ({"eth_simulateV1": error(-32000, "err: max fee per gas less than block base fee")}, "max fee"),
        ({"eth_feeHistory": {**FEES, "baseFeePerGas": ["0x3b9aca00", hex(CHOSEN.max_fee + 1)]}}, "next base fee"),
    ],
)
def test_fails_and_is_not_sent(node: dict[str, Any], words: str) -> None:
    judgement, _ = judge(node)
    assert judgement.certificate.kind is Kind.FAILS and not judgement.sendable
    assert words in judgement.certificate.detail


@pytest.mark.parametrize(
    ("node", "trouble"),
    [
        ({"eth_getBlockByHash": None}, "head_unknown"),
        ({"eth_getBlockByHash": {**BLOCK, "hash": "0x" + "00" * 32}}, "malformed"),
        ({"eth_getBlockByHash": {**BLOCK, "number": "0x1"}}, "malformed"),
        ({"eth_getBlockByHash": {**BLOCK, "timestamp": "soon"}}, "malformed"),
        ({"eth_getBlockByHash": {**BLOCK, "miner": None}}, "malformed"),
        ({"eth_getBlockByHash": "0x"}, "malformed"),
        ({"eth_feeHistory": {"baseFeePerGas": ["0x1", "0x2"]}}, "head_unknown"),
        ({"eth_feeHistory": []}, "head_unknown"),
        ({"eth_simulateV1": error(-32601, "the method does not exist")}, "unsupported"),
        ({"eth_simulateV1": error(-32001, "Resource not found")}, "head_unknown"),
        ({"eth_simulateV1": error(-32000, "header not found")}, "head_unknown"),
        ({"eth_simulateV1": error(-32603, "internal error")}, "rpc_error"),
        ({"eth_simulateV1": None}, "malformed"),
        ({"eth_simulateV1": []}, "malformed"),
        ({"eth_simulateV1": block(ours())}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(), number=DECISION.head_number)}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(), base_fee=0)}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(CHOSEN.gas_limit + 1))}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(status="yes"))}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(gasUsed=151_233))}, "malformed"),
        ({"eth_simulateV1": block(TARGET_OK, ours(gasUsed="0xzz"))}, "malformed"),
        ({"eth_simulateV1": block("odd", ours())}, "malformed"),
        ({"eth_simulateV1": Behave(b"<html>")}, "malformed"),
        ({"eth_simulateV1": Behave(b"[" * 100_000)}, "malformed"),
        ({"eth_simulateV1": Behave(b"<html>", 502)}, "http"),
        ({"eth_simulateV1": Behave(drop=True)}, "unreachable"),
    ],
)
def test_unavailable_is_sent_and_says_why(node: dict[str, Any], trouble: str) -> None:
    judgement, _ = judge(node)
    assert judgement.certificate.kind is Kind.UNAVAILABLE and judgement.sendable
    assert judgement.certificate.detail.startswith(trouble + ":")


@pytest.mark.parametrize("behaviour", [Behave(b"{}", delay_s=120.0), Behave(b"x" * 2000, drip_s=0.05)])
def test_a_node_that_takes_too_long_is_unavailable_as_well(behaviour: Behave) -> None:
    started = time.monotonic()
    judgement, _ = judge({"eth_simulateV1": behaviour}, budget_s=0.4)
    assert judgement.certificate.kind is Kind.UNAVAILABLE and judgement.sendable
    assert judgement.certificate.detail.startswith("timeout:")
    assert time.monotonic() - started < 30.0


def test_a_target_of_an_unknown_type() -> None:
    judgement, _ = judge(
        {},
        msgspec.structs.replace(
            DECISION, chosen=msgspec.structs.replace(CHOSEN, targets=(Target(hash=CHOSEN.target, raw=b"\x05\xc0"),))
        ),
    )
    assert judgement.certificate.detail.startswith("target_unreadable:")


def test_nobody_listens() -> None:
    async def run(url: str) -> tuple[Judgement, int | None]:
        node = Node(url, 60.0)
        try:
            return await Certifier(node, 60.0).judge(DECISION), await node.head_number()
        finally:
            await node.close()

    with refusing() as url:
        judgement, head = asyncio.run(run(url))
    assert judgement.certificate.detail.startswith("unreachable:") and judgement.sendable and head is None


def test_the_header_of_a_head_is_asked_for_once() -> None:
    async def run(url: str) -> None:
        node = Node(url, 60.0)
        certifier = Certifier(node, 60.0)
        for seq in range(3):
            await certifier.judge(decision(seq=seq))
        await node.close()

    answers = {"eth_getBlockByHash": BLOCK, "eth_feeHistory": FEES, "eth_simulateV1": block(TARGET_OK, ours())}
    with serving(script=lambda seen: says({"result": answers[seen.call["method"]]})) as server:
        asyncio.run(run(server.url))
    assert [seen.call["method"] for seen in server.seen].count("eth_getBlockByHash") == 1
    assert len(server.seen) == 5


def test_reading_is_pure() -> None:
    assert read_simulation(block(TARGET_OK, ours()), DECISION.target_block, CHOSEN, BASE_FEE).sendable
    with pytest.raises(NodeTrouble):
        read_simulation({}, DECISION.target_block, CHOSEN, BASE_FEE)


def test_all_target_types_can_be_asked_about() -> None:
    for raw in (user_raw(), user_raw(nonce=0), user_raw(data=b"")):
        judgement, _ = judge({}, decision(raw))
        assert judgement.certificate.kind is Kind.AGREES


# ---------------------------------------------------------------- nodes with eth_callBundle instead

SIGNED = (b"\x02target", b"\x02ours")
NO_SIMULATION = {"eth_simulateV1": error(-32601, "the method eth_simulateV1 does not exist")}


def bundle(gas: Any = CHOSEN.gas_used, state: Any = DECISION.head_number, **ours_too: Any) -> dict[str, Any]:
    results = [{"gasUsed": 21_000, "txHash": "0x01"}, {"gasUsed": gas, "txHash": "0x02", **ours_too}]
    return {"results": results, "stateBlockNumber": state, "totalGasUsed": 0}


def by_bundle(answer: Any) -> tuple[Judgement, list[Seen]]:
    return judge({**NO_SIMULATION, "eth_callBundle": answer}, signed=SIGNED)


def test_a_node_with_bundles_instead_of_simulation() -> None:
    judgement, seen = by_bundle(bundle())
    assert judgement.sendable and judgement.certificate.kind is Kind.AGREES
    assert judgement.certificate.method == "eth_callBundle"
    assert seen[-1].call["params"] == [
        {
            "txs": ["0x" + raw.hex() for raw in SIGNED], "blockNumber": hex(DECISION.target_block),
            "stateBlockNumber": hex(DECISION.head_number), "timestamp": 1_700_000_012,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "kind", "sendable"),
    [
        (bundle(hex(CHOSEN.gas_used), hex(DECISION.head_number)), Kind.AGREES, True),
        (bundle(CHOSEN.gas_used + 7), Kind.DIFFERS, True),
        (bundle(error="execution reverted", revert="0xdead"), Kind.FAILS, False),
        (bundle(state=1), Kind.UNAVAILABLE, True),
        (bundle("many"), Kind.UNAVAILABLE, True),
        ({"results": []}, Kind.UNAVAILABLE, True),
        ([], Kind.UNAVAILABLE, True),
        (error(-32601, "the method eth_callBundle does not exist"), Kind.UNAVAILABLE, True),
    ],
)
def test_what_a_node_with_bundles_says(answer: Any, kind: Kind, sendable: bool) -> None:
    judgement, _ = by_bundle(answer)
    assert (judgement.certificate.kind, judgement.sendable) == (kind, sendable)


def test_without_a_signature_there_is_no_bundle_to_ask_about() -> None:
    judgement, seen = judge({**NO_SIMULATION, "eth_callBundle": bundle()})
    assert judgement.certificate.kind is Kind.UNAVAILABLE
    assert "eth_callBundle" not in [one.call["method"] for one in seen]
