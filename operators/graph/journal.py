"""The undo journal: for each of the last blocks, what to put back to be exactly where we were before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

DEPTH = 64

U = TypeVar("U")


class JournalError(Exception):
    """A revert that the journal cannot answer: too deep, or of another block than the head."""


class Entry(NamedTuple, Generic[U]):
    """One block's undo list, in the order the changes were made."""

    number: int
    block_hash: bytes
    undo: list[U]


class Journal(Generic[U]):
    """Undo entries of the last `depth` blocks. What happens between two blocks belongs to the earlier one."""

    def __init__(self, entries: list[Entry[U]] | None = None, depth: int = DEPTH) -> None:
        self.entries: list[Entry[U]] = entries or []
        self.depth = depth

    def begin(self, number: int, block_hash: bytes) -> None:
        """Open the entry of a new head. The oldest beyond `depth` can no longer be reverted and is dropped."""
        self.entries.append(Entry(number, block_hash, []))
        if len(self.entries) > self.depth:
            del self.entries[0]

    def note(self, undo: U) -> None:
        """Record how to take one change back. Before the first block there is nothing to go back to."""
        if self.entries:
            self.entries[-1].undo.append(undo)

    def revert(self, number: int, block_hash: bytes, apply: Callable[[U], None]) -> None:
        """Take the head off: its changes undone, newest first. Raises `JournalError`."""
        if len(self.entries) < 2:
            raise JournalError(
                f"cannot revert block {number} (0x{block_hash.hex()}): the journal holds {len(self.entries)} block(s), "
                f"at most {self.depth}; rebuild the flow's state from a fresh log"
            )
        head = self.entries[-1]
        if head.block_hash != block_hash:
            raise JournalError(
                f"asked to revert block {number} (0x{block_hash.hex()}), but the head is "
                f"{head.number} (0x{head.block_hash.hex()})"
            )
        del self.entries[-1]
        for undo in reversed(head.undo):
            apply(undo)
