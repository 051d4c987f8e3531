"""Batches shrink to what a node takes and grow again; an error of one request is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from infra.chain.batch_size import BatchSize
from infra.chain.errors import NodeLied, NodeTimeout, NodeUnavailable, RpcError
from infra.chain.node import Node, call_of
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode


def ask(url: str, count: int, **options: Any) -> list[Any]:
    async def go() -> list[Any]:
        async with Node(url, options.pop("timeout_s", 60.0), **options) as node:
            return await node.batch([call_of(str, "echo", hex(i)) for i in range(count)])

    return asyncio.run(go())


def echo(method: str, params: list[Any]) -> str:
    return params[0]


@pytest.mark.parametrize("too_many", ["object", "413", "list"])
def test_a_node_with_a_limit_gets_batches_within_it(too_many: str) -> None:
    with ScriptedNode(echo, most=37, too_many=too_many) as node:
        assert ask(node.url, 500) == [hex(i) for i in range(500)]
        # Those that were under way when the first was refused are refused as well, in whatever order they arrive.
        assert sum(size > 37 for size in node.batches) < 12


def test_a_node_that_is_too_slow_for_many_is_asked_for_less() -> None:
    with ScriptedNode(echo, most=60, too_many="slow") as node:
        # Where the machine stood still for longer than that, even one request was too slow; twenty attempts outlast it.
        assert ask(node.url, 120, timeout_s=0.5, attempts=20) == [hex(i) for i in range(120)]


def test_what_is_not_asked_patiently_is_asked_for_less_and_then_not_again() -> None:
    posts: list[int] = []

    def hang(request: httpx.Request) -> httpx.Response:
        posts.append(request.content.count(b"jsonrpc"))
        raise httpx.ReadTimeout("")

    async def go(patient: bool) -> None:
        async with Node("http://node", 5.0, attempts=3) as node:
            node._http = httpx.AsyncClient(transport=httpx.MockTransport(hang))
            await node.batch([call_of(str, "echo", hex(i)) for i in range(4)], patient=patient)

    for patient, asked in ((False, [4, 2, 1]), (True, [4, 2, 1, 1, 1])):
        posts.clear()
        with pytest.raises(NodeTimeout):
            asyncio.run(go(patient))
        assert posts == asked


def test_a_node_without_batches_is_asked_one_by_one() -> None:
    with ScriptedNode(echo, most=0) as node:
        assert ask(node.url, 9) == [hex(i) for i in range(9)]
        assert node.methods["echo"] == 9


def test_batches_grow_where_they_are_taken() -> None:
    with ScriptedNode(echo) as node:
        assert len(ask(node.url, 5000)) == 5000
        assert node.batches[0] == 100 and max(node.batches) > 200


def test_an_error_of_one_request_stands_in_its_place() -> None:
    def script(method: str, params: list[Any]) -> str:
        if params[0] == "0x3":
            raise Refusal(3, "execution reverted")
        return params[0]

    with ScriptedNode(script) as node:
        answers = ask(node.url, 5)
    assert isinstance(answers[3], RpcError) and answers[3].execution_failed
    assert [a for a in answers if isinstance(a, str)] == ["0x0", "0x1", "0x2", "0x4"]


def test_a_rate_limit_within_a_batch_is_waited_for() -> None:
    seen: list[str] = []

    def script(method: str, params: list[Any]) -> str:
        seen.append(params[0])
        if seen.count("0x2") == 1 and params[0] == "0x2":
            raise Refusal(-32005, "too many requests per second")
        return params[0]

    with ScriptedNode(script) as node:
        assert ask(node.url, 4) == ["0x0", "0x1", "0x2", "0x3"]
        with pytest.raises(NodeUnavailable):
            node.script = lambda method, params: (_ for _ in ()).throw(Refusal(429, "slow down"))
            ask(node.url, 4, attempts=2)


def test_answers_too_large_for_one_response_are_asked_for_in_parts() -> None:
    with ScriptedNode(echo) as node:

        def script(method: str, params: list[Any]) -> str:
            if node.batches and node.batches[-1] > 10:
                raise Refusal(-32003, "response too large")
            return params[0]

        node.script = script
        assert ask(node.url, 40) == [hex(i) for i in range(40)]


def test_missing_answers_are_a_lie() -> None:
    with ScriptedNode(echo) as node:
        node._one = lambda request: {"jsonrpc": "2.0", "id": 0, "result": "0x0"}  # type: ignore[method-assign]
        with pytest.raises(NodeLied, match="answer_count"):
            ask(node.url, 3)


def test_batch_size_steps() -> None:
    size = BatchSize(100, 400)
    size.refused(100)
    assert size.now == 50
    # Others were under way with the old size; they say nothing new.
    size.refused(100)
    assert size.now == 50
    for _ in range(8):
        size.taken(50)
    assert size.now == 100
    size.refused(100)
    for _ in range(15):
        size.taken(50)
    assert size.now == 50
    size.refused(1)
    assert size.now == 1


@pytest.mark.parametrize(
    ("response", "kind", "outcome"),
    [
        ({"result": ["0x1", "0x2"]}, list[str], ["0x1", "0x2"]),
        ({"result": None}, str | None, None),
        ({"result": None, "error": {"code": 3, "message": "execution reverted"}}, str, RpcError),
        ({"error": {"code": -32601, "message": "no such method"}}, str | None, RpcError),
        ({"result": [1]}, list[str], NodeLied),
        ({"result": None}, str, NodeLied),
        ({}, str, NodeLied),
    ],
)
def test_a_single_answer_is_of_its_type_or_says_why_not(response: dict[str, Any], kind: Any, outcome: Any) -> None:
    async def call() -> Any:
        async with Node("http://node", 5.0) as node:
            node._http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=response)))
            return await node.call(kind, "m")

    if not isinstance(outcome, type):
        assert asyncio.run(call()) == outcome
        return
    with pytest.raises(outcome):
        asyncio.run(call())
