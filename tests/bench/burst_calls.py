"""The job of the bench `burst` as a chain of node calls: a bot that asks its node what blocks and transactions do, instead of knowing it.

What it would find by searching is given to it, and so is signing: only the node is on the clock. It asks for the block's logs, the state of each pool
that they are of, what each pending transaction does (`eth_simulateV1`, which tells logs), and for each route that was found what target and route do
together. Node and asker are on the same machine: no network is in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from infra.chain.transactions import SignedTransaction
from infra.devnet.contracts import call_data
from infra.devnet.node import Node, data, quantity, to_hex
from infra.judge.simulate_v1 import NextBlock, request
from schemas.opportunities import OpportunityRecord, VerdictKind
from tests.bench import rpc

#: Requests of one body where a bot batches.
BATCH = 100
_RESERVES, _SLOT0, _LIQUIDITY = (call_data(f"{name}()") for name in ("getReserves", "slot0", "liquidity"))

Request = tuple[str, list[Any]]


class Asked(NamedTuple):
    """What a bot asks for, in order: of the block, of the pools, of the pending transactions, of the routes."""

    block: list[Request]
    pools: list[Request]
    pending: list[Request]
    routes: list[Request]


class CallTimes(NamedTuple):
    """Seconds of each part, and of how many requests."""

    seconds: dict[str, float]
    requests: int

    @property
    def whole_s(self) -> float:
        """All of them."""
        return sum(self.seconds.values())


class Routes(NamedTuple):
    """The routes that were found: each with the transactions that it follows."""

    found: Sequence[tuple[OpportunityRecord, Sequence[SignedTransaction]]]
    sender: bytes
    executor: bytes
    nonce: int
    max_gas: int


def asked(
    node: Node, pools: dict[bytes, str], base_fee: int, pending: Sequence[SignedTransaction], routes: Routes
) -> Asked:
    """The requests about the node's head; `pools` are those that are tracked there, by family; `base_fee` is the next block's, in wei."""
    head = node.call("eth_getBlockByNumber", "latest", False)
    logs = node.call("eth_getLogs", {"blockHash": head["hash"]})
    changed = dict.fromkeys(data(log["address"]) for log in logs)
    block = NextBlock(
        quantity(head["number"]) + 1, quantity(head["timestamp"]) + 12, base_fee, head["gasLimit"], head["miner"], "0x" + "00" * 32
    )  # fmt: skip

    def simulate(*calls: dict[str, Any]) -> Request:
        return "eth_simulateV1", [request(block, list(calls)), head["hash"]]

    def ours(route: OpportunityRecord) -> dict[str, Any]:
        call = {
            "from": to_hex(routes.sender), "to": to_hex(routes.executor), "input": to_hex(route.data), "nonce": hex(routes.nonce),
            "gas": hex(routes.max_gas), "maxFeePerGas": hex(base_fee), "maxPriorityFeePerGas": "0x0",
        }  # fmt: skip
        if route.access_list:
            call["accessList"] = [
                {"address": to_hex(entry.address), "storageKeys": [to_hex(key) for key in entry.keys]}
                for entry in route.access_list
            ]
        return call

    return Asked(
        [("eth_getBlockByHash", [head["hash"], False]), ("eth_getLogs", [{"blockHash": head["hash"]}])],
        [one for pool in changed if pool in pools for one in _state_of(pool, pools[pool], head["hash"])],
        [simulate(tx.call()) for tx in pending],
        [simulate(*(tx.call() for tx in targets), ours(route)) for route, targets in routes.found],
    )


def _state_of(pool: bytes, family: str, block: str) -> Iterator[Request]:
    for question in (_RESERVES,) if family == "uniswap_v2" else (_SLOT0, _LIQUIDITY):
        yield "eth_call", [{"to": to_hex(pool), "data": to_hex(question)}, {"blockHash": block}]


def ask(connection: rpc.Connection, questions: Asked, at_once: int) -> tuple[CallTimes, list[Any]]:
    """Ask everything, so many requests in a body; the answers about the routes."""
    seconds: dict[str, float] = {}
    answers: list[Any] = []
    for part, requests in questions._asdict().items():
        bodies = [_body(requests[start : start + at_once]) for start in range(0, len(requests), at_once)]
        started = time.perf_counter()
        told = [connection.send(body) for body in bodies]
        seconds[part] = time.perf_counter() - started
        answers = [one for body in told for one in (body if isinstance(body, list) else [body])]
    return CallTimes(seconds, sum(map(len, questions))), answers


def _body(requests: Sequence[Request]) -> bytes:
    bodies = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(requests)
    ]
    return json.dumps(bodies[0] if len(bodies) == 1 else bodies).encode()


def agreeing(routes: Routes, answers: Sequence[Any]) -> int:
    """How many of the answers say the same of our transaction as our simulation: success with the same gas, or failure."""
    same = 0
    for (route, _), answer in zip(routes.found, answers, strict=True):
        calls = answer["result"][0]["calls"] if "result" in answer else [{"status": "0x0"}]
        succeeded = calls[-1]["status"] == "0x1"
        if route.verdict is VerdictKind.SUCCESS:
            same += succeeded and quantity(calls[-1]["gasUsed"]) == route.gas_used
        else:
            same += not succeeded
    return same
