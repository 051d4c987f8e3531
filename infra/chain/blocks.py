"""Headers, receipts and logs of a block, each checked against the others before anybody may believe them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import cast

import msgspec

from infra.chain import hexes
from infra.chain.answers import HeaderAnswer, LogAnswer, ReceiptAnswer
from infra.chain.errors import HeadMoved, LieReason, NodeLied, RpcError
from infra.chain.node import Node, call_of
from schemas.logs import Log
from schemas.receipts import Receipt
from schemas.types import Wide

#: Indices as nodes write them. Of a larger block each is decoded.
_INDICES = [hex(index) for index in range(1 << 13)]


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


class Mined(msgspec.Struct, frozen=True, gc=False):
    """A mined transaction: its receipt, and its logs as the node wrote them, whose places in the block were checked.

    Of a block's logs few are of interest to anybody, so each becomes a record when it is asked for.
    """

    receipt: Receipt
    answers: Sequence[LogAnswer]

    @property
    def logs(self) -> tuple[Log, ...]:
        """All its logs. Raises `NodeLied(malformed)`."""
        topics = _Decoded(hexes.hash32)
        return tuple([_log(answer, hexes.address(answer.address), topics) for answer in self.answers])


def logs_of(
    mined: Iterable[Mined], sources: Container[bytes], first_topics: Container[bytes] | None = None
) -> list[Log]:
    """The logs of these contracts, in the block's order; with `first_topics`, those that begin with one of them.

    Raises `NodeLied(malformed)` where one of them is, or where any address is.
    """
    answers = [answer for one in mined for answer in one.answers]
    emitters = [answer.address for answer in answers]
    texts, topics = list(dict.fromkeys(emitters)), _Decoded(hexes.hash32)
    addresses = zip(texts, hexes.addresses(texts), strict=True)
    wanted = {text: address for text, address in addresses if address in sources}
    return [
        _log(answer, wanted[answer.address], topics)
        for answer in compress(answers, map(wanted.__contains__, emitters))
        if first_topics is None or (answer.topics and topics[answer.topics[0]] in first_topics)
    ]


class _Decoded(dict[str, bytes]):
    """Texts by what they say, each decoded once: a block's logs name the same contracts and accounts again and again."""

    def __init__(self, decode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, text: str) -> bytes:
        value = self[text] = self._decode(text)
        return value


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
        tx_hashes=None if hashes is None else tuple(hexes.hash32(h) for h in hashes),
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


async def mined_in(node: Node, header: Header) -> tuple[Mined, ...]:
    """The block's transactions with receipts and logs, in order, checked against the header."""
    hashes = header.tx_hashes or ()
    if not hashes:
        return ()
    return check_receipts(header, await _receipts(node, header.hash, hashes))


async def _receipts(node: Node, block_hash: bytes, tx_hashes: Sequence[bytes]) -> list[ReceiptAnswer]:
    whole: list[ReceiptAnswer] | None
    try:
        whole = await node.call(list[ReceiptAnswer] | None, "eth_getBlockReceipts", hexes.show(block_hash))
    except RpcError as error:
        if not error.unsupported:
            raise
        calls = [call_of(ReceiptAnswer | None, "eth_getTransactionReceipt", hexes.show(h)) for h in tx_hashes]
        single = await node.all_of(calls)
        whole = None if any(r is None for r in single) else [r for r in single if r is not None]
    if whole is None:
        raise HeadMoved(f"block {hexes.show(block_hash)} has no receipts on the node")
    return whole


def check_receipts(header: Header, answers: Sequence[ReceiptAnswer]) -> tuple[Mined, ...]:
    """Receipts as records. Raises `NodeLied` where they are not this block's, not in order, or do not add up to its gas."""
    hashes = header.tx_hashes or ()
    where = f"block {header.number}"
    if len(answers) != len(hashes):
        raise NodeLied(LieReason.RECEIPT_COUNT, f"{where}: {len(answers)} receipts for {len(hashes)} transactions")
    if not _are_as_usual(header, hashes, answers):
        _check_places(header, hashes, answers)
    mined = _mined(hashes, answers)
    if answers and hexes.uint(answers[-1].cumulative_gas_used) != header.gas_used:
        raise NodeLied(LieReason.GAS_MISMATCH, f"{where}: header and receipts disagree on the gas used")
    return mined


def _are_as_usual(header: Header, hashes: Sequence[bytes], answers: Sequence[ReceiptAnswer]) -> bool:
    """Whether all that places the receipts and their logs in the block is the very text that nodes write, which is quickest to compare."""
    block_hash = hexes.show(header.hash)
    log_indices = [log.log_index for answer in answers for log in answer.logs]
    misplaced_logs = [
        log
        for answer, index in zip(answers, _INDICES, strict=False)
        for log in answer.logs
        if log.block_hash != block_hash or log.transaction_index != index
    ]
    return (
        [answer.transaction_hash for answer in answers] == [f"0x{tx_hash.hex()}" for tx_hash in hashes]
        and [answer.transaction_index for answer in answers] == _INDICES[: len(answers)]
        and [answer.block_hash for answer in answers].count(block_hash) == len(answers)
        and log_indices == _INDICES[: len(log_indices)]
        and not misplaced_logs
    )


def _check_places(header: Header, hashes: Sequence[bytes], answers: Sequence[ReceiptAnswer]) -> None:
    """That each receipt is the one of its transaction of this block, and each log the block's next, all of it decoded: what is only written
    in another way is no lie. Raises `NodeLied`."""
    next_log = 0
    for index, (tx_hash, answer) in enumerate(zip(hashes, answers, strict=True)):
        _check_receipt(answer, header, tx_hash, index)
        for log in answer.logs:
            _check_log(log, header.hash, index, next_log)
            next_log += 1


def _check_receipt(answer: ReceiptAnswer, header: Header, tx_hash: bytes, index: int) -> None:
    """That a receipt is the one of this transaction of this block. Raises `NodeLied`."""
    found = (
        hexes.hash32(answer.block_hash),
        hexes.hash32(answer.transaction_hash),
        hexes.uint(answer.transaction_index),
    )
    if found != (header.hash, tx_hash, index):
        raise NodeLied(
            LieReason.RECEIPT_MISMATCH,
            f"block {header.number}: receipt {index} belongs to {hexes.show(found[1])} at {found[2]}",
        )


def _mined(hashes: Sequence[bytes], answers: Sequence[ReceiptAnswer]) -> tuple[Mined, ...]:
    """Column by column: that costs half of what it costs receipt by receipt."""
    receipts = map(
        Receipt,
        hashes,
        hexes.addresses([answer.from_ for answer in answers]),
        hexes.optional_addresses([answer.to for answer in answers]),
        [1 if answer.status == "0x1" else hexes.uint(answer.status) for answer in answers],
        hexes.quantities([answer.gas_used for answer in answers], hexes.UINT_BITS, int),
        hexes.quantities(_with_zeros([answer.effective_gas_price for answer in answers]), 256, Wide),
    )
    return tuple(map(Mined, receipts, [answer.logs for answer in answers]))


def _with_zeros(texts: list[str | None]) -> list[str]:
    """Quantities; one that is absent is 0."""
    return ["0x0" if text is None else text for text in texts] if not all(texts) else cast("list[str]", texts)


def _check_log(answer: LogAnswer, block_hash: bytes, tx_index: int, log_index: int) -> None:
    """That a log is the `log_index`-th of its block, in the transaction it came with. Raises `NodeLied`."""
    if answer.block_hash is not None and hexes.hash32(answer.block_hash) != block_hash:
        raise NodeLied(
            LieReason.LOG_MISMATCH, f"a log of block {answer.block_hash} among those of {hexes.show(block_hash)}"
        )
    found = (hexes.uint(answer.transaction_index), hexes.uint(answer.log_index))
    if found != (tx_index, log_index):
        raise NodeLied(LieReason.LOG_MISMATCH, f"log {found} stands in the place of {(tx_index, log_index)}")


def _log(answer: LogAnswer, address: bytes, topics: _Decoded) -> Log:
    if len(answer.topics) > 4:
        raise NodeLied(LieReason.MALFORMED, f"a log with {len(answer.topics)} topics")
    return Log(
        address,
        tuple([topics[text] for text in answer.topics]),
        hexes.data(answer.data),
        # Checked when the log was placed in its block; one that is absent was 0.
        int(answer.transaction_index or "0x0", 16),
        int(answer.log_index or "0x0", 16),
    )
