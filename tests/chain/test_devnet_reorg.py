"""What a reorg on the devnet looks like from outside: the ingestor is written against these facts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from infra.devnet.anvil import Anvil
from infra.devnet.builder import Builder
from infra.devnet.market import ETHER
from infra.devnet.node import RpcError, quantity, to_hex
from infra.devnet.reorg import Content, reorg, rollback
from infra.devnet.signer import Signer

pytestmark = pytest.mark.chain

# LOG0 of nothing, then stop.
LOGGER = b"\x77" * 20
LOGGER_CODE = "0x60006000a000"


def chain_of(blocks: list[list[str]]) -> list[str]:
    return [name for block in blocks for name in block]


class Chain:
    """A chain with one logging transaction of each of two senders per block."""

    def __init__(self, anvil: Anvil) -> None:
        self.node, self.builder = anvil.node, Builder(anvil.node)
        self.senders = [Signer.of_seed("reorg", index) for index in range(2)]
        for sender in self.senders:
            self.node.call("anvil_setBalance", to_hex(sender.address), hex(ETHER))
        self.node.call("anvil_setCode", to_hex(LOGGER), LOGGER_CODE)

    def block(self) -> str:
        for sender in self.senders:
            nonce = quantity(self.node.call("eth_getTransactionCount", to_hex(sender.address), "latest"))
            raw = sender.sign(
                chain_id=31337, nonce=nonce, to=LOGGER, gas=50_000, max_fee=5 * 10**9, max_priority_fee=10**9
            )
            self.node.call("eth_sendRawTransaction", to_hex(raw))
        return to_hex(self.builder.build_block().hash)


async def heard(
    anvil: Anvil, act: Any, least: tuple[int, int] = (0, 0)
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(heads, logs) a subscriber gets while `act` runs; so many of each are waited for, and what else comes right behind them is there too."""
    heads: list[dict[str, Any]] = []
    logs: list[dict[str, Any]] = []
    async with websockets.connect(anvil.ws_url, max_size=None) as socket:
        into = {}
        for subscription, target in (("newHeads", heads), ("logs", logs)):
            params = [subscription] if target is heads else [subscription, {}]
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": params}))
            into[json.loads(await socket.recv())["result"]] = target
        await asyncio.to_thread(act)
        try:
            while True:
                due = len(heads) >= least[0] and len(logs) >= least[1]
                message = json.loads(await asyncio.wait_for(socket.recv(), 0.4 if due else 60.0))["params"]
                into[message["subscription"]].append(message["result"])
        except TimeoutError:
            return heads, logs


def test_a_reorg_tells_only_of_the_new_blocks_and_forgets_the_old(anvil: Anvil) -> None:
    chain = Chain(anvil)
    hashes = [chain.block() for _ in range(5)]
    orphans = anvil.node.call("eth_getBlockByHash", hashes[4], False)["transactions"]
    heads, logs = asyncio.run(heard(anvil, lambda: reorg(anvil.node, 3), (3, 0)))

    assert [quantity(head["number"]) for head in heads] == [3, 4, 5]
    assert heads[0]["parentHash"] == hashes[1]
    assert not set(hashes) & {head["hash"] for head in heads}
    assert len({head["timestamp"] for head in heads}) == 1
    assert logs == []
    node = anvil.node
    assert node.call("eth_getBlockByHash", hashes[4], False) is None
    assert node.call("eth_getBlockReceipts", hashes[4]) is None
    assert node.call("eth_getTransactionReceipt", orphans[0]) is None
    for method, params in (
        ("eth_getLogs", [{"blockHash": hashes[4]}]),
        ("eth_getStorageAt", [to_hex(LOGGER), "0x0", {"blockHash": hashes[4]}]),
        ("debug_traceBlockByHash", [hashes[4], {"tracer": "prestateTracer"}]),
    ):
        with pytest.raises(RpcError):
            node.call(method, *params)


def test_orphaned_transactions_are_pending_again_and_mined_next(anvil: Anvil) -> None:
    chain = Chain(anvil)
    for _ in range(3):
        chain.block()
    done = reorg(anvil.node, 2)
    assert done.returned == 4 and done.fork_number == 1
    assert len(chain.builder.build_block().transactions) == 4


def test_a_shuffled_reorg_holds_the_same_transactions_in_another_order(anvil: Anvil) -> None:
    chain = Chain(anvil)
    hashes = [chain.block() for _ in range(4)]
    old = [anvil.node.call("eth_getBlockByHash", name, False)["transactions"] for name in hashes[1:]]
    heads, logs = asyncio.run(heard(anvil, lambda: reorg(anvil.node, 3, Content.SHUFFLED, seed=2), (3, 6)))
    new = [anvil.node.call("eth_getBlockByHash", head["hash"], False)["transactions"] for head in heads]
    assert new != old and sorted(chain_of(new)) == sorted(chain_of(old))
    assert len(logs) == 6 and not any(log["removed"] for log in logs)


@pytest.mark.parametrize("depth", [1, 5])
def test_the_builder_goes_on_after_a_reorg(anvil: Anvil, depth: int) -> None:
    chain = Chain(anvil)
    for _ in range(6):
        chain.block()
    done = reorg(anvil.node, depth)
    assert len(done.orphaned) == len(done.adopted) == depth
    chain.builder.build_block()
    block = chain.builder.head()
    assert quantity(block["number"]) == 7 and block["parentHash"] == to_hex(done.adopted[-1])


def test_a_rollback_is_silent(anvil: Anvil) -> None:
    chain = Chain(anvil)
    hashes = [chain.block() for _ in range(3)]
    heads, logs = asyncio.run(heard(anvil, lambda: rollback(anvil.node, 2)))
    assert heads == [] and logs == []
    assert chain.builder.head()["hash"] == hashes[0]
