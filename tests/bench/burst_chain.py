"""The chain of the bench `burst`: recorded mainnet transactions on a node that holds the state they ran on, many of them pending at once.

No recorded block leaves 400 transactions that could be pending behind a block of 450 logs. So the node holds the states before several mainnet
blocks (see `recorded_state`); transactions of some are mined as one block, those of the others are pending behind it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.chain.transactions import decode
from infra.devnet.anvil import Anvil
from infra.devnet.node import Node, data
from tests.bench.made_trades import USUAL_PAIRS, make_pairs, usual_blocks
from tests.bench.recorded_state import (
    GAS_LIMIT,
    MINED,
    OTHERS,
    WAITING,
    WARM,
    LaidTogether,
    Recorded,
    absent,
    in_turn,
    laid_together,
    mine,
    node_of,
)

__all__ = ["LOGS", "PENDING", "BurstChain", "absent", "burst_chain"]

#: How many transactions are pending, and the logs of the block before them.
PENDING, LOGS = 400, 450
#: What is pending before the block, so that the codes of contracts that everybody uses are known.
WARM_PENDING = 256


@dataclass(frozen=True)
class BurstChain:
    """A running node at the block before the one for warming up.

    `keys` has the files of the owner's key and of the relay identity's. `pools` are the real ones to be tracked. `warm` and `waiting` are pending
    transactions, as objects of a node's feed. `blocks` are the transactions of the block for warming up and of the block itself, which is mined at
    `time` and 12 seconds later; `between` those of made blocks between the two, at most one a second.
    """

    node: Anvil
    #: The block that a log of it starts with.
    start: int
    owner: bytes
    keys: Path
    pools: tuple[bytes, ...]
    warm: tuple[bytes, ...]
    waiting: tuple[bytes, ...]
    #: How many of those waiting are of which recorded block.
    waiting_of: Mapping[int, int]
    blocks: tuple[tuple[bytes, ...], ...]
    time: int
    gas_limit: int = GAS_LIMIT
    #: Whether the transactions are mined in just their order.
    ordered: bool = False
    between: tuple[tuple[bytes, ...], ...] = ()

    def mine(self, number: int) -> bytes:
        """Mine the block for warming up (0) or the block itself (1); its announcement as a header of a node's feed."""
        return self._mine(self.blocks[number], self.time + 12 * number, self.ordered)

    def mine_between(self) -> tuple[bytes, ...]:
        """Mine the blocks between the two; their announcements."""
        return tuple(self._mine(raws, self.time + 1 + at, True) for at, raws in enumerate(self.between))

    def _mine(self, raws: Sequence[bytes], time: int, ordered: bool) -> bytes:
        header = mine(self.node.node, raws, time, self.gas_limit, ordered=ordered)
        for name in ("transactions", "uncles", "withdrawals", "size"):
            header.pop(name, None)
        return json.dumps(header, separators=(",", ":")).encode()


@contextmanager
def burst_chain(data_folder: Path, folder: Path, between: int = 0) -> Iterator[BurstChain]:
    """The node at work, with so many made blocks between the two; `folder` takes its files and the keys. Raises `UnplayableBlock` and what the node's start raises."""
    together = laid_together(data_folder, folder)
    made, made_pools = _between(together, between) if between else ((), [])
    recorded, nonces = together.recorded, together.nonces
    mined = [one for number in MINED for one in recorded[number]]
    rest = [one for number in (*WAITING, *OTHERS) for one in recorded[number]]
    with node_of(together, folder / "node") as (anvil, start):
        first = [one.raw for one in recorded[WARM]]
        block, left = _with_logs(anvil.node, first, in_turn(recorded[WARM], mined, nonces), together.time)
        waiting = in_turn([*recorded[WARM], *block], [*left, *rest], nonces)
        chosen, spare = waiting[:PENDING], waiting[PENDING : PENDING + WARM_PENDING]
        if len(chosen) < PENDING:
            raise ValueError(f"the recordings have {len(chosen)} transactions that can be pending, not {PENDING}")
        yield BurstChain(
            node=anvil,
            start=start,
            owner=together.owner,
            keys=together.keys,
            pools=tuple(sorted({*together.pools, *made_pools})),
            warm=tuple(map(_announced, spare)),
            waiting=tuple(map(_announced, chosen)),
            waiting_of=Counter(one.block for one in chosen),
            blocks=(tuple(first), tuple(one.raw for one in block)),
            time=together.time,
            between=made,
        )


def _between(together: LaidTogether, count: int) -> tuple[tuple[tuple[bytes, ...], ...], list[bytes]]:
    """So many made blocks, and the pools that are put into the state for them."""
    pairs, twins = make_pairs(together.accounts, together.pairs[0], USUAL_PAIRS)
    return usual_blocks(together.accounts, pairs, count), [*(pair.address for pair in pairs), *twins]


def _with_logs(
    node: Node, first: Sequence[bytes], candidates: Sequence[Recorded], time: int
) -> tuple[list[Recorded], list[Recorded]]:
    """Of the candidates those, in order, that make a block of just `LOGS` logs behind the `first` block; and the others. The node is as before."""
    chosen, tried = list(candidates), 0
    while True:
        snapshot = node.call("evm_snapshot")
        for number, raws in enumerate((first, [one.raw for one in chosen])):
            mine(node, raws, time + 12 * number)
        receipts = node.call("eth_getBlockReceipts", "latest")
        node.call("evm_revert", snapshot)
        logs = {receipt["transactionHash"]: len(receipt["logs"]) for receipt in receipts}
        chosen = [one for one in chosen if one.fields["hash"] in logs]
        counts = [logs[one.fields["hash"]] for one in chosen]
        if sum(counts) == LOGS:
            kept = set(map(id, chosen))
            return chosen, [one for one in candidates if id(one) not in kept]
        tried += 1
        if tried > 8 or sum(counts) < LOGS:
            raise ValueError(f"the recorded transactions make a block of {sum(counts)} logs, not {LOGS}")
        chosen = _fitting(chosen, counts)


def _fitting(ordered: Sequence[Recorded], counts: Sequence[int]) -> list[Recorded]:
    """In order all that fit below the number of logs; of a sender none behind one that did not."""
    left, out, found = LOGS, set[str](), []
    for one, count in zip(ordered, counts, strict=True):
        if count <= left and one.fields["from"] not in out and left:
            left -= count
            found.append(one)
        else:
            out.add(one.fields["from"])
    return found


def _announced(one: Recorded) -> bytes:
    """The object as a node's feed of pending transactions has it."""
    told = {**one.fields, "blockHash": None, "blockNumber": None, "transactionIndex": None}
    assert decode(one.raw).hash == data(one.fields["hash"])
    return json.dumps(told, separators=(",", ":")).encode()
