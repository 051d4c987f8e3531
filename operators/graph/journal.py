"""The undo journal: for each of the last blocks, what to put back to be exactly where we were before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from schemas.plain import pack_plain, unpack_plain

DEPTH = 64

U = TypeVar("U")


class JournalError(Exception):
    """A revert that the journal cannot answer: too deep, or of another block than the head."""


class Entry(Generic[U]):
    """One block's undo list, in the order the changes were made. Packed once it is complete, and unpacked only for a revert: after a
    restart hardly any ever is."""

    __slots__ = ("_packed", "_undo", "block_hash", "number")

    def __init__(self, number: int, block_hash: bytes, packed: bytes = b"") -> None:
        self.number = number
        self.block_hash = block_hash
        self._undo: list[U] = []
        self._packed = packed

    def note(self, undo: U, plain: UndoForm[U]) -> None:
        """Add a change."""
        self.undo(plain).append(undo)
        self._packed = b""

    def undo(self, plain: UndoForm[U]) -> list[U]:
        """The undo list."""
        if self._packed and not self._undo:
            self._undo = [plain.read(entry) for entry in unpack_plain(self._packed)]
        return self._undo

    def pack(self, plain: UndoForm[U]) -> bytes:
        """The undo list as plain data, packed."""
        if not self._packed:
            self._packed = pack_plain(tuple(plain.write(undo) for undo in self._undo))
        return self._packed


class UndoForm(Generic[U]):
    """How an undo is plain data: `write` and its inverse `read`."""

    __slots__ = ("read", "write")

    def __init__(self, write: Callable[[U], tuple[Any, ...]], read: Callable[[tuple[Any, ...]], U]) -> None:
        self.write = write
        self.read = read


class Journal(Generic[U]):
    """Undo entries of the last `depth` blocks. What happens between two blocks belongs to the earlier one."""

    def __init__(self, plain: UndoForm[U], depth: int = DEPTH) -> None:
        self._entries: list[Entry[U]] = []
        self._plain = plain
        self.depth = depth

    def begin(self, number: int, block_hash: bytes) -> None:
        """Open the entry of a new head. The oldest beyond `depth` can no longer be reverted and is dropped."""
        self._entries.append(Entry(number, block_hash))
        if len(self._entries) > self.depth:
            del self._entries[0]

    def note(self, undo: U) -> None:
        """Record how to take one change back. Before the first block there is nothing to go back to."""
        if self._entries:
            self._entries[-1].note(undo, self._plain)

    @property
    def newest(self) -> list[U]:
        """The changes since the newest block began."""
        return self._entries[-1].undo(self._plain) if self._entries else []

    def revert(self, number: int, block_hash: bytes, apply: Callable[[U], None]) -> None:
        """Take the head off: its changes undone, newest first. Raises `JournalError`."""
        if len(self._entries) < 2:
            raise JournalError(
                f"cannot revert block {number} (0x{block_hash.hex()}): the journal holds {len(self._entries)} block(s), "
                f"at most {self.depth}; rebuild the flow's state from a fresh log"
            )
        head = self._entries[-1]
        if head.block_hash != block_hash:
            raise JournalError(
                f"asked to revert block {number} (0x{block_hash.hex()}), but the head is "
                f"{head.number} (0x{head.block_hash.hex()})"
            )
        del self._entries[-1]
        for undo in reversed(head.undo(self._plain)):
            apply(undo)

    def snapshot(self) -> tuple[tuple[int, bytes, bytes], ...]:
        """Plain data: number, hash and packed undo list of each block. Costs by what the newest block changed."""
        return tuple((entry.number, entry.block_hash, entry.pack(self._plain)) for entry in self._entries)

    def restore(self, snapshot: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Inverse of `snapshot`."""
        self._entries = [Entry(*fields) for fields in snapshot]
