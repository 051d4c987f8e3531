"""What the stages of the audit say to each other."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.opportunities import OpportunityRecord
from schemas.topics import topic


class Head(NamedTuple):
    """The block that an opportunity was found on, and the block after it as the search assumes it: number and time (unix seconds), base
    fee (wei per gas, 0 before London), gas limit and fee recipient. Its randomness is taken for zero, as in the search."""

    hash: bytes
    number: int
    next_time: int
    base_fee: int
    gas_limit: int
    coinbase: bytes


class Due(NamedTuple):
    """A sampled opportunity with all that a judge needs. `targets`: the signed transactions it follows, in order; None where one of
    them was announced too long ago. `data`: the calldata, where the decision tells it, else empty. `doubt`: what differed when the node was asked first, empty if it was not."""

    opportunity: OpportunityRecord
    head: Head
    targets: tuple[bytes, ...] | None
    chosen: bool
    data: bytes
    doubt: str = ""


class Tick(NamedTuple):
    """The log's head is at this height."""

    head_number: int


def due_to_plain(due: Due) -> tuple[Any, ...]:
    """As plain data, for a snapshot."""
    encoded = topic(OpportunityRecord.TOPIC).codec.encode(due.opportunity)
    return encoded, tuple(due.head), due.targets, due.chosen, due.data, due.doubt


def due_from_plain(plain: tuple[Any, ...]) -> Due:
    """Inverse of `due_to_plain`. Raises `BadRecord` for an opportunity of another version of this code."""
    encoded, head, targets, chosen, data, doubt = plain
    opportunity: OpportunityRecord = topic(OpportunityRecord.TOPIC).codec.decode(encoded)
    return Due(opportunity, Head(*head), targets, chosen, data, doubt)
