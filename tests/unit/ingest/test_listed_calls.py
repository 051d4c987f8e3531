"""Access lists as geth tells them, and what is made of them: who has no ether is lent some, failing calls have lists, a block's state is read once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from infra.chain.errors import NodeLied, RpcError
from infra.chain.listed import METHOD, Lists
from infra.chain.node import Node
from infra.chain.tracing import At
from infra.ingest.call_reads import CallReads
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode

SENDER, TOKEN, PAIR, MINER = (bytes([n]) * 20 for n in (1, 2, 3, 4))
HERE, THERE = At(b"\x0a" * 32, 8, 96, MINER), At(b"\x0b" * 32, 9, 108, MINER)
FUNDS = "failed to apply transaction: err: insufficient funds for gas * price + value: address 0x01 have 0 want 1"
NAMED = [
    {"address": "0x" + PAIR.hex(), "storageKeys": [f"0x{8:064x}"]},
    {"address": "0x" + TOKEN.hex(), "storageKeys": [f"0x{5:064x}"]},
]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def call(**more: Any) -> dict[str, Any]:
    return {"from": "0x" + SENDER.hex(), "to": "0x" + TOKEN.hex(), "input": "0x", **more}


class Geth:
    """Lists what it is told to, takes the block's price for calls without one, and keeps the questions."""

    def __init__(self, *, overrides: bool = True, answer: Any = None) -> None:
        self.asked: list[list[Any]] = []
        self._overrides = overrides
        self.methods: Counter[str] = Counter()
        self._answer = answer or {"accessList": NAMED, "gasUsed": "0x1"}

    def __call__(self, method: str, params: list[Any]) -> Any:
        if method == METHOD:
            self.asked.append(params)
            if len(params) > 2 and not self._overrides:
                raise Refusal(-32602, "too many arguments, want at most 2")
            if "gasPrice" not in params[0] and len(params) == 2:
                raise Refusal(-32000, FUNDS)
            # So much that its own limit can be paid for, and no more.
            if int(params[0].get("gas", "0x0"), 16) > 100_000:
                raise Refusal(-32000, FUNDS)
            return self._answer
        if method.startswith("debug_"):
            raise Refusal(-32601, f"the method {method} does not exist/is not available")
        return {"eth_getTransactionCount": "0x7", "eth_getBalance": "0x9", "eth_getCode": "0x6001"}.get(
            method, f"0x{11:064x}"
        )


def lists_of(geth: Geth, work: Any) -> Any:
    async def run(url: str) -> Any:
        async with Node(url, 60.0) as node:
            return await work(node)

    with ScriptedNode(geth) as served:
        out = asyncio.run(run(served.url))
        geth.methods = served.methods
        return out


def read_of(geth: Geth, tx: dict[str, Any], own: frozenset[bytes] = frozenset()) -> Any:
    async def work(node: Node) -> Any:
        (read,) = await Lists(node, lambda a: own if a == PAIR else frozenset()).reads([tx], HERE)
        return read

    return lists_of(geth, work)


def test_all_that_is_named_and_who_is_in_no_list_is_read_whole() -> None:
    found = read_of(Geth(), call(gasPrice="0x1"), frozenset((word(9),))).changes()
    assert found.keys() == {SENDER, TOKEN, PAIR, MINER}
    assert {(c.nonce, c.balance, c.code) for c in found.values()} == {(7, 9, b"\x60\x01")}
    assert {a: set(c.slots) for a, c in found.items()} == {
        SENDER: set(),
        MINER: set(),
        TOKEN: {word(5)},
        PAIR: {word(8), word(9)},
    }
    assert {value for c in found.values() for value in c.slots.values()} == {word(11)}


def test_the_list_of_a_call_that_fails_is_one() -> None:
    geth = Geth(answer={"accessList": NAMED, "gasUsed": "0x1", "error": "execution reverted"})
    assert PAIR in read_of(geth, call(gasPrice="0x1")).changes()


def test_a_contract_without_ether_is_lent_some_where_the_node_takes_that() -> None:
    geth = Geth()
    assert PAIR in read_of(geth, call()).changes()
    first, second = geth.asked
    assert first == [call(), {"blockHash": "0x" + "0a" * 32}]
    assert second[:2] == first and int(second[2]["0x" + SENDER.hex()]["balance"], 16) > 10**30
    told = read_of(Geth(overrides=False), call())
    assert isinstance(told, RpcError) and "too many arguments" in str(told)


def test_a_transaction_is_given_room_for_the_list_and_pays_for_its_own_limit_alone() -> None:
    geth = Geth()
    assert PAIR in read_of(geth, call(gasPrice="0x1", gas=hex(60_000))).changes()
    assert PAIR in read_of(geth, call(gasPrice="0x1", gas=hex(40_000))).changes()
    assert [(int(tx["gas"], 16), len(more)) for tx, *more in geth.asked] == [(110_000, 1), (60_000, 1), (90_000, 1)]


def test_of_a_block_everything_is_read_once() -> None:
    geth = Geth()

    async def work(node: Node) -> list[int]:
        lists = Lists(node, lambda _: frozenset())
        counts = []
        for at in (HERE, HERE, THERE):
            before = node.requests
            await lists.reads([call(gasPrice="0x1"), call(gasPrice="0x1")], at)
            counts.append(node.requests - before)
        return counts

    # Two lists; three requests for each of four accounts, and two slots.
    assert lists_of(geth, work) == [16, 2, 16]


def test_what_is_no_list_is_a_lie() -> None:
    for answer in ({"gasUsed": "0x1"}, {"accessList": [{"address": "0x12", "storageKeys": []}]}):
        with pytest.raises(NodeLied):
            read_of(Geth(answer=answer), call(gasPrice="0x1"))


def test_a_contract_that_speaks_of_methods_does_not_take_them_from_the_node() -> None:
    class Speaking(Geth):
        def __call__(self, method: str, params: list[Any]) -> Any:
            if method == METHOD and params[0]["input"] != "0x":
                raise Refusal(3, "execution reverted: method not supported")
            return super().__call__(method, params)

    async def work(node: Node) -> list[bool]:
        calls = CallReads(node, lambda _: frozenset())
        told = [await calls.reads([call(gasPrice="0x1", input=data)], HERE) for data in ("0x01", "0x", "0x01")]
        return [not isinstance(read, RpcError) for (read,) in told]

    geth = Speaking()
    assert lists_of(geth, work) == [False, True, False]
    assert geth.methods["debug_traceCall"] == 1
