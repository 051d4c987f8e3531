"""A block of 1,000 transactions with 3,000 logs that changes 150 pools which are followed: larger than any that is recorded, so half of it is made.

Real are the transactions of five mainnet blocks of one time, on the state of those (`recorded_state`), and all the code: Wrapped Ether, Dai, the
pairs and the router of Uniswap V2 as they were recorded. Made are the other transactions and the pools that they trade with: tokens with the code of Dai, each with
a pair against Wrapped Ether where Uniswap's factory would make it, every other one with a second pair where Sushiswap's would, at the same price; swaps through the router over one and two
pairs by users of ours, most so small that nothing is left to take, some not. They are mined together, as one block, by a node.

Of a block so large this node traces the n-th transaction by running the n - 1 before it anew, for minutes. So what it traces is put together from
the same transactions mined as several blocks, before they are mined as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from infra.devnet.node import Node, data, to_hex
from infra.devnet.signer import Signer
from operators.pools.uniswap_v2 import SYNC_TOPIC
from tests.bench.burst_chain import BurstChain
from tests.bench.made_trades import fund, made_transactions, make_pairs, usual_blocks
from tests.bench.recorded_state import (
    MINED,
    WAITING,
    WARM,
    in_turn,
    laid_together,
    mine,
    node_of,
)

_GAS_LIMIT = 240_000_000
_USERS = 24
#: Of the transactions so many are recorded at most.
_RECORDED = 0.6
#: Transactions that are traced as one block.
_TRACED = 125
_TRACE = b"debug_traceBlockByHash"


class Size(NamedTuple):
    """What the block is to have: transactions, logs, pools of those followed that it changes."""

    transactions: int
    logs: int
    pools: int


#: That of the target.
LARGE = Size(1_000, 3_000, 150)


@dataclass(frozen=True)
class LargeBlock:
    """The chain before it, how many of its transactions are recorded ones, and of those the logs and the pools that they change."""

    chain: BurstChain
    size: Size
    recorded: int
    recorded_logs: int
    recorded_pools: int

    def mine(self, answers: dict[bytes, bytes]) -> bytes:
        """Mine it; its announcement. What the node traces of it is put among the `answers` of a node that was asked once, by request, as the
        sequencer asked for the block before. Raises `ValueError` where it is not of its size, and where no block was traced yet."""
        asked = next((request for request in answers if _TRACE in request), None)
        if asked is None:
            raise ValueError("the sequencer had no block traced: there is no request to put the trace under")
        before, options = json.loads(asked)["params"]
        traces = _traced(self.chain, options)
        head = self.chain.mine(1)
        receipts = self.chain.node.node.call("eth_getBlockReceipts", "latest")
        found = len(receipts), sum(len(receipt["logs"]) for receipt in receipts)
        if found != self.size[:2]:
            raise ValueError(f"a block of {found[0]} transactions and {found[1]} logs, not of {self.size}")
        answers[asked.replace(before.encode(), json.loads(head)["hash"].encode())] = traces
        return head


@contextmanager
def large_block(data_folder: Path, folder: Path, size: Size = LARGE, between: int = 0) -> Iterator[LargeBlock]:
    """A node at the block before the one for warming up, behind which come so many made ones of a usual size; `folder` takes its files and the keys. Raises `ValueError` where the recordings give no block of the
    size, and what `node_of` raises."""
    together = laid_together(data_folder, folder)
    users = [Signer.of_seed("large block", number) for number in range(_USERS)]
    pairs, twins = make_pairs(together.accounts, together.pairs[0], size.pools)
    fund(together.accounts, users, pairs)
    before = usual_blocks(together.accounts, pairs, between) if between else ()
    warm = together.recorded[WARM]
    wanted = [one for number in (*MINED, *WAITING) for one in together.recorded[number]]
    candidates = in_turn(warm, wanted, together.nonces)[: int(_RECORDED * size.transactions)]
    first, real = [one.raw for one in warm], [one.raw for one in candidates]
    with node_of(together, folder / "node") as (anvil, start):
        known = set(together.pools)
        receipts = _tried(anvil.node, first, real, together.time)
        taken = {receipt["transactionHash"] for receipt in receipts}
        real = [one.raw for one in candidates if one.fields["hash"] in taken]
        logs = sum(len(receipt["logs"]) for receipt in receipts)
        changed = len(known & _synced(receipts))
        made = made_transactions(users, pairs[: size.pools - changed], size.transactions - len(real), size.logs - logs)
        chain = BurstChain(
            node=anvil, start=start, owner=together.owner, keys=together.keys,
            pools=tuple(sorted({*known, *(pair.address for pair in pairs), *twins})),
            warm=(), waiting=(), waiting_of={}, blocks=(tuple(first), (*real, *made)), time=together.time, gas_limit=_GAS_LIMIT,
            ordered=True, between=before,
        )  # fmt: skip
        yield LargeBlock(chain, size, len(real), logs, changed)


def _traced(chain: BurstChain, options: dict[str, Any]) -> bytes:
    """The answer to `debug_traceBlockByHash` of the block to be mined next; the node is as before."""
    node, raws = chain.node.node, chain.blocks[1]
    parts = [raws[start : start + _TRACED] for start in range(0, len(raws), _TRACED)]
    # The last one has the time of the block.
    begin = chain.time + 12 - (len(parts) - 1)
    snapshot = node.call("evm_snapshot")
    found: list[Any] = []
    for number, part in enumerate(parts):
        header = mine(node, part, begin + number, chain.gas_limit, ordered=True)
        found += node.call("debug_traceBlockByHash", header["hash"], options)
    node.call("evm_revert", snapshot)
    return json.dumps({"jsonrpc": "2.0", "id": 0, "result": found}, separators=(",", ":")).encode()


def _tried(node: Node, first: Sequence[bytes], raws: Sequence[bytes], time: int) -> list[dict[str, Any]]:
    """The receipts of these as a block; the node is as before."""
    snapshot = node.call("evm_snapshot")
    mine(node, first, time, _GAS_LIMIT, ordered=True)
    mine(node, raws, time + 12, _GAS_LIMIT, ordered=True)
    receipts: list[dict[str, Any]] = node.call("eth_getBlockReceipts", "latest")
    node.call("evm_revert", snapshot)
    return receipts


def _synced(receipts: Sequence[Mapping[str, Any]]) -> set[bytes]:
    sync = to_hex(SYNC_TOPIC)
    return {
        data(log["address"]) for one in receipts for log in one["logs"] if log["topics"] and log["topics"][0] == sync
    }
