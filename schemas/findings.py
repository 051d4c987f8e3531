"""Topic `findings`: differences between the log's pools and the chain's, as the tripwire found and classified them."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Record
from schemas.types import Address, Hash, Name, OptionalHash, Text, Uint


class Difference(StrEnum):
    """How a pool's state came to differ from the chain's."""

    #: The chain has a log of the pool that our log has not.
    MISSED_LOG = "missed_log"
    #: Our log has every log of the pool, and its storage is another all the same.
    STORAGE_CHANGED_WITHOUT_LOG = "storage_changed_without_log"
    #: Our state is the chain's of another block: something came too late, or was read too early.
    LATE_DELIVERY = "late_delivery"
    #: The block our log stands on is not the chain's.
    UNHANDLED_REORG = "unhandled_reorg"
    #: The node answers the same question in two ways.
    NODE_DISAGREES = "node_disagrees"
    #: The node does not tell the pool's logs, so it stays open.
    UNEXPLAINED = "unexplained"


class FindingRecord(Record, frozen=True):
    """One pool that differs at one block. `id` is the content hash of all other fields, so a repeated output is the same record.

    `ours` and `theirs` are the hashes of the states (`theirs` empty where the chain's is no state of the family). `our_logs` and `chain_logs`
    count the pool's logs after block `since_block` up to `block_number`, `seq` is the event that applied the block.
    """

    TOPIC = "findings"

    id: Hash
    chain: Uint
    seq: Uint
    block_number: Uint
    block_hash: Hash
    pool: Address
    family: Name
    difference: Difference
    ours: Hash
    theirs: OptionalHash
    since_block: Uint
    our_logs: Uint
    chain_logs: Uint
    detail: Text


GOLDEN = FindingRecord(
    id=b"\x14" * 32, chain=1, seq=7, block_number=19_932_148, block_hash=b"\x05" * 32, pool=b"\x06" * 20,
    family="uniswap_v2", difference=Difference.MISSED_LOG, ours=b"\x15" * 32, theirs=b"\x16" * 32,
    since_block=19_932_147, our_logs=0, chain_logs=1, detail="1 log of the pool is not in our log",
)  # fmt: skip
