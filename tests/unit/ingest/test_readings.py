"""Readings driven against a node whose state is a dict: shared answers, separate outcomes, errors told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Node
from infra.chain.readings import Reader
from infra.chain.slot_program import _MARK
from schemas.reads import Code, Reading, Slot, View
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode

A, B = b"\xaa" * 20, b"\xbb" * 20
BLOCK = b"\x07" * 32


class Refused(ValueError):
    """The readings' own way to end."""


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Chain:
    """Views answer their calldata's number plus one; storage holds twice the key. A call of 0xdead reverts."""

    def __init__(self, *, overrides: str = "taken") -> None:
        self.overrides = overrides
        self.failing: dict[str, list[tuple[int, str]]] = {}

    def __call__(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getStorageAt":
            assert params[2] == {"blockHash": "0x" + BLOCK.hex()}
            return hex(2 * int(params[1], 16))
        if method == "eth_getCode":
            return "0x6001"
        assert method == "eth_call"
        data = params[0]["data"]
        if self.failing.get(data):
            raise Refusal(*self.failing[data].pop(0))
        if len(params) == 3 and self.overrides == "taken":
            keys = [data[2 + at : 66 + at] for at in range(0, len(data) - 2, 64)]
            return "0x" + _MARK.rjust(32, b"\0").hex() + "".join(word(2 * int(key, 16)).hex() for key in keys)
        if len(params) == 3 and self.overrides == "unknown":
            raise Refusal(-32602, "too many arguments, want at most 2")
        if data == "0xdead" or len(params) == 3:
            raise Refusal(3, "execution reverted")
        return "0x" + word(int(data, 16) + 1).hex()


def counting(address: bytes, rounds: int) -> Reading[int]:
    """Calls with what the call before answered."""
    value = 0
    for _ in range(rounds):
        (answer,) = yield (View(address, word(value)),)
        assert answer is not None
        value = int.from_bytes(answer, "big")
    return value


def slots(address: bytes, count: int) -> Reading[int]:
    answers = yield tuple(Slot(address, word(n)) for n in range(count))
    return sum(int.from_bytes(answer or b"", "big") for answer in answers)


def refused(address: bytes) -> Reading[int]:
    (answer,) = yield (View(address, b"\xde\xad"),)
    assert answer is None
    raise Refused("no pool")


def drive(chain: Chain, readings: Sequence[Reading[Any]], **options: Any) -> tuple[list[Any], ScriptedNode]:
    async def go(url: str) -> list[Any]:
        async with Node(url, 60.0, attempts=1) as client:
            return await Reader(client, **options).drive(readings, BLOCK, Refused)

    with ScriptedNode(chain) as node:
        return asyncio.run(go(node.url)), node


def test_each_reading_gets_its_own_outcome() -> None:
    found, _ = drive(Chain(), [counting(A, 3), refused(A), counting(A, 5), refused(B), slots(A, 2)])
    assert found[0] == 3 and found[2] == 5 and found[4] == 2
    assert isinstance(found[1], Refused) and isinstance(found[3], Refused)


def test_readings_share_batches_and_answers() -> None:
    found, node = drive(Chain(), [counting(A, 4) for _ in range(50)])
    assert found == [4] * 50
    assert node.methods["eth_call"] == 4
    _, node = drive(Chain(), [counting(bytes([n]) * 20, 4) for n in range(50)])
    assert node.methods["eth_call"] == 200 and len(node.batches) == 4


@pytest.mark.parametrize(("overrides", "calls"), [("taken", 3), ("unknown", 1), ("ignored", 1)])
def test_slots_of_a_contract_come_by_one_call_where_the_node_can(overrides: str, calls: int) -> None:
    chain = Chain(overrides=overrides)
    found, node = drive(chain, [slots(A, 3000), slots(B, 5), slots(b"\xcc" * 20, 2)])
    assert found == [3000 * 2999, 20, 2]
    assert node.methods["eth_call"] == calls
    assert node.methods["eth_getStorageAt"] == (2 if overrides == "taken" else 3007)


def test_a_reading_may_want_nothing_or_all_kinds_at_once() -> None:
    def nothing() -> Reading[str]:
        assert (yield ()) == ()
        return "done"

    def everything() -> Reading[tuple[bytes | None, ...]]:
        return (yield (Code(A), Slot(A, word(4)), View(A, word(1)), Slot(A, word(4)), View(A, b"\xde\xad")))

    found, _ = drive(Chain(), [nothing(), everything()])
    assert found == ["done", (b"\x60\x01", word(8), word(2), word(8), None)]


def test_a_window_bounds_what_is_asked_at_once() -> None:
    found, node = drive(Chain(overrides="unknown"), [slots(bytes([n]) * 20, 30) for n in range(1, 21)], window=60)
    assert found == [30 * 29] * 20 and max(node.batches) <= 60


def test_a_block_that_is_gone_ends_them_all() -> None:
    for message in ("header not found", "unknown block"):
        chain = Chain()
        chain.failing["0x" + word(1).hex()] = [(-32000, message)]
        with pytest.raises(HeadMoved):
            drive(chain, [counting(A, 3), slots(A, 2)])


def test_a_passing_error_of_the_node_refuses_nobody() -> None:
    chain = Chain()
    chain.failing["0x" + word(1).hex()] = [(-32603, "internal error")]
    found, _ = drive(chain, [counting(A, 3)])
    assert found == [3]


def test_state_that_is_gone_is_no_answer() -> None:
    chain = Chain()
    missing = (-32000, "missing trie node 0123 (path ) state 0xabc is not available")
    chain.failing["0x" + word(1).hex()] = [missing, missing]
    with pytest.raises(RpcError, match="missing trie node"):
        drive(chain, [counting(A, 3)])


def test_a_reading_that_breaks_is_not_hidden() -> None:
    def broken() -> Reading[int]:
        yield (View(A, word(0)),)
        raise KeyError("a fault of ours")

    closed = []

    def watched() -> Reading[int]:
        try:
            yield (View(A, word(0)),)
            yield (View(A, word(1)),)
        finally:
            closed.append(True)
        return 1

    with pytest.raises(KeyError, match="a fault of ours"):
        drive(Chain(), [broken(), watched()])
    assert closed
