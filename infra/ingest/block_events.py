"""Everything the log says of one block, gathered from the node and put into records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from infra.chain.blocks import Header
from infra.chain.diffs import Diffs, Slots, balance_change, balance_steps, block_diffs, transaction_diff, uncoded
from infra.chain.node import Node
from infra.chain.prestate import AccountChange, State, state_of
from infra.chain.reads import PackedRead
from infra.chain.receipts import Mined, mined_in
from infra.chain.storage import balances, balances_and_nonces, changed_between, read_accounts
from infra.ingest import metrics
from schemas.blocks import BlockOp, BlockRecord
from schemas.logs import Log, LogsRecord
from schemas.receipts import NativeBalance, ReceiptsRecord, WatchedTransaction
from schemas.record import Sequenced
from schemas.types import Wide
from schemas.witness import WitnessRecord


@dataclass(frozen=True)
class Watch:
    """What to look at in a block: our accounts, the state that is kept fresh.

    `tracked` names the slots to keep (None: all that change), `named` an account's slots that somebody named, which is what can be asked of a node
    that does not trace, and `slots` how many those are of all accounts together. `whole` are accounts to be read completely, whether they changed or not.
    """

    owner: bytes
    executor: bytes
    tracked: Mapping[bytes, Slots]
    named: Callable[[bytes], frozenset[bytes]]
    slots: int
    whole: Mapping[bytes, frozenset[bytes]]


@dataclass(frozen=True)
class BlockFacts:
    """A block as the node tells it, checked."""

    header: Header
    mined: Mined
    watched: tuple[WatchedTransaction, ...]
    state: State


#: Tracked slots per transaction up to which they are read before and after instead of traced. A slot read twice costs about 0.1 ms,
#: a traced transaction from 0.5 ms (geth) up to its index times 0.1 ms (anvil, which runs the block anew for each).
SLOTS_PER_TRANSACTION = 10


async def gather_block(node: Node, header: Header, watch: Watch) -> BlockFacts:
    """Receipts, logs and state changes of a block with known transaction hashes. Raises `HeadMoved`, `NodeLied`.

    State changes come from a trace of the block or, where that is cheaper, from reading the tracked slots before and after.
    """
    if watch.slots <= SLOTS_PER_TRANSACTION * len(header.tx_hashes or ()):
        return await _gather_by_reading(node, header, watch)
    return await _gather_by_tracing(node, header, watch)


async def _gather_by_reading(node: Node, header: Header, watch: Watch) -> BlockFacts:
    ours = sorted({watch.owner, watch.executor})
    wanted = {account: watch.named(account) for account in watch.tracked}
    mined, changes, whole, purses = await asyncio.gather(
        mined_in(node, header),
        changed_between(node, header.parent_hash, header.hash, wanted),
        read_accounts(node, header.hash, watch.whole),
        balances_and_nonces(node, header.hash, ours),
    )
    changes |= whole
    _own_purses(changes, ours, purses)
    watched = await asyncio.gather(*(_watched_alone(node, mined, index, ours) for index in _own_indices(mined, watch)))
    return BlockFacts(header, mined, tuple(watched), state_of(changes))


def _own_indices(mined: Mined, watch: Watch) -> list[int]:
    """The places of the transactions sent by or to one of our accounts."""
    owner, executor = watch.owner, watch.executor
    return [i for i, receipt in enumerate(mined.receipts) if receipt.sender == owner or receipt.to == executor]


async def _watched_alone(node: Node, mined: Mined, index: int, accounts: Sequence[bytes]) -> WatchedTransaction:
    tx_hash = mined.receipts[index].tx_hash
    diff = await transaction_diff(node, tx_hash)
    metrics.UNTRACED.labels("own_transaction").inc(diff is None)
    native = None
    if diff is not None:
        steps = ((a, balance_change(diff, a)) for a in accounts)
        native = tuple(NativeBalance(a, Wide(step.before), Wide(step.after)) for a, step in steps if step is not None)
    return WatchedTransaction(tx_hash=tx_hash, logs=mined.logs(index), native=native)


async def _gather_by_tracing(node: Node, header: Header, watch: Watch) -> BlockFacts:
    tx_hashes = header.tx_hashes or ()
    ours = sorted({watch.owner, watch.executor})
    mined, diffs, purses = await asyncio.gather(
        mined_in(node, header),
        block_diffs(node, header.hash, tx_hashes),
        balances_and_nonces(node, header.hash, ours),
    )
    if diffs is None:
        metrics.UNTRACED.labels("block").inc()
        return await _gather_by_reading(node, header, watch)
    changes = await _changes(node, header, diffs, watch)
    _own_purses(changes, ours, purses)
    after = {account: balance for account, (balance, _) in zip(ours, purses, strict=True)}
    watched = await _watched(node, header, mined, diffs, after, watch)
    return BlockFacts(header, mined, watched, state_of(changes))


def _own_purses(changes: dict[bytes, AccountChange], ours: Sequence[bytes], purses: Sequence[tuple[int, int]]) -> None:
    """Our balances and nonces, asked and not traced: withdrawals and fees change a balance outside of any transaction."""
    for account, (balance, nonce) in zip(ours, purses, strict=True):
        change = changes.setdefault(account, AccountChange())
        change.balance, change.nonce = balance, nonce


async def gather_start(node: Node, header: Header, watch: Watch) -> BlockFacts:
    """The block a log starts with: its receipts, and the whole state of our own accounts instead of changes."""
    mined, changes = await asyncio.gather(mined_in(node, header), read_accounts(node, header.hash, watch.whole))
    return BlockFacts(header, mined, (), state_of(changes))


async def _changes(node: Node, header: Header, diffs: Diffs, watch: Watch) -> dict[bytes, AccountChange]:
    found = diffs.changes(watch.tracked)
    asked = dict.fromkeys(uncoded(found.changes), frozenset[bytes]())
    asked |= {account: watch.named(account) for account in found.doubtful} | dict(watch.whole)
    changes = dict(found.changes)
    for account, whole in (await read_accounts(node, header.hash, asked)).items():
        # What was read is the state itself, so it overrides; traced slots nobody named stay.
        traced = changes.get(account, AccountChange()).slots
        changes[account] = AccountChange(whole.nonce, whole.balance, whole.code, traced | whole.slots)
    return changes


async def _watched(
    node: Node,
    header: Header,
    mined: Mined,
    diffs: Diffs,
    after: Mapping[bytes, int],
    watch: Watch,
) -> tuple[WatchedTransaction, ...]:
    """Our transactions with all their logs, and our balances around each as the block's traces tell them."""
    indices = _own_indices(mined, watch)
    if not indices:
        return ()
    accounts = list(after)
    before = await balances(node, header.parent_hash, accounts)
    found = [balance_steps(diffs, a, start, after[a]) for a, start in zip(accounts, before, strict=True)]
    steps = [s for s in found if s is not None] if all(s is not None for s in found) else None
    out = []
    for i in indices:
        native = None
        if steps is not None:
            native = tuple(
                NativeBalance(account=a, before=Wide(s[i].before), after=Wide(s[i].after))
                for a, s in zip(accounts, steps, strict=True)
            )
        out.append(WatchedTransaction(tx_hash=mined.receipts[i].tx_hash, logs=mined.logs(i), native=native))
    return tuple(out)


def block_records(chain: int, facts: BlockFacts, logs: tuple[Log, ...], first_seen_ns: int) -> tuple[Sequenced, ...]:
    """The four parts of a block event, unstamped, with those of its logs that are to be recorded; the witness without codes."""
    header = facts.header
    stamp = {"chain": chain, "seq": 0, "part": 0, "parts": 4}
    return (
        block_record(chain, header, first_seen_ns),
        LogsRecord(**stamp, block_hash=header.hash, logs=logs),
        ReceiptsRecord(**stamp, block_hash=header.hash, receipts=facts.mined.receipts, watched=facts.watched),
        witness_record(chain, header.number, header.hash, facts.state),
    )


def block_record(chain: int, header: Header, first_seen_ns: int) -> BlockRecord:
    """A header as a record that applies it."""
    return BlockRecord(
        chain=chain,
        seq=0,
        part=0,
        parts=4,
        op=BlockOp.APPLY,
        number=header.number,
        hash=header.hash,
        parent_hash=header.parent_hash,
        timestamp=header.timestamp,
        base_fee=header.base_fee,
        gas_limit=header.gas_limit,
        gas_used=header.gas_used,
        miner=header.miner,
        prevrandao=header.prevrandao,
        difficulty=Wide(header.difficulty),
        excess_blob_gas=header.excess_blob_gas,
        tx_hashes=header.tx_hashes or (),
        first_seen_ns=first_seen_ns,
    )


def revert_record(applied: BlockRecord, first_seen_ns: int) -> BlockRecord:
    """The record that takes a block off again: its own fields as they were applied, since no node remembers an orphan."""
    return msgspec.structs.replace(applied, op=BlockOp.REVERT, first_seen_ns=first_seen_ns)


def witness_record(chain: int, number: int, block_hash: bytes, state: State | PackedRead) -> WitnessRecord:
    """State as a witness, its codes still to be added. What is packed already is a state to start from as it is."""
    return WitnessRecord(
        chain=chain,
        seq=0,
        part=0,
        parts=0,
        block_number=number,
        block_hash=block_hash,
        accounts=() if isinstance(state, PackedRead) else state.accounts,
        codes=(),
        packed=state.packed if isinstance(state, PackedRead) else b"",
        whole=state.whole if isinstance(state, PackedRead) else True,
    )
