"""What a block says about us, cut down to what settlement needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from operators.graph.dispatch import keys_of
from schemas.blocks import BlockOp, BlockRecord
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from schemas.receipts import ReceiptsRecord, WatchedTransaction

#: keccak("Transfer(address,address,uint256)"), ERC-20.
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
#: keccak("Deposit(address,uint256)") and keccak("Withdrawal(address,uint256)"), WETH9: it mints and burns without Transfer.
DEPOSIT = bytes.fromhex("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c")
WITHDRAWAL = bytes.fromhex("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65")
#: Bytes of a transaction hash that are kept to tell whether a block holds it (a false hit needs 2**64 transactions).
PREFIX = 8
#: A packed move: transaction index (big-endian), pool address.
_INDEX, _ADDRESS = 4, 20
_MOVE = _INDEX + _ADDRESS


class OwnTransaction(NamedTuple):
    """A mined transaction that owner or executor sent. `deltas`: changes of owner's and executor's balances of anchor tokens (token, base
    units), those that are not zero, by token. `native_delta`: change of their native balance in wei, fees included; None where the node could not trace it."""

    tx_hash: bytes
    tx_index: int
    sender: bytes
    status: int
    gas_used: int
    effective_gas_price: int
    deltas: tuple[tuple[bytes, int], ...]
    native_delta: int | None


class BlockFacts(NamedTuple):
    """A block applied or reverted. `moved` packs (transaction index, pool) of the pool logs, each pair once; `tx_prefixes`
    packs the first bytes of each transaction hash, in order. Packed, because every shard keeps and saves the recent blocks.
    """

    seq: int
    op: BlockOp
    number: int
    block_hash: bytes
    base_fee: int
    own: tuple[OwnTransaction, ...]
    moved: bytes
    tx_prefixes: bytes

    def moves(self) -> Iterator[tuple[int, bytes]]:
        """(Transaction index, pool) of every pool that a transaction of the block moved, in the block's order."""
        for at in range(0, len(self.moved), _MOVE):
            yield int.from_bytes(self.moved[at : at + _INDEX], "big"), self.moved[at + _INDEX : at + _MOVE]

    def holds(self, tx_hash: bytes) -> bool:
        """Whether the block holds the transaction."""
        return self.index_of(tx_hash) is not None

    def index_of(self, tx_hash: bytes) -> int | None:
        """The transaction's index in the block, if it is there."""
        wanted, packed = tx_hash[:PREFIX], self.tx_prefixes
        for index in range(len(packed) // PREFIX):
            if packed[index * PREFIX : (index + 1) * PREFIX] == wanted:
                return index
        return None


def block_facts(event: Event, anchors: Sequence[bytes], accounts: frozenset[bytes]) -> BlockFacts | None:
    """The facts of a block or revert event; None for all other events. `accounts` are owner and executor."""
    block = event.parts[0]
    if not isinstance(block, BlockRecord):
        return None
    receipts, logs = event.part(ReceiptsRecord), event.part(LogsRecord)
    watched = {w.tx_hash: w for w in receipts.watched} if receipts else {}
    own = []
    for index, receipt in enumerate(receipts.receipts if receipts else ()):
        transaction = watched.get(receipt.tx_hash)
        # Anybody may call the executor; only what owner or executor sent is ours to settle.
        if transaction is None or receipt.sender not in accounts:
            continue
        own.append(
            OwnTransaction(
                receipt.tx_hash,
                index,
                receipt.sender,
                receipt.status,
                receipt.gas_used,
                int(receipt.effective_gas_price),
                token_deltas(transaction.logs, anchors, accounts),
                _native_delta(transaction, accounts),
            )
        )
    return BlockFacts(
        event.seq,
        block.op,
        block.number,
        block.hash,
        block.base_fee,
        tuple(own),
        pack_moves((log.tx_index, key) for log in logs.logs for key in keys_of(log) if key) if logs else b"",
        b"".join(tx_hash[:PREFIX] for tx_hash in block.tx_hashes),
    )


def pack_moves(moves: Iterable[tuple[int, bytes]]) -> bytes:
    """(Transaction index, pool) pairs as `BlockFacts.moved` holds them: each once, in order of first appearance."""
    return b"".join(index.to_bytes(_INDEX, "big") + pool for index, pool in dict.fromkeys(moves))


def token_deltas(
    logs: Iterable[Log], tokens: Sequence[bytes], accounts: frozenset[bytes]
) -> tuple[tuple[bytes, int], ...]:
    """What logs change in the accounts' joint balances of these tokens: (token, base units) by token, without zeros."""
    deltas = dict.fromkeys(sorted(tokens), 0)
    for log in logs:
        if log.address in deltas:
            deltas[log.address] += token_delta(log, accounts)
    return tuple((token, delta) for token, delta in deltas.items() if delta)


def token_delta(log: Log, accounts: frozenset[bytes]) -> int:
    """What one log changes in the accounts' joint balance of the token that wrote it, in base units."""
    if not log.topics:
        return 0
    kind, parties = log.topics[0], [topic[12:] for topic in log.topics[1:]]
    amount = int.from_bytes(log.data[:32], "big")
    if kind == TRANSFER and len(parties) == 2:
        return amount * ((parties[1] in accounts) - (parties[0] in accounts))
    if kind == DEPOSIT and len(parties) == 1:
        return amount * (parties[0] in accounts)
    if kind == WITHDRAWAL and len(parties) == 1:
        return -amount * (parties[0] in accounts)
    return 0


def _native_delta(transaction: WatchedTransaction, accounts: frozenset[bytes]) -> int | None:
    if transaction.native is None:
        return None
    return sum(int(b.after) - int(b.before) for b in transaction.native if b.account in accounts)
