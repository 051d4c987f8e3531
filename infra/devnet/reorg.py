"""Reorgs on the devnet, by `anvil_reorg`.

What a client sees, measured with anvil 1.7.1 (`tests/chain/test_devnet_reorg.py` holds it):

- `newHeads` of all new blocks, ascending, at once; the first one's parent is the fork point. There is no word about the old blocks:
  no `removed: true` logs are sent, only the logs of the new blocks.
- The new blocks have the old ones' numbers and other hashes. anvil gives all of them the fork point's timestamp, so time stands still.
- The old blocks are forgotten at once: `eth_getBlockByHash` and `eth_getBlockReceipts` answer null, `eth_getLogs` by block hash -32000,
  state by block hash and `debug_traceBlockByHash` -32001, transactions and receipts by hash null.
  `debug_traceTransaction` of an orphaned transaction answers an empty trace of the default tracer instead of an error.
- Orphaned transactions do not go back to the pool by themselves; real nodes do that, so `reorg` does it.
- `anvil_rollback` and `evm_revert` send nothing at all: the next head simply has an older parent.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from infra.devnet.node import Node, RpcError, data, quantity


class Content(StrEnum):
    """What the blocks that replace the old ones hold."""

    EMPTY = "empty"
    """Nothing; the orphaned transactions are pending again."""
    SHUFFLED = "shuffled"
    """The orphaned transactions, spread over the new blocks anew, senders in another order."""


@dataclass(frozen=True)
class Reorg:
    """What happened: block hashes ascending."""

    fork_number: int
    """The newest block both chains have."""
    orphaned: tuple[bytes, ...]
    adopted: tuple[bytes, ...]
    returned: int
    """Orphaned transactions the pool took again."""


def reorg(node: Node, depth: int, content: Content = Content.EMPTY, seed: int = 0) -> Reorg:
    """Replace the newest `depth` blocks by as many others. Raises RpcError, for example when the chain is not that long."""
    head = quantity(node.call("eth_blockNumber"))
    numbers = [hex(number) for number in range(head - depth + 1, head + 1)]
    old = node.all([("eth_getBlockByNumber", [number, True]) for number in numbers])
    transactions = [transaction for block in old for transaction in block["transactions"]]
    raws: list[str] = node.all([("eth_getRawTransactionByHash", [transaction["hash"]]) for transaction in transactions])
    senders = [transaction["from"] for transaction in transactions]
    pairs = _shuffled(raws, senders, depth, seed) if content is Content.SHUFFLED else []

    node.call("anvil_reorg", depth, pairs)
    new = node.all([("eth_getBlockByNumber", [number, False]) for number in numbers])
    returned = 0
    mined = {name for block in new for name in block["transactions"]}
    for transaction, raw in zip(transactions, raws, strict=True):
        if transaction["hash"] not in mined:
            returned += _resend(node, raw)
    return Reorg(
        fork_number=head - depth,
        orphaned=tuple(data(block["hash"]) for block in old),
        adopted=tuple(data(block["hash"]) for block in new),
        returned=returned,
    )


def _resend(node: Node, raw: str) -> bool:
    try:
        node.call("eth_sendRawTransaction", raw)
    except RpcError:  # its sender's nonce or the base fee does not allow it any more
        return False
    return True


def rollback(node: Node, depth: int) -> None:
    """Take the newest `depth` blocks away without a word to subscribers; the pool stays as it is."""
    node.call("anvil_rollback", depth)


def _shuffled(raws: list[str], senders: list[str], depth: int, seed: int) -> list[list[object]]:
    """(raw, block) pairs: senders in random turns, each one's own transactions in their order, over blocks of equal size."""
    rng = random.Random(f"reorg {seed}")
    queues: dict[str, list[str]] = {}
    for raw, sender in zip(raws, senders, strict=True):
        queues.setdefault(sender, []).append(raw)
    turns = list(senders)
    rng.shuffle(turns)
    order = [queues[sender].pop(0) for sender in turns]
    return [[raw, index * depth // len(order)] for index, raw in enumerate(order)]
