"""What the sequencer has to remember, worked out from the log's tail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from operators.ingest.head_tracker import Link
from operators.ingest.held import GONE
from schemas.blocks import BlockOp, BlockRecord
from schemas.pools import PoolOp, PoolRecord


class LogBroken(ValueError):
    """The log's blocks do not form a chain: it was not written by a sequencer of ours."""


def link_of(block: BlockRecord) -> Link:
    """A block record's linkage."""
    return Link(block.number, block.hash, block.parent_hash)


def current_chain(tail: Iterable[BlockRecord]) -> list[BlockRecord]:
    """The blocks that stand after all applies and reverts of the tail, oldest first. A tail may begin in the middle of a reorg: reverts
    of blocks from before it are passed over. Raises `LogBroken`."""
    chain: list[BlockRecord] = []
    for block in tail:
        if block.op is BlockOp.REVERT:
            if chain:
                if chain[-1].hash != block.hash:
                    raise LogBroken(f"seq {block.seq} reverts block {block.number}, which is not the head")
                chain.pop()
        elif chain and chain[-1].hash != block.parent_hash:
            raise LogBroken(f"seq {block.seq} applies block {block.number}, which does not follow the head")
        else:
            chain.append(block)
    return chain


@dataclass(frozen=True)
class KnownPools:
    """Pools in the log: `standing` are good as recorded; `outdated` were recorded on a block that was reverted since; `suspended` are so by a
    command, each with the block with whose state it had been admitted."""

    standing: dict[bytes, PoolRecord]
    outdated: dict[bytes, PoolRecord]
    suspended: list[tuple[PoolRecord, int]]


def known_pools(records: Iterable[PoolRecord], blocks: Sequence[BlockRecord]) -> KnownPools:
    """The pools of the log by address, judged by the reverts among `blocks`."""
    newest: dict[bytes, PoolRecord] = {}
    admitted_at: dict[bytes, int] = {}
    for record in records:
        newest[record.address] = record
        if record.op is PoolOp.ADD:
            admitted_at[record.address] = record.block_number
    reverts = [(b.seq, b.number) for b in blocks if b.op is BlockOp.REVERT]
    known = KnownPools({}, {}, [])
    for address, record in newest.items():
        if record.op is PoolOp.SUSPEND:
            if record.refusal != GONE:
                known.suspended.append((record, admitted_at.get(address, record.block_number)))
            continue
        late = any(seq > record.seq and number <= record.block_number for seq, number in reverts)
        (known.outdated if late else known.standing)[address] = record
    return known
