"""Receipts and logs of a block, checked against its header and each other before anybody may believe them: read quickly by the extension
where that is built and all is as usual, and by `check_receipts`, which also says what is wrong, where not."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import compress, starmap
from typing import TYPE_CHECKING, Protocol, cast

from infra.chain import hexes
from infra.chain.answers import LogAnswer, ReceiptAnswer
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, LieReason, NodeLied, RpcError
from infra.chain.native import sluice_evm
from infra.chain.node import Call, Node, Quick, call_of
from schemas.logs import Log
from schemas.receipts import Receipt
from schemas.types import Wide

if TYPE_CHECKING:
    from sluice_evm import BlockReceipts

#: Indices as nodes write them. Of a larger block each is decoded.
_INDICES = [hex(index) for index in range(1 << 13)]


class Mined(Protocol):
    """A block's transactions, in order: their receipts, and their logs, whose places in the block were checked.

    Of a block's logs few are of interest to anybody, so each becomes a record when it is asked for.
    """

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What became of each."""

    def logs(self, index: int) -> tuple[Log, ...]:
        """All logs of the transaction at this place. Raises `NodeLied(malformed)`."""

    def logs_of(self, sources: Container[bytes], first_topics: Container[bytes] | None = None) -> list[Log]:
        """The logs of these contracts, in the block's order; with `first_topics`, those that begin with one of them.

        Raises `NodeLied(malformed)` where one of them is, or where any address is.
        """


# ---------------------------------------------------------------- asked of the node


async def mined_in(node: Node, header: Header) -> Mined:
    """The block's transactions with receipts and logs, checked against the header. Raises `HeadMoved`, `NodeLied`."""
    if not header.tx_hashes:
        return ToldMined((), ())
    found = await _receipts(node, header, header.tx_hashes)
    return found if isinstance(found, PlainMined) else check_receipts(header, found)


async def _receipts(node: Node, header: Header, tx_hashes: Sequence[bytes]) -> list[ReceiptAnswer] | PlainMined:
    quick = Quick(lambda body: plain_receipts(header, body))
    whole: list[ReceiptAnswer] | PlainMined | None
    try:
        whole = await node.answer(
            Call(list[ReceiptAnswer] | None, "eth_getBlockReceipts", (hexes.show(header.hash),), quick)
        )
    except RpcError as error:
        if not error.unsupported:
            raise
        calls = [call_of(ReceiptAnswer | None, "eth_getTransactionReceipt", hexes.show(h)) for h in tx_hashes]
        single = await node.all_of(calls)
        whole = None if any(r is None for r in single) else [r for r in single if r is not None]
    if whole is None:
        raise HeadMoved(f"block {hexes.show(header.hash)} has no receipts on the node")
    return whole


# ---------------------------------------------------------------- taken as they came


@dataclass(frozen=True)
class PlainMined:
    """Receipts that the extension took as they came."""

    receipts: tuple[Receipt, ...]
    plain: BlockReceipts

    def logs(self, index: int) -> tuple[Log, ...]:
        """See `Mined`."""
        return tuple(starmap(Log, self.plain.logs(index)))

    def logs_of(self, sources: Container[bytes], first_topics: Container[bytes] | None = None) -> list[Log]:
        """See `Mined`."""
        return list(starmap(Log, self.plain.logs_of(sources, first_topics)))


def plain_receipts(header: Header, body: bytes) -> PlainMined | None:
    """The answer to `eth_getBlockReceipts`; None where it is not plainly that of the block, or the extension is not built."""
    if sluice_evm is None or not header.tx_hashes:
        return None
    plain = sluice_evm.BlockReceipts.read(body, header.hash, header.gas_used, header.tx_hashes)
    if plain is None:
        return None
    senders, recipients, statuses, gas, prices = plain.columns()
    receipts = map(Receipt, header.tx_hashes, senders, recipients, statuses, gas, map(Wide, prices))
    return PlainMined(tuple(receipts), plain)


# ---------------------------------------------------------------- decoded here


@dataclass(frozen=True)
class ToldMined:
    """Receipts that were decoded here, with the logs of each as the node wrote them."""

    receipts: tuple[Receipt, ...]
    answers: Sequence[Sequence[LogAnswer]]

    def logs(self, index: int) -> tuple[Log, ...]:
        """See `Mined`."""
        topics = _Decoded(hexes.hash32)
        return tuple([_log(answer, hexes.address(answer.address), topics) for answer in self.answers[index]])

    def logs_of(self, sources: Container[bytes], first_topics: Container[bytes] | None = None) -> list[Log]:
        """See `Mined`."""
        answers = [answer for its_logs in self.answers for answer in its_logs]
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


def check_receipts(header: Header, answers: Sequence[ReceiptAnswer]) -> ToldMined:
    """Receipts as records. Raises `NodeLied` where they are not this block's, not in order, or do not add up to its gas."""
    hashes = header.tx_hashes or ()
    where = f"block {header.number}"
    if len(answers) != len(hashes):
        raise NodeLied(LieReason.RECEIPT_COUNT, f"{where}: {len(answers)} receipts for {len(hashes)} transactions")
    if not _are_as_usual(header, hashes, answers):
        _check_places(header, hashes, answers)
    receipts = _records(hashes, answers)
    if answers and hexes.uint(answers[-1].cumulative_gas_used) != header.gas_used:
        raise NodeLied(LieReason.GAS_MISMATCH, f"{where}: header and receipts disagree on the gas used")
    return ToldMined(receipts, [answer.logs for answer in answers])


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


def _records(hashes: Sequence[bytes], answers: Sequence[ReceiptAnswer]) -> tuple[Receipt, ...]:
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
    return tuple(receipts)


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
