"""Topic `blocks`: the headers of the chain, as applied and as reverted."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Sequenced
from schemas.types import Address, Hash, Uint, Wide


class BlockOp(StrEnum):
    """What an event does with a block."""

    APPLY = "apply"
    REVERT = "revert"


class BlockRecord(Sequenced, frozen=True):
    """Part 0 of a block event. `APPLY` extends the head; `REVERT` takes the head off again (newest first).

    Amounts: gas in gas units, `base_fee` in wei per gas, `timestamp` in unix seconds, `first_seen_ns` in unix
    nanoseconds by the sequencer's clock (the only clock a flow may use). `prevrandao` is the header's mix hash;
    `difficulty` is 0 after the merge.
    """

    TOPIC = "blocks"

    op: BlockOp
    number: Uint
    hash: Hash
    parent_hash: Hash
    timestamp: Uint
    base_fee: Uint
    gas_limit: Uint
    gas_used: Uint
    miner: Address
    prevrandao: Hash
    difficulty: Wide
    excess_blob_gas: Uint
    tx_hashes: tuple[Hash, ...]
    first_seen_ns: Uint


GOLDEN = BlockRecord(
    chain=1, seq=7, part=0, parts=4, op=BlockOp.APPLY, number=19_932_148, hash=b"\x05" * 32, parent_hash=b"\xfa" * 32,
    timestamp=1_716_461_963, base_fee=10_081_947_666, gas_limit=30_000_000, gas_used=14_378_808, miner=b"\x95" * 20,
    prevrandao=b"\xb3" * 32, difficulty=Wide(0), excess_blob_gas=0, tx_hashes=(b"\x01" * 32, b"\x02" * 32),
    first_seen_ns=1_716_461_964_250_000_000,
)  # fmt: skip
