"""What transactions do before another is asked of the node once per head, and what is laid over its state does not depend on who asked first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Node
from infra.chain.sequences import Sequences, Step
from infra.chain.tracing import At

POOL = b"\xab" * 20
HERE, THERE = At(b"\x01" * 32, 5, 60), At(b"\x02" * 32, 6, 72)


def name(value: bytes) -> str:
    return "0x" + value.hex()


def word(number: int) -> str:
    return f"0x{number:064x}"


def step(number: int) -> Step:
    return Step(bytes([number]) * 32, {"from": name(bytes([number]) * 20), "to": name(POOL)})


class Traced(Node):
    """Each call writes the slot that its sender's number names and clears the one before; what is read is all slots that were laid."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", 1.0)
        self.asked: list[dict[str, Any]] = []
        self.error: dict[str, Any] | None = None

    async def _post(self, body: Any, decode: Callable[[bytes], Any], patient: bool) -> Any:
        requests = body if isinstance(body, list) else [body]
        answers = [{"jsonrpc": "2.0", "id": r["id"], **self._answer(r["method"], r["params"])} for r in requests]
        return decode(json.dumps(answers if isinstance(body, list) else answers[0]).encode())

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        if method != "debug_traceCall":
            return {"result": word(7) if method == "eth_getStorageAt" else "0x01"}
        options = params[2]
        if "diffMode" not in options["tracerConfig"]:
            laid = options.get("stateOverrides", {}).get(name(POOL), {}).get("stateDiff", {})
            return {"result": {name(POOL): {"storage": laid}}}
        number = int(params[0]["from"][2:4], 16)
        self.asked.append({"number": number, "laid": options.get("stateOverrides", {})})
        if self.error:
            return {"error": self.error}
        pre = {name(POOL): {"storage": {word(number - 1): word(1)}}}
        post = {name(POOL): {"nonce": number, "storage": {word(number): word(number)}}}
        return {"result": {"pre": pre, "post": post}}


def slots_read(sequences: Sequences, count: int, at: At = HERE) -> dict[bytes, bytes]:
    steps = [step(number) for number in range(1, count + 1)]
    return asyncio.run(sequences.prestate_behind(steps, step(99).call, at))[POOL].slots


def test_a_longer_sequence_goes_on_from_a_shorter_one() -> None:
    node, fresh = Traced(), Traced()
    sequences = Sequences(node)
    for count in (1, 3, 2, 3):
        assert slots_read(sequences, count) == slots_read(Sequences(fresh), count)
    assert [each["number"] for each in node.asked] == [1, 2, 3]
    assert node.asked == fresh.asked[1:4]
    assert node.asked[2]["laid"] == {
        name(POOL): {"nonce": "0x2", "stateDiff": {word(0): word(0), word(1): word(0), word(2): word(2)}}
    }


def test_at_another_head_all_is_asked_anew() -> None:
    node = Traced()
    sequences = Sequences(node)
    for at in (HERE, THERE, HERE):
        slots_read(sequences, 2, at)
    assert [each["number"] for each in node.asked] == [1, 2] * 3


def test_another_sequence_has_nothing_of_this_one() -> None:
    node = Traced()
    sequences = Sequences(node)
    slots_read(sequences, 2)
    asyncio.run(sequences.prestate_behind([step(3)], step(99).call, HERE))
    assert node.asked[-1] == {"number": 3, "laid": {}}


@pytest.mark.parametrize(("message", "error"), [("execution reverted", RpcError), ("unknown block", HeadMoved)])
def test_what_the_node_could_not_tell_is_not_remembered(message: str, error: type[Exception]) -> None:
    node = Traced()
    sequences = Sequences(node)
    slots_read(sequences, 1)
    node.error = {"code": -32000, "message": message}
    with pytest.raises(error):
        slots_read(sequences, 2)
    node.error = None
    assert len(slots_read(sequences, 2)) == 3
    assert [each["number"] for each in node.asked] == [1, 2, 2]
