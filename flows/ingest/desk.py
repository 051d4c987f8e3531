"""What the parts of the sequencer share between two readings of the log's tail."""

from __future__ import annotations

from dataclasses import dataclass

from flows.ingest.ledger import Ledger
from infra.chain.blocks import Header
from infra.chain.node import Node
from infra.ingest.call_reads import CallReads
from infra.ingest.feeds import Feeds
from operators.ingest.log_state import LogState
from operators.ingest.pending_book import PendingBook
from schemas.blocks import BlockRecord
from schemas.config import Config


@dataclass(frozen=True)
class Desk:
    """The node and its feeds, what is known of the log and of pending transactions, and the hand that writes."""

    config: Config
    node: Node
    reads: CallReads
    feeds: Feeds
    state: LogState
    book: PendingBook
    ledger: Ledger

    @property
    def chain(self) -> int:
        """The chain's id."""
        return self.config.chain.id

    @property
    def head(self) -> Header:
        """The newest block in the log."""
        return header_of(self.state.tip)


def own_slots(state: LogState, address: bytes) -> frozenset[bytes]:
    """The slots of its own that a pool of the log is known to read; none for another contract."""
    record = state.pools.get(address)
    return (
        frozenset(key for need in record.needs if need.address == address for key in need.keys)
        if record
        else frozenset()
    )


def header_of(block: BlockRecord) -> Header:
    """A block record as the header it came from."""
    return Header(
        block.number,
        block.hash,
        block.parent_hash,
        block.timestamp,
        block.base_fee,
        block.gas_limit,
        block.gas_used,
        block.miner,
        block.prevrandao,
        block.difficulty,
        block.excess_blob_gas,
        block.tx_hashes,
    )
