"""Logs of the past: `eth_getLogs` over a range of blocks, checked against what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from infra.chain import hexes
from infra.chain.answers import PastLogAnswer
from infra.chain.errors import LieReason, NodeLied
from infra.chain.node import Node
from schemas.logs import Log


class PastLog(NamedTuple):
    """A log with the block it is in."""

    number: int
    block_hash: bytes
    log: Log


async def logs_between(node: Node, address: bytes, topics: Sequence[bytes], first: int, last: int) -> list[PastLog]:
    """The logs of a contract with one of these first topics in blocks `first` to `last`, in the chain's order.

    Raises `RpcError` where the node refuses (the range, the number of results, the method), `NodeTimeout` where it takes too long,
    `NodeLied` for a log that was not asked for.
    """
    query = {
        "address": hexes.show(address),
        "topics": [[hexes.show(topic) for topic in topics]],
        "fromBlock": hexes.show_int(first),
        "toBlock": hexes.show_int(last),
    }
    answers: list[PastLogAnswer] = await node.call(list[PastLogAnswer], "eth_getLogs", query, patient=False)
    found = [_past_log(answer) for answer in answers if not answer.removed]
    wanted = frozenset(topics)
    for number, _, log in found:
        if log.address != address or log.topics[:1] == () or log.topics[0] not in wanted or not first <= number <= last:
            raise NodeLied(
                LieReason.LOG_MISMATCH,
                f"asked for logs of {hexes.show(address)} in blocks {first} to {last}, got one of {hexes.show(log.address)} in {number}",
            )
    return sorted(found, key=lambda past: (past.number, past.log.log_index))


def _past_log(answer: PastLogAnswer) -> PastLog:
    if answer.block_number is None or answer.block_hash is None:
        raise NodeLied(LieReason.MALFORMED, "a log of the past without its block")
    if len(answer.topics) > 4:
        raise NodeLied(LieReason.MALFORMED, f"a log with {len(answer.topics)} topics")
    log = Log(
        address=hexes.address(answer.address),
        topics=tuple(hexes.hash32(t) for t in answer.topics),
        data=hexes.data(answer.data),
        tx_index=hexes.uint(answer.transaction_index),
        log_index=hexes.uint(answer.log_index),
    )
    return PastLog(hexes.uint(answer.block_number), hexes.hash32(answer.block_hash), log)
