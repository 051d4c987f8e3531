"""Pools that were suspended by a command: nothing but a command takes them in again, whatever the chain or a restart does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from schemas.control import Command, ControlRecord
from schemas.pools import PoolOp, PoolRecord

#: Refusal of a pool that went with the block that created it: the one suspension that the chain takes back.
GONE = "gone"
#: Refusal of a pool that a person suspended; what a flow suspends it for begins with the flow's name and a colon.
OPERATOR = "operator"
_FLOWS = ("tripwire:",)


@dataclass(frozen=True)
class Held:
    """A suspension, and the block with whose state the pool had been admitted."""

    record: PoolRecord
    admitted_at: int


class HeldPools:
    """The suspended pools of the log, by address."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}

    def __contains__(self, address: bytes) -> bool:
        return address in self._held

    def get(self, address: bytes) -> PoolRecord | None:
        """The suspension of a pool."""
        held = self._held.get(address)
        return held.record if held else None

    def hold(self, record: PoolRecord, admitted_at: int) -> None:
        """A suspension was written."""
        self._held[record.address] = Held(record, admitted_at)

    def held_since(self, address: bytes) -> int | None:
        """The block with which a held pool had been admitted."""
        held = self._held.get(address)
        return held.admitted_at if held else None

    def release(self, address: bytes) -> None:
        """The pool is in the log again."""
        self._held.pop(address, None)

    def undone_by(self, lowest: int) -> list[PoolRecord]:
        """Suspensions to be said again behind the reverts of blocks from `lowest` on: the flows undo them with those blocks. One whose
        pool was admitted on such a block has no pool left to suspend, and is held all the same."""
        return [
            msgspec.structs.replace(held.record, block_number=lowest - 1)
            for _, held in sorted(self._held.items())
            if held.record.block_number >= lowest > held.admitted_at
        ]


def suspension(known: PoolRecord, number: int, command: ControlRecord) -> PoolRecord:
    """The record that suspends a pool of the log at block `number` because of a command."""
    word = command.reason.split(" ", 1)[0]
    refusal = word if word.startswith(_FLOWS) else OPERATOR
    return msgspec.structs.replace(
        known, op=PoolOp.SUSPEND, block_number=number, refusal=refusal[:64], detail=command.reason[:500]
    )


def subject_of(command: ControlRecord) -> bytes | None:
    """The pool that a command is about; None where it names none."""
    try:
        address = bytes.fromhex(command.subject.removeprefix("0x"))
    except ValueError:
        return None
    return address if len(address) == 20 else None


def unanswered(control: Iterable[ControlRecord], pools: Sequence[PoolRecord]) -> list[bytes]:
    """The pools that a command of the log wants in again, and that the log has not had since: the sequencer ended in between."""
    newest = {record.address: record.seq for record in pools}
    wanted: dict[bytes, None] = {}
    for command in control:
        address = subject_of(command)
        if command.command is Command.READMIT_POOL and address in newest and newest[address] < command.seq:
            wanted[address] = None
    return list(wanted)
