"""The chain's head as the flow knows it, with enough history to take blocks off again."""

from __future__ import annotations

from typing import Any

from operators.simulation.fees import next_base_fee
from operators.simulation.model import BlockEnv
from schemas.blocks import BlockOp, BlockRecord
from schemas.types import Wide

#: BLOCKHASH reaches 256 blocks back; that many hashes are kept for simulations.
HASH_WINDOW = 256


class HeadError(Exception):
    """A block that does not follow from the head: the log is not what a sequencer writes."""


class Heads:
    """The applied headers, newest last."""

    def __init__(self, chain_id: int, fork: str, block_seconds: int, plain: tuple[Any, ...] = ()) -> None:
        self._chain_id = chain_id
        self._fork = fork
        self._block_seconds = block_seconds
        self._blocks: list[BlockRecord] = [_from_plain(p) for p in plain]
        #: As `next_env` gave it since the head moved: hundreds of pending transactions are tried behind a head.
        self._next: BlockEnv | None = None

    @property
    def head(self) -> BlockRecord | None:
        """The newest applied block, None before the first."""
        return self._blocks[-1] if self._blocks else None

    def move(self, block: BlockRecord) -> None:
        """Apply or revert a block. Raises `HeadError` where parent hashes do not link."""
        head, self._next = self.head, None
        if block.op is BlockOp.REVERT:
            if head is None or head.hash != block.hash:
                raise HeadError(f"revert of block {block.number} (0x{block.hash.hex()}), which is not the head")
            self._blocks.pop()
            return
        if head is not None and block.parent_hash != head.hash:
            raise HeadError(f"block {block.number} (0x{block.hash.hex()}) does not follow the head {head.number}")
        self._blocks.append(block)
        if len(self._blocks) > HASH_WINDOW:
            del self._blocks[0]

    def next_time(self) -> int:
        """The time of the block after the head as far as it is known (see `next_env`), unix seconds; 0 before the first head."""
        head = self.head
        return 0 if head is None else head.timestamp + self._block_seconds

    def next_env(self) -> BlockEnv:
        """The environment of the block after the head.

        Base fee is exact (EIP-1559). Time, fee recipient and randomness are not known before the block is built: time is
        the head's plus the slot, the recipient is the head's, randomness is zero. Raises `HeadError` before the first head.
        """
        if self._next is None:
            self._next = self._env()
        return self._next

    def _env(self) -> BlockEnv:
        head = self.head
        if head is None:
            raise HeadError("no head yet")
        return BlockEnv(
            chain_id=self._chain_id,
            number=head.number + 1,
            timestamp=self.next_time(),
            coinbase=head.miner,
            # A header without a base fee is from before London; no base fee of a chain that has one falls to zero.
            base_fee=next_base_fee(head.base_fee, head.gas_used, head.gas_limit) if head.base_fee else 0,
            gas_limit=head.gas_limit,
            prevrandao=bytes(32),
            difficulty=int(head.difficulty),
            excess_blob_gas=head.excess_blob_gas,
            fork=self._fork,
            block_hashes={block.number: block.hash for block in self._blocks},
        )

    def snapshot(self) -> tuple[Any, ...]:
        """Plain data: one tuple of fields per block. Transaction hashes are not needed again and are left out."""
        return tuple(_to_plain(block) for block in self._blocks)


def _to_plain(block: BlockRecord) -> tuple[Any, ...]:
    return (
        block.chain, block.seq, block.number, block.hash, block.parent_hash, block.timestamp, block.base_fee,
        block.gas_limit, block.gas_used, block.miner, block.prevrandao, int(block.difficulty), block.excess_blob_gas,
        block.first_seen_ns,
    )  # fmt: skip


def _from_plain(plain: tuple[Any, ...]) -> BlockRecord:
    (chain, seq, number, block_hash, parent, timestamp, base_fee, gas_limit, gas_used, miner, prevrandao, difficulty,
     excess_blob_gas, first_seen_ns) = plain  # fmt: skip
    return BlockRecord(
        chain, seq, 0, 1, BlockOp.APPLY, number, block_hash, parent, timestamp, base_fee, gas_limit, gas_used, miner,
        prevrandao, Wide(difficulty), excess_blob_gas, (), first_seen_ns,
    )  # fmt: skip
