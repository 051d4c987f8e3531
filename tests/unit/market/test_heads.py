"""Heads: linkage, reverts, and the environment of the next block."""

from __future__ import annotations

import msgspec
import pytest

from operators.market.heads import HASH_WINDOW, HeadError, Heads
from schemas import blocks
from schemas.blocks import BlockOp, BlockRecord


def header(number: int, base_fee: int = 10**9, gas_used: int = 15_000_000) -> BlockRecord:
    return msgspec.structs.replace(
        blocks.GOLDEN, number=number, hash=number.to_bytes(32, "big"), parent_hash=(number - 1).to_bytes(32, "big"),
        timestamp=1000 + 12 * number, base_fee=base_fee, gas_limit=30_000_000, gas_used=gas_used,
    )  # fmt: skip


def reverted(block: BlockRecord) -> BlockRecord:
    return msgspec.structs.replace(block, op=BlockOp.REVERT)


def heads(*numbers: int, base_fee: int = 10**9) -> Heads:
    chain = Heads(1, "Cancun", 12)
    for number in numbers:
        chain.move(header(number, base_fee))
    return chain


def test_the_next_block_has_the_base_fee_of_eip_1559_and_the_time_of_the_next_slot() -> None:
    env = heads(5, 6).next_env()
    assert (env.number, env.timestamp, env.base_fee) == (7, 1000 + 72 + 12, 10**9)
    assert env.block_hashes[6] == (6).to_bytes(32, "big")


def test_a_chain_without_base_fee_keeps_none() -> None:
    assert heads(5, base_fee=0).next_env().base_fee == 0


def test_a_revert_gives_the_earlier_head_back() -> None:
    chain = heads(5, 6, 7)
    chain.move(reverted(header(7)))
    assert chain.head == header(6)
    chain.move(header(7))
    assert chain.head == header(7)


@pytest.mark.parametrize("block", [header(8), header(6), reverted(header(6))])
def test_a_block_that_does_not_link_stops_the_flow(block: BlockRecord) -> None:
    with pytest.raises(HeadError):
        heads(5, 6, 7).move(block) if block != header(8) else heads(5, 6).move(block)


def test_a_snapshot_holds_what_reverts_and_the_next_block_need() -> None:
    chain = heads(*range(1, HASH_WINDOW + 11))
    copy = Heads(1, "Cancun", 12, chain.snapshot())
    assert copy.next_env() == chain.next_env()
    assert copy.next_env().block_hashes == chain.next_env().block_hashes
    assert len(copy.snapshot()) == HASH_WINDOW
    copy.move(reverted(header(HASH_WINDOW + 10)))
    assert copy.head is not None and copy.head.number == HASH_WINDOW + 9


def test_before_the_first_head_there_is_no_next_block() -> None:
    with pytest.raises(HeadError, match="no head"):
        heads().next_env()
