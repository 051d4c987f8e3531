"""Headers of blocks, checked before anybody may believe them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.chain import hexes
from infra.chain.answers import HeaderAnswer
from infra.chain.errors import HeadMoved, LieReason, NodeLied
from infra.chain.node import Node, call_of


@dataclass(frozen=True)
class Header:
    """A block's header. Units as in `schemas.blocks.BlockRecord`; `tx_hashes` is None where the answer had none (`newHeads`)."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    base_fee: int
    gas_limit: int
    gas_used: int
    miner: bytes
    prevrandao: bytes
    difficulty: int
    excess_blob_gas: int
    tx_hashes: tuple[bytes, ...] | None


def decode_header(answer: HeaderAnswer) -> Header:
    """The header, every field checked for form. Raises `NodeLied(malformed)`."""
    hashes = answer.transactions
    return Header(
        number=hexes.uint(answer.number),
        hash=hexes.hash32(answer.hash),
        parent_hash=hexes.hash32(answer.parent_hash),
        timestamp=hexes.uint(answer.timestamp),
        base_fee=hexes.uint(answer.base_fee_per_gas),
        gas_limit=hexes.uint(answer.gas_limit),
        gas_used=hexes.uint(answer.gas_used),
        miner=hexes.address(answer.miner),
        prevrandao=hexes.hash32(answer.mix_hash) if answer.mix_hash else bytes(32),
        difficulty=hexes.quantity(answer.difficulty),
        excess_blob_gas=hexes.uint(answer.excess_blob_gas),
        tx_hashes=None if hashes is None else tuple(hexes.hashes32(hashes)),
    )


async def head(node: Node) -> Header:
    """The node's newest block."""
    answer: HeaderAnswer = await node.call(HeaderAnswer, "eth_getBlockByNumber", "latest", False)
    return decode_header(answer)


async def header_by_number(node: Node, number: int) -> Header | None:
    """The canonical block of a height, None above the node's head."""
    answer: HeaderAnswer | None = await node.call(
        HeaderAnswer | None, "eth_getBlockByNumber", hexes.show_int(number), False
    )
    return _at_height(answer, number) if answer is not None else None


async def headers_by_number(node: Node, first: int, last: int) -> list[Header]:
    """Canonical headers first..last. Raises `HeadMoved` where one is missing. Their linkage is the head tracker's to judge."""
    wanted = range(first, last + 1)
    calls = [call_of(HeaderAnswer | None, "eth_getBlockByNumber", hexes.show_int(n), False) for n in wanted]
    answers: list[HeaderAnswer | None] = await node.all_of(calls)
    if any(answer is None for answer in answers):
        raise HeadMoved(f"the node no longer has all blocks {first}..{last}")
    return [_at_height(answer, number) for number, answer in zip(wanted, answers, strict=True) if answer is not None]


def _at_height(answer: HeaderAnswer, number: int) -> Header:
    header = decode_header(answer)
    if header.number != number:
        raise NodeLied(LieReason.WRONG_BLOCK, f"asked for block {number}, got block {header.number}")
    return header


async def header_by_hash(
    node: Node, block_hash: bytes, check: Callable[[HeaderAnswer], None] = lambda answer: None
) -> Header:
    """The block of that hash, which `check` may refuse. Raises `HeadMoved` where the node does not know it (any more)."""
    answer: HeaderAnswer | None = await node.call(
        HeaderAnswer | None, "eth_getBlockByHash", hexes.show(block_hash), False
    )
    if answer is None:
        raise HeadMoved(f"block {hexes.show(block_hash)} is unknown to the node")
    header = decode_header(answer)
    if header.hash != block_hash:
        raise NodeLied(
            LieReason.WRONG_BLOCK, f"asked for block {hexes.show(block_hash)}, got {hexes.show(header.hash)}"
        )
    check(answer)
    return header
