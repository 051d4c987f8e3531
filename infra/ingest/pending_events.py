"""Pending transactions as records: from a feed's item to the signed bytes, and from those to what they would read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from infra.chain import hexes
from infra.chain.answers import Pool, TransactionAnswer
from infra.chain.errors import LieReason, NodeLied, RpcError
from infra.chain.keccak import keccak
from infra.chain.node import Node, call_of
from infra.chain.prestate import AccountChange, State, state_of
from infra.chain.raw_transactions import raw_from
from infra.chain.sequences import prestate_behind
from infra.chain.storage import nonces
from infra.chain.tracing import At, prestates
from infra.chain.transactions import SignedTransaction
from infra.ingest import metrics
from schemas.pending import PendingRecord
from schemas.types import Wide

SOURCE = "node"
#: The transactions between an account's nonce and a record's own, in order; none where one of them is not known.
Before = Callable[[PendingRecord, int], Sequence[PendingRecord]]


def hash_and_raw(item: msgspec.Raw) -> tuple[bytes, bytes | None]:
    """The hash of a feed's item, and the raw transaction where the item holds all of it. Raises `NodeLied(malformed)`."""
    try:
        answer: str | TransactionAnswer = msgspec.json.decode(item, type=str | TransactionAnswer)
    except msgspec.MsgspecError as error:
        raise NodeLied(LieReason.MALFORMED, f"pending transaction: {error}") from None
    if isinstance(answer, str):
        return hexes.hash32(answer), None
    return hexes.hash32(answer.hash), raw_from(answer)


async def raw_transactions(node: Node, hashes: Sequence[bytes]) -> list[bytes | None]:
    """The signed bytes of each hash; None where the node does not know it any more, does not tell, or tells those of another one."""
    calls = [call_of(str | None, "eth_getRawTransactionByHash", hexes.show(h)) for h in hashes]
    return [_raw_of(tx_hash, answer) for tx_hash, answer in zip(hashes, await node.batch(calls), strict=True)]


def _raw_of(tx_hash: bytes, answer: str | RpcError | None) -> bytes | None:
    if answer is None or isinstance(answer, RpcError):
        return None
    raw = hexes.data(answer)
    # A blob transaction comes with its blobs, which its hash does not cover.
    if raw[:1] != b"\x03" and keccak(raw) != tx_hash:
        metrics.NODE_LIES.labels(LieReason.HASH_MISMATCH.value).inc()
        return None
    return raw or None


async def pool_content(node: Node) -> list[tuple[bytes, bytes | None]]:
    """Hash and raw form of everything executable in the node's pool; empty where the node does not tell."""
    try:
        pool: Pool = await node.call(Pool, "txpool_content")
    except RpcError:
        return []
    return [(hexes.hash32(tx.hash), raw_from(tx)) for by_nonce in pool.pending.values() for tx in by_nonce.values()]


def pending_record(chain: int, tx: SignedTransaction, first_seen_ns: int) -> PendingRecord:
    """A decoded transaction as an unstamped record."""
    return PendingRecord(
        chain=chain,
        seq=0,
        part=0,
        parts=0,
        hash=tx.hash,
        raw=tx.raw,
        sender=tx.sender,
        tx_type=tx.tx_type,
        nonce=tx.nonce,
        to=tx.to,
        value=Wide(tx.value),
        gas_limit=tx.gas_limit,
        max_fee=Wide(tx.max_fee),
        max_priority_fee=Wide(tx.max_priority_fee),
        data=tx.data,
        access_list=tx.access_list,
        source=SOURCE,
        refresh=False,
        first_seen_ns=first_seen_ns,
    )


def transaction_of(record: PendingRecord) -> SignedTransaction:
    """The inverse of `pending_record`."""
    return SignedTransaction(
        record.hash,
        record.raw,
        record.sender,
        record.tx_type,
        record.nonce,
        record.to,
        record.value,
        record.gas_limit,
        record.max_fee,
        record.max_priority_fee,
        record.data,
        record.access_list,
    )


async def trace_pending(
    node: Node, records: Sequence[PendingRecord], at: At, before: Before = lambda record, nonce: ()
) -> list[State | None]:
    """What each transaction would read on its own, and behind those of its sender that must come before it (`before`, where all are known);
    None where the node cannot say. All values are of the block `at` stands on. Raises `HeadMoved`."""
    senders = sorted({r.sender for r in records})
    traces, counts = await asyncio.gather(
        prestates(node, [transaction_of(r).call() for r in records], at), nonces(node, at.block_hash, senders)
    )
    nonce_of = dict(zip(senders, counts, strict=True))
    behind = [before(record, nonce_of[record.sender]) for record in records]
    told = await asyncio.gather(
        *(_behind(node, earlier, r, at, trace) for r, earlier, trace in zip(records, behind, traces, strict=True))
    )
    metrics.UNTRACED.labels("pending").inc(sum(isinstance(t, RpcError) for t in told))
    return [
        None if isinstance(t, RpcError) else _state(t, r.sender, nonce_of[r.sender])
        for t, r in zip(told, records, strict=True)
    ]


async def _behind(
    node: Node,
    earlier: Sequence[PendingRecord],
    record: PendingRecord,
    at: At,
    alone: dict[bytes, AccountChange] | RpcError,
) -> dict[bytes, AccountChange] | RpcError:
    """A trace with what the transaction reads behind earlier ones; as it is where there are none, or the node cannot lay them over its state.

    Both, since the earlier ones may be replaced: what is read depends on them (a pair that has traded in a block before, say).
    """
    if not earlier or isinstance(alone, RpcError):
        return alone
    try:
        calls = [transaction_of(each).call() for each in earlier]
        behind = await prestate_behind(node, calls, transaction_of(record).call(), at)
    except RpcError:
        return alone
    for address, change in alone.items():
        # Values are those after the same block in either.
        behind.setdefault(address, change).slots.update(change.slots)
    return behind


def _state(trace: dict[bytes, AccountChange], sender: bytes, nonce: int) -> State:
    # Asked, not traced: revm-based nodes show the transaction's own nonce there, also when it is not yet its turn.
    if sender in trace:
        trace[sender].nonce = nonce
    return state_of(trace)
