"""A small chain for settlement tests: decisions, submissions and block events as the other flows write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.settlement.core import SettlementSettings, SettlementShard
from operators.settlement.facts import TRANSFER, BlockFacts, block_facts
from operators.settlement.step import Cancel, routed
from schemas import decisions as d
from schemas import submissions as s
from schemas.blocks import BlockOp, BlockRecord
from schemas.decisions import ChosenCall, DecisionRecord, EventKind, Target
from schemas.event import Event, assemble
from schemas.ids import with_id
from schemas.logs import Log, LogsRecord
from schemas.opportunities import NATIVE_RATE, Hop, Rate, Strategy
from schemas.receipts import NativeBalance, Receipt, ReceiptsRecord, WatchedTransaction
from schemas.record import Sequenced
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord, SubmissionStatus
from schemas.types import ZERO_HASH, Signed, Wide

CHAIN = 1
OWNER, EXECUTOR, ANCHOR = b"\x0a" * 20, b"\x0b" * 20, b"\xc0" * 20
#: A second anchor token, and what its base unit is worth: six decimals, at about 3000 to the coin.
DOLLAR, DOLLAR_RATE = b"\xdd" * 20, Rate(Wide(10**18), Wide(3003 * 10**6))
ANCHORS = (ANCHOR, DOLLAR)
ACCOUNTS = frozenset((OWNER, EXECUTOR))
POOL_A, POOL_B, OTHER_POOL = b"\x06" * 20, b"\x07" * 20, b"\x08" * 20
BASE_FEE, TIP_PER_GAS, GAS, GROSS = 10**9, 10**8, 150_000, 10**16
FEE = GAS * (BASE_FEE + TIP_PER_GAS)
SETTINGS = SettlementSettings(chain_id=CHAIN, patience_blocks=2, history_blocks=64)
RICH = 10**20


def h(*parts: object) -> bytes:
    """A hash that says what it was made of."""
    return blake2b(repr(parts).encode(), digest_size=32).digest()


def tx_of(decision: DecisionRecord) -> bytes:
    """The hash of the transaction that the sink signed for a decision."""
    return h("tx", decision.id)


def decision(
    seq: int,
    target_block: int,
    *,
    target: bytes = b"",
    before: tuple[bytes, ...] = (),
    gross: int = GROSS,
    kind: EventKind = EventKind.BLOCK,
    cancels: tuple[bytes, ...] = (),
    anchor: bytes = ANCHOR,
    rate: Rate = NATIVE_RATE,
) -> DecisionRecord:
    hops = tuple(
        Hop(pool, "uniswap_v2", True, anchor, b"\x9e" * 20, Wide(10**18), Wide(10**18)) for pool in (POOL_A, POOL_B)
    )
    gas_cost, tip = GAS * BASE_FEE, GAS * TIP_PER_GAS
    call = ChosenCall(
        opportunity_id=h("opportunity", seq), strategy=Strategy.BACKRUN if target else Strategy.CYCLE, target=target,
        targets=tuple(Target(hash=one, raw=b"\x02") for one in (*before, target) if one), hops=hops, sender=OWNER, to=EXECUTOR, nonce=0, gas_limit=2 * GAS,
        max_fee=Wide(BASE_FEE + TIP_PER_GAS), priority_fee=Wide(TIP_PER_GAS), data=b"", gas_used=GAS, base_fee=BASE_FEE,
        gross=Wide(gross), rate=rate, gross_wei=Wide(rate.in_wei(gross)), gas_cost=Wide(gas_cost), tip=Wide(tip),
        net=Signed(rate.in_wei(gross) - gas_cost - tip),
    )  # fmt: skip
    return _decision(seq, kind, target_block - 1, target_block, call, cancels)


def nothing(
    seq: int, head: int, *, kind: EventKind = EventKind.BLOCK, cancels: tuple[bytes, ...] = ()
) -> DecisionRecord:
    return _decision(seq, kind, head, 0, None, cancels)


def _decision(
    seq: int, kind: EventKind, head: int, target_block: int, call: ChosenCall | None, cancels: tuple[bytes, ...]
) -> DecisionRecord:
    return with_id(
        DecisionRecord(
            id=ZERO_HASH, chain=CHAIN, seq=seq, event=kind, head_number=head, head_hash=h("head", head),
            target_block=target_block, considered=1, chosen=call, reasons=() if call else ("no_route",), rejected=(),
            cancels=cancels, limits=(), engine="test", config_digest=d.GOLDEN.config_digest, state_digest=d.GOLDEN.state_digest,
        )
    )  # fmt: skip


def submission(
    decided: DecisionRecord,
    status: SubmissionStatus = SubmissionStatus.ACCEPTED,
    *,
    relay: str = "a",
    tx_hash: bytes | None = None,
    bundle_hash: bytes | None = None,
) -> SubmissionRecord:
    tx = tx_of(decided) if tx_hash is None else tx_hash
    bundle = h("bundle", decided.id) if bundle_hash is None else bundle_hash
    return with_id(
        SubmissionRecord(
            id=ZERO_HASH, decision_id=decided.id, chain=CHAIN, seq=decided.seq, relay=relay, live=True, status=status,
            bundle_hash=bundle, tx_hash=tx, target=b"", target_block=decided.target_block, tx_fee_cap=Wide(1),
            certificate=s.GOLDEN.certificate, http_status=200, answer="", decided_ns=1, signed_ns=2, sent_ns=3, answered_ns=4,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Tx:
    """A transaction in a block. `ours` of a decision: its swap brings `gross`; `pools` are moved by it."""

    hash: bytes
    sender: bytes = b"\x77" * 20
    status: int = 1
    gas: int = GAS
    gross: int = 0
    pools: tuple[bytes, ...] = ()
    traced: bool = True
    anchor: bytes = ANCHOR


def ours(
    decided: DecisionRecord, *, gross: int | None = None, status: int = 1, gas: int = GAS, traced: bool = True
) -> Tx:
    assert decided.chosen is not None
    brought = (int(decided.chosen.gross) if gross is None else gross) if status else 0
    pools = (POOL_A, POOL_B) if status else ()
    return Tx(tx_of(decided), OWNER, status, gas, brought, pools, traced, decided.chosen.hops[0].token_in)


def transfer(sender: bytes, to: bytes, amount: int, index: int = 0, token: bytes = ANCHOR) -> Log:
    topics = (TRANSFER, bytes(12) + sender, bytes(12) + to)
    return Log(address=token, topics=topics, data=amount.to_bytes(32, "big"), tx_index=index, log_index=0)


def block_event(
    number: int,
    txs: Sequence[Tx] = (),
    *,
    seq: int = 0,
    fork: object = 0,
    base_fee: int = BASE_FEE,
    op: BlockOp = BlockOp.APPLY,
) -> Event:
    """A block or its revert. `fork` tells siblings of one height apart."""
    parts = 3 if op is BlockOp.APPLY else 1
    head = BlockRecord(
        chain=CHAIN, seq=seq, part=0, parts=parts, op=op, number=number, hash=h("block", number, fork),
        parent_hash=h("block", number - 1, fork), timestamp=number, base_fee=base_fee, gas_limit=30_000_000, gas_used=1,
        miner=bytes(20), prevrandao=ZERO_HASH, difficulty=Wide(0), excess_blob_gas=0, tx_hashes=tuple(t.hash for t in txs),
        first_seen_ns=1,
    )  # fmt: skip
    if op is BlockOp.REVERT:
        return assemble((head,))
    logs = tuple(Log(pool, (SYNC_TOPIC,), b"", index, 0) for index, t in enumerate(txs) for pool in t.pools)
    price = base_fee + TIP_PER_GAS
    receipts = tuple(Receipt(t.hash, t.sender, EXECUTOR, t.status, t.gas, Wide(price)) for t in txs)
    watched = tuple(_watched(t, index, price) for index, t in enumerate(txs) if t.sender == OWNER)
    records: tuple[Sequenced, ...] = (
        head,
        LogsRecord(chain=CHAIN, seq=seq, part=1, parts=parts, block_hash=head.hash, logs=logs),
        ReceiptsRecord(
            chain=CHAIN, seq=seq, part=2, parts=parts, block_hash=head.hash, receipts=receipts, watched=watched
        ),
    )
    return assemble(records)


def _watched(tx: Tx, index: int, price: int) -> WatchedTransaction:
    logs = (
        (
            transfer(POOL_B, EXECUTOR, tx.gross, index, tx.anchor),
            transfer(EXECUTOR, OWNER, tx.gross, index, tx.anchor),
        )
        if tx.status
        else ()
    )
    native = NativeBalance(OWNER, Wide(RICH), Wide(RICH - tx.gas * price))
    return WatchedTransaction(tx.hash, logs, (native,) if tx.traced else None)


def block(number: int, txs: Sequence[Tx] = (), **more: object) -> BlockFacts:
    facts = block_facts(block_event(number, txs, **more), ANCHORS, ACCOUNTS)  # type: ignore[arg-type]
    assert facts is not None
    return facts


def revert(number: int, fork: object = 0) -> BlockFacts:
    return block(number, op=BlockOp.REVERT, fork=fork)


def blocks(first: int, last: int, fork: object = 0) -> list[BlockFacts]:
    return [block(number, fork=fork) for number in range(first, last + 1)]


Item = DecisionRecord | SubmissionRecord | BlockFacts | bytes


def feed(shard: SettlementShard, item: Item) -> list[SettlementRecord]:
    """One record into a shard, as the step does it; a decision brings its cancels along."""
    if isinstance(item, BlockFacts):
        return list(shard.on_block(item))
    if isinstance(item, SubmissionRecord):
        return list(shard.on_submission(item))
    if isinstance(item, bytes):
        return list(shard.on_cancel(item))
    rows = list(shard.on_decision(item))
    for _, value in routed(item, 1):
        if isinstance(value, Cancel):
            rows += shard.on_cancel(*value)
    return rows


def run(items: Iterable[Item], settings: SettlementSettings = SETTINGS) -> list[SettlementRecord]:
    shard = SettlementShard(settings)
    return [row for item in items for row in feed(shard, item)]


def last_rows(rows: Iterable[SettlementRecord]) -> dict[bytes, SettlementRecord]:
    return {row.decision_id: row for row in rows}
