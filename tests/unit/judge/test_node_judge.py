"""A node of every temper as a judge: what it is asked, what is believed, and what is said where it gives no judgement."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from infra.chain.node import Node
from infra.judge.node_judge import RECHECK_HEADS, NodeJudge
from infra.judge.question import Answer, Cannot, Judged, NotJudged, OurCall, Question
from infra.judge.simulate_v1 import NextBlock
from schemas.pending import AccessListEntry
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode
from tests.unit.relays.misbehaving_server import refusing
from tests.unit.relays.samples import user_raw

HEAD, OWNER, EXECUTOR, TOKEN = b"\x05" * 32, b"\x0a" * 20, b"\x0b" * 20, b"\xc0" * 20
BASE_FEE = 10**9 + 7
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SIMULATE, TRACE = "eth_simulateV1", "debug_traceCall"


def name(value: bytes) -> str:
    return "0x" + value.hex()


def header(head: bytes = HEAD) -> dict[str, Any]:
    return {
        "number": "0x64", "hash": name(head), "parentHash": name(bytes(32)), "timestamp": "0x10", "gasLimit": "0x1c9c380",
        "gasUsed": "0x0", "miner": name(EXECUTOR), "mixHash": name(bytes(32)), "baseFeePerGas": "0x3b9aca00",
    }  # fmt: skip


LOG = {"address": name(TOKEN), "topics": [TRANSFER, name(bytes(32)), name(bytes(12) + OWNER)], "data": "0x05"}
OURS = {"status": "0x1", "gasUsed": "0x30d40", "returnData": "0x", "logs": [LOG]}
TARGET = {"status": "0x1", "gasUsed": "0x5208", "returnData": "0x", "logs": []}
FRAME = {"from": name(OWNER), "gasUsed": "0x30d40", "calls": [{"from": "0x", "logs": [LOG]}]}


def simulated(request: Any, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    given = request["blockStateCalls"][0]["blockOverrides"]
    return [{"number": given["number"], "baseFeePerGas": given["baseFeePerGas"], "calls": list(calls)}]


def sound(method: str, params: list[Any]) -> Any:
    """A node that answers as it should."""
    if method == "eth_getBlockByHash":
        return header(bytes.fromhex(params[0][2:]))
    if method == "eth_getBlockByNumber":
        return None
    if method == "eth_feeHistory":
        return {"baseFeePerGas": ["0x3b9aca00", hex(BASE_FEE)]}
    if method == SIMULATE:
        calls = params[0]["blockStateCalls"][0]["calls"]
        return simulated(params[0], *[TARGET] * (len(calls) - 1), OURS)
    assert method == TRACE
    if params[2]["tracer"] == "callTracer":
        return FRAME
    slots = {name(b"\x01" * 32): name(b"\x02" * 32)}
    return {
        "pre": {name(TOKEN): {"balance": "0x0", "storage": {name(b"\x09" * 32): name(b"\x01" * 32)}}},
        "post": {name(TOKEN): {"nonce": 3, "storage": slots}},
    }


def question(*targets: bytes, head: bytes = HEAD, data: bytes = b"\x01\x02") -> Question:
    block = NextBlock(101, 28, BASE_FEE - 1, "0x1c9c380", name(EXECUTOR), name(bytes(32)))
    return Question(head, block, targets, OurCall(OWNER, EXECUTOR, data, 1_000_000))


def ask(
    script: Callable[[str, list[Any]], Any],
    *rounds: Sequence[Question],
    timeout_s: float = 60.0,
    batch: int = 4,
    most: int = 10_000,
) -> tuple[list[list[Answer]], ScriptedNode]:
    async def run(url: str) -> list[list[Answer]]:
        async with Node(url, timeout_s, attempts=1) as node:
            judge = NodeJudge(node, batch)
            return [await judge.ask(questions) for questions in rounds]

    with ScriptedNode(script, most=most) as node:
        return asyncio.run(run(node.url)), node


def one(script: Callable[[str, list[Any]], Any], asked: Question | None = None, **options: Any) -> Answer:
    ((answer,),), _ = ask(script, [asked or question()], **options)
    return answer


def changed(method: str, answer: Any) -> Callable[[str, list[Any]], Any]:
    """A sound node but for one method: its answer, an error to raise, or a function of the parameters."""

    def script(called: str, params: list[Any]) -> Any:
        if called != method:
            return sound(called, params)
        if isinstance(answer, Exception):
            raise answer
        return answer(params) if callable(answer) else answer

    return script


def without(*methods: str) -> Callable[[str, list[Any]], Any]:
    def script(method: str, params: list[Any]) -> Any:
        if method in methods:
            raise Refusal(-32601, f"the method {method} does not exist/is not available")
        return sound(method, params)

    return script


# ---------------------------------------------------------------- a node as it should be


def test_what_is_asked_and_what_is_told() -> None:
    seen: list[tuple[str, list[Any]]] = []

    def script(method: str, params: list[Any]) -> Any:
        seen.append((method, params))
        return sound(method, params)

    answer = one(script, question(user_raw()))
    assert isinstance(answer, Judged)
    assert (answer.method, answer.succeeded, answer.rejected, answer.gas_used) == (SIMULATE, True, False, 200_000)
    assert answer.base_fee == BASE_FEE and answer.logs[0].address == TOKEN and answer.logs[0].data == b"\x05"
    request, at = seen[-1][1]
    (block,) = request["blockStateCalls"]
    # The node's own base fee, not ours.
    assert block["blockOverrides"] == {
        "number": "0x65", "time": "0x1c", "gasLimit": "0x1c9c380", "feeRecipient": name(EXECUTOR),
        "prevRandao": name(bytes(32)), "baseFeePerGas": hex(BASE_FEE),
    }  # fmt: skip
    target, ours = block["calls"]
    assert target["nonce"] == "0x7"
    assert ours == {
        "from": name(OWNER), "to": name(EXECUTOR), "gas": hex(1_000_000), "value": "0x0", "input": "0x0102",
        "maxFeePerGas": hex(BASE_FEE), "maxPriorityFeePerGas": "0x0",
    }  # fmt: skip
    assert at == {"blockHash": name(HEAD)} and request["validation"] is True


def test_the_access_list_is_asked_with() -> None:
    listed = question()
    entry = AccessListEntry(TOKEN, (bytes(32),))
    listed = replace(listed, ours=replace(listed.ours, access_list=(entry,)))
    seen: list[Any] = []

    def script(method: str, params: list[Any]) -> Any:
        seen.append((method, params))
        return sound(method, params)

    ask(script, [listed])
    call = seen[-1][1][0]["blockStateCalls"][0]["calls"][-1]
    assert call["accessList"] == [{"address": name(TOKEN), "storageKeys": [name(bytes(32))]}]


def test_many_in_batches_and_a_head_once() -> None:
    asked = [question(data=bytes([n])) for n in range(10)]
    ((answers),), node = ask(sound, asked, batch=4)
    assert len(answers) == 10 and all(isinstance(a, Judged) and a.succeeded for a in answers)
    assert node.batches == [4, 4, 2] and node.methods["eth_getBlockByHash"] == 1


def test_answers_keep_their_places() -> None:
    def script(params: list[Any]) -> Any:
        data = params[0]["blockStateCalls"][0]["calls"][-1]["input"]
        if data == "0x03":
            raise Refusal(-32000, "boom")
        return simulated(params[0], OURS | {"gasUsed": hex(1000 + int(data, 16))})

    (answers,), _ = ask(changed(SIMULATE, script), [question(data=bytes([n])) for n in range(6)])
    told = [a.gas_used if isinstance(a, Judged) else a.cause for a in answers]
    assert told == [1000, 1001, 1002, Cannot.RPC_ERROR, 1004, 1005]


def test_a_node_without_fee_history_judges_at_our_base_fee() -> None:
    answer = one(without("eth_feeHistory"))
    assert isinstance(answer, Judged) and answer.succeeded and answer.base_fee is None


def test_a_fee_history_of_another_block_says_nothing() -> None:
    answer = one(changed("eth_feeHistory", {"baseFeePerGas": ["0x1", "0x2"]}))
    assert isinstance(answer, Judged) and answer.base_fee is None


def test_the_block_that_came_tells_its_fee() -> None:
    child = header(b"\x06" * 32) | {"number": "0x65", "parentHash": name(HEAD), "baseFeePerGas": "0x77"}
    answer = one(changed("eth_getBlockByNumber", child))
    assert isinstance(answer, Judged) and answer.base_fee == 0x77
    answer = one(changed("eth_getBlockByNumber", child | {"parentHash": name(bytes(32))}))
    assert isinstance(answer, Judged) and answer.base_fee is None


# ---------------------------------------------------------------- failures of the call itself


def test_ours_fails() -> None:
    failed = {"status": "0x0", "gasUsed": "0x9", "returnData": "0xdead", "error": {"code": 3, "message": "reverted"}}
    answer = one(changed(SIMULATE, lambda params: simulated(params[0], failed)))
    assert isinstance(answer, Judged) and not answer.succeeded and not answer.rejected
    assert (answer.gas_used, answer.detail) == (9, "reverted 0xdead")


def test_the_target_fails() -> None:
    failed = TARGET | {"status": "0x0"}
    answer = one(changed(SIMULATE, lambda params: simulated(params[0], failed, OURS)), question(user_raw()))
    assert isinstance(answer, Judged) and not answer.succeeded and answer.detail.startswith("the target fails")


def test_several_targets_are_judged_in_order() -> None:
    raws = [user_raw(nonce=nonce) for nonce in (7, 8)]
    answer = one(sound, question(*raws))
    assert isinstance(answer, Judged) and answer.succeeded and answer.method == SIMULATE
    failed = TARGET | {"status": "0x0"}
    answer = one(changed(SIMULATE, lambda params: simulated(params[0], TARGET, failed, OURS)), question(*raws))
    assert isinstance(answer, Judged) and not answer.succeeded and answer.detail.startswith("the target fails")


def test_several_targets_are_traced_each_on_what_those_before_it_left() -> None:
    seen: list[tuple[str, str, Any]] = []

    def script(method: str, params: list[Any]) -> Any:
        if method == TRACE:
            call, _, options = params
            seen.append((options["tracer"], call.get("nonce", "ours"), options.get("stateOverrides")))
        return without(SIMULATE)(method, params)

    (answers,), _ = ask(
        script, [question(*(user_raw(nonce=nonce) for nonce in (7, 8))), question(), question(user_raw(nonce=9))]
    )
    assert all(isinstance(answer, Judged) and answer.succeeded and answer.method == TRACE for answer in answers)
    laid = {
        name(TOKEN): {
            "nonce": "0x3",
            "stateDiff": {name(b"\x09" * 32): name(bytes(32)), name(b"\x01" * 32): name(b"\x02" * 32)},
        }
    }
    kinds = ("callTracer", "prestateTracer")
    assert seen == [
        *((kind, "0x7", None) for kind in kinds), *((kind, "0x9", None) for kind in kinds),
        *((kind, "0x8", laid) for kind in kinds),
        ("callTracer", "ours", laid), ("callTracer", "ours", None), ("callTracer", "ours", laid),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error", [(-38014, "insufficient funds for gas"), (-32003, "Insufficient funds"), (-32000, "nonce too low")]
)
def test_what_no_block_could_hold_is_rejected(error: tuple[int, str]) -> None:
    answer = one(changed(SIMULATE, Refusal(*error)))
    assert isinstance(answer, Judged) and answer.rejected and not answer.succeeded


# ---------------------------------------------------------------- no judgement


@pytest.mark.parametrize(
    ("method", "answer", "cause"),
    [
        ("eth_getBlockByHash", None, Cannot.HEAD_UNKNOWN),
        ("eth_getBlockByHash", header(b"\x06" * 32), Cannot.MALFORMED),
        (SIMULATE, Refusal(-32000, "missing trie node 0xab (path )"), Cannot.STATE_PRUNED),
        (SIMULATE, Refusal(-32000, "historical state 0xab is not available"), Cannot.STATE_PRUNED),
        (SIMULATE, Refusal(-32000, "header not found"), Cannot.HEAD_UNKNOWN),
        (SIMULATE, Refusal(-32000, "something else"), Cannot.RPC_ERROR),
        (SIMULATE, None, Cannot.MALFORMED),
        (SIMULATE, [], Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS, OURS), Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS | {"status": "0x7"}), Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS | {"gasUsed": hex(1_000_001)}), Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS | {"gasUsed": 5}), Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS | {"logs": [{"address": "0x1"}]}), Cannot.MALFORMED),
        (SIMULATE, lambda p: simulated(p[0], OURS | {"logs": [7]}), Cannot.MALFORMED),
        (SIMULATE, lambda p: [{**simulated(p[0], OURS)[0], "number": "0x1"}], Cannot.MALFORMED),
        (SIMULATE, lambda p: [{**simulated(p[0], OURS)[0], "baseFeePerGas": "0x1"}], Cannot.MALFORMED),
    ],
)  # fmt: skip
def test_no_judgement(method: str, answer: Any, cause: Cannot) -> None:
    found = one(changed(method, answer))
    assert isinstance(found, NotJudged) and found.cause is cause and found.detail


def test_a_target_that_cannot_be_read() -> None:
    found = one(sound, question(b"\x05\x01"))
    assert isinstance(found, NotJudged) and found.cause is Cannot.TARGET_UNREADABLE


def test_a_slow_node() -> None:
    asked_enough = threading.Event()

    def slow(params: list[Any]) -> Any:
        asked_enough.wait(60.0)
        return simulated(params[0], OURS)

    found = one(changed(SIMULATE, slow), timeout_s=0.2)
    asked_enough.set()
    assert isinstance(found, NotJudged) and found.cause is Cannot.TIMEOUT


def test_a_node_that_is_not_there() -> None:
    async def run(url: str) -> list[Answer]:
        async with Node(url, 60.0, attempts=1) as node:
            return await NodeJudge(node, 1).ask([question(), question()])

    with refusing() as url:
        answers = asyncio.run(run(url))
    assert [a.cause for a in answers if isinstance(a, NotJudged)] == [Cannot.UNREACHABLE] * 2


def test_a_node_that_takes_no_batches_is_asked_one_by_one() -> None:
    (answers,), _ = ask(sound, [question(data=bytes([n])) for n in range(3)], most=1)
    assert all(isinstance(a, Judged) and a.succeeded for a in answers)


# ---------------------------------------------------------------- by tracing


def test_a_node_without_simulation_traces() -> None:
    answer = one(without(SIMULATE))
    assert isinstance(answer, Judged) and answer.method == TRACE and answer.succeeded
    assert (answer.gas_used, answer.logs[0].address, answer.base_fee) == (200_000, TOKEN, BASE_FEE)


def test_ours_is_traced_on_what_the_target_leaves() -> None:
    options: list[Any] = []

    def script(method: str, params: list[Any]) -> Any:
        if method == TRACE:
            options.append(params[2])
        return without(SIMULATE)(method, params)

    answer = one(script, question(user_raw()))
    assert isinstance(answer, Judged) and answer.succeeded
    assert [o["tracer"] for o in options] == ["callTracer", "prestateTracer", "callTracer"]
    # A slot that the target cleared is in neither form of the difference's second half: it is laid over as zero.
    assert options[2]["stateOverrides"] == {
        name(TOKEN): {
            "nonce": "0x3",
            "stateDiff": {name(b"\x09" * 32): name(bytes(32)), name(b"\x01" * 32): name(b"\x02" * 32)},
        }
    }
    assert all(o["blockOverrides"]["number"] == "0x65" for o in options)


@pytest.mark.parametrize(
    ("frame", "cause"),
    [({"failed": False, "structLogs": []}, Cannot.MALFORMED), (FRAME | {"gasUsed": 7}, Cannot.MALFORMED), (None, Cannot.MALFORMED)],
)  # fmt: skip
def test_a_trace_that_is_none(frame: Any, cause: Cannot) -> None:
    def script(method: str, params: list[Any]) -> Any:
        return frame if method == TRACE else without(SIMULATE)(method, params)

    found = one(script)
    assert isinstance(found, NotJudged) and found.cause is cause


def test_undone_frames_leave_no_logs_and_a_failed_call_is_one() -> None:
    undone = {"from": "0x", "error": "execution reverted", "logs": [LOG]}

    def script(method: str, params: list[Any]) -> Any:
        return FRAME | {"calls": [undone]} if method == TRACE else without(SIMULATE)(method, params)

    answer = one(script)
    assert isinstance(answer, Judged) and answer.succeeded and answer.logs == ()

    def failing(method: str, params: list[Any]) -> Any:
        return FRAME | {"error": "out of gas"} if method == TRACE else without(SIMULATE)(method, params)

    answer = one(failing)
    assert isinstance(answer, Judged) and not answer.succeeded and answer.detail == "out of gas 0x"


def test_a_target_that_deletes_an_account_cannot_be_laid_over() -> None:
    def script(method: str, params: list[Any]) -> Any:
        if method == TRACE and params[2]["tracer"] == "prestateTracer":
            return {"pre": {name(TOKEN): {}}, "post": {}}
        return without(SIMULATE)(method, params)

    found = one(script, question(user_raw()))
    assert isinstance(found, NotJudged) and found.cause is Cannot.MALFORMED and "deletes" in found.detail


def test_a_node_with_neither() -> None:
    found = one(without(SIMULATE, TRACE))
    assert isinstance(found, NotJudged) and found.cause is Cannot.METHOD_MISSING


def test_a_method_that_comes_back_is_found_again() -> None:
    missing = [True]

    def script(method: str, params: list[Any]) -> Any:
        if missing[0] and method == SIMULATE:
            raise Refusal(-32601, "the method eth_simulateV1 does not exist")
        return sound(method, params)

    async def run(url: str) -> list[str]:
        async with Node(url, 60.0, attempts=1) as node:
            judge = NodeJudge(node, 4)
            methods = []
            for n in range(RECHECK_HEADS + 1):
                (answer,) = await judge.ask([question(head=n.to_bytes(32, "big"))])
                assert isinstance(answer, Judged)
                methods.append(answer.method)
                missing[0] = False
            return methods

    with ScriptedNode(script) as node:
        methods = asyncio.run(run(node.url))
    assert methods == [TRACE] * RECHECK_HEADS + [SIMULATE]
    assert node.methods[SIMULATE] == 2
