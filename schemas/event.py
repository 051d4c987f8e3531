"""The event: all records of one `seq`, put together. What the sequenced source emits and operators consume."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from schemas.blocks import BlockOp, BlockRecord
from schemas.control import ControlRecord
from schemas.decisions import EventKind
from schemas.hints import HintRecord
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from schemas.record import Sequenced

S = TypeVar("S", bound=Sequenced)


class Event(msgspec.Struct, frozen=True):
    """One event of a chain: its parts in part order. Part 0 says what kind of event it is."""

    chain: int
    seq: int
    kind: EventKind
    parts: tuple[Sequenced, ...]

    def part(self, kind: type[S]) -> S | None:
        """The event's record of the given type, if it has one."""
        for record in self.parts:
            if isinstance(record, kind):
                return record
        return None


def kind_of(head: Sequenced) -> EventKind:
    """The kind of event that starts with this record. Raises `ValueError` if no event starts with such a record."""
    if isinstance(head, BlockRecord):
        return EventKind.BLOCK if head.op is BlockOp.APPLY else EventKind.REVERT
    if isinstance(head, PendingRecord):
        return EventKind.PENDING
    if isinstance(head, HintRecord):
        return EventKind.HINT
    if isinstance(head, PoolRecord):
        return EventKind.POOL
    if isinstance(head, ControlRecord):
        return EventKind.CONTROL
    raise ValueError(f"no event starts with a {type(head).__name__}")


def assemble(parts: tuple[Sequenced, ...]) -> Event:
    """An event from its complete parts, already in part order."""
    head = parts[0]
    return Event(head.chain, head.seq, kind_of(head), parts)
