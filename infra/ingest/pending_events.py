"""Pending transactions as records: from a feed's item to the signed bytes, and from those to what they would read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from infra.chain import hexes, native
from infra.chain.answers import Pool, TransactionAnswer
from infra.chain.errors import LieReason, NodeLied, RpcError
from infra.chain.keccak import keccak
from infra.chain.node import Node, call_of
from infra.chain.raw_transactions import raw_from
from infra.chain.reads import Pack, PackedRead, Read, ToldRead
from infra.chain.sequences import Sequences, Step
from infra.chain.storage import nonces
from infra.chain.tracing import At
from infra.chain.transactions import SignedTransaction
from infra.ingest import metrics
from infra.ingest.call_reads import CallReads
from schemas.pending import PendingRecord
from schemas.types import Wide

SOURCE = "node"
#: The transactions between an account's nonce and a record's own, in order; none where one of them is not known.
Before = Callable[[PendingRecord, int], Sequence[PendingRecord]]


def hash_and_raw(item: msgspec.Raw) -> tuple[bytes, bytes | None]:
    """The hash of a feed's item, and the raw transaction where the item holds all of it. Raises `NodeLied(malformed)`."""
    if native.sluice_evm is not None and (plain := native.sluice_evm.signed_bytes(bytes(item))) is not None:
        return plain
    try:
        answer: str | TransactionAnswer = msgspec.json.decode(item, type=str | TransactionAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
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
    node: Node,
    calls: CallReads,
    records: Sequence[PendingRecord],
    at: At,
    pack: Pack,
    sequences: Sequences,
    before: Before,
) -> list[PackedRead | None]:
    """What each transaction would read on its own, and behind those of its sender that must come before it (`before`, where all are known, and
    the node traces); None where the node cannot say. All values are of the block `at` stands on. Raises `HeadMoved`."""
    senders = sorted({r.sender for r in records})
    told, counts = await asyncio.gather(
        calls.reads([transaction_of(r).call() for r in records], at), nonces(node, at.block_hash, senders)
    )
    nonce_of = dict(zip(senders, counts, strict=True))
    chains: dict[bytes, list[tuple[int, Sequence[PendingRecord]]]] = {}
    for i, record in enumerate(records):
        if calls.traced and (earlier := before(record, nonce_of[record.sender])):
            chains.setdefault(record.sender, []).append((i, earlier))

    async def follow(chain: list[tuple[int, Sequence[PendingRecord]]]) -> None:
        # The shorter first: the longer go on from them.
        for i, earlier in sorted(chain, key=lambda each: len(each[1])):
            told[i] = await _behind(sequences, earlier, records[i], at, told[i])

    await asyncio.gather(*map(follow, chains.values()))
    metrics.UNTRACED.labels("pending").inc(sum(isinstance(t, RpcError) for t in told))
    # Asked, not traced: revm-based nodes show the transaction's own nonce there, also when it is not yet its turn.
    return [
        None if isinstance(t, RpcError) else t.packed(r.sender, nonce_of[r.sender], pack)
        for t, r in zip(told, records, strict=True)
    ]


async def _behind(
    sequences: Sequences, earlier: Sequence[PendingRecord], record: PendingRecord, at: At, alone: Read | RpcError
) -> Read | RpcError:
    """A trace with what the transaction reads behind earlier ones; as it is where the node cannot lay them over its state.

    Both, since the earlier ones may be replaced: what is read depends on them (a pair that has traded in a block before, say).
    """
    if isinstance(alone, RpcError):
        return alone
    try:
        steps = [Step(each.hash, transaction_of(each).call()) for each in earlier]
        behind = await sequences.prestate_behind(steps, transaction_of(record).call(), at)
    except RpcError:
        return alone
    for address, change in alone.changes().items():
        # Values are those after the same block in either.
        behind.setdefault(address, change).slots.update(change.slots)
    return ToldRead(behind)
