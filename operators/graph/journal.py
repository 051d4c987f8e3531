"""The undo journal: for each of the last blocks, what to put back to be exactly where we were before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

DEPTH = 64

U = TypeVar("U")


class JournalError(Exception):
    """A revert that the journal cannot answer: too deep, or of another block than the head."""


class Entry(Generic[U]):
    """One block's undo list, in the order the changes were made. Packed once it is complete, and unpacked only for a revert: after a
    restart hardly any ever is."""

    __slots__ = ("_packed", "_undo", "block_hash", "number")

    def __init__(self, number: int, block_hash: bytes, packed: tuple[tuple[Any, ...], ...] | None = None) -> None:
        self.number = number
        self.block_hash = block_hash
        self._undo: list[U] | None = [] if packed is None else None
        self._packed = packed

    def undo(self, form: UndoForm[U]) -> list[U]:
        """The undo list, to be read."""
        if self._undo is None:
            self._undo = [form.unpack(entry) for entry in self._packed or ()]
        return self._undo

    def add(self, undos: Iterable[U], form: UndoForm[U]) -> None:
        """Changes behind those that are there."""
        self.undo(form).extend(undos)
        self._packed = None

    def pack(self, form: UndoForm[U]) -> tuple[tuple[Any, ...], ...]:
        """The undo list as plain data."""
        if self._packed is None:
            self._packed = tuple([form.pack(undo) for undo in self._undo or ()])
        return self._packed


class UndoForm(Generic[U]):
    """How an undo is plain data: `pack` and its inverse `unpack`."""

    __slots__ = ("pack", "unpack")

    def __init__(self, pack: Callable[[U], tuple[Any, ...]], unpack: Callable[[tuple[Any, ...]], U]) -> None:
        self.pack = pack
        self.unpack = unpack


class Journal(Generic[U]):
    """Undo entries of the last blocks, so that `depth` of them can be reverted. What happens between two blocks belongs to the earlier one."""

    def __init__(self, form: UndoForm[U], depth: int = DEPTH) -> None:
        self._entries: list[Entry[U]] = []
        self._form = form
        self.depth = depth

    def begin(self, number: int, block_hash: bytes) -> None:
        """Open the entry of a new head. The oldest can no longer be reverted and is dropped."""
        self._entries.append(Entry(number, block_hash))
        # One more than can be reverted: the block to go back to has an entry too, for what comes behind it.
        if len(self._entries) > self.depth + 1:
            del self._entries[0]

    def note(self, undos: Iterable[U]) -> None:
        """Record how to take changes back, in their order. Before the first block there is nothing to go back to."""
        if self._entries:
            self._entries[-1].add(undos, self._form)

    @property
    def newest(self) -> list[U]:
        """The changes since the newest block began."""
        return self._entries[-1].undo(self._form) if self._entries else []

    def revert(self, number: int, block_hash: bytes, apply: Callable[[U], None]) -> None:
        """Take the head off: its changes undone, newest first. Raises `JournalError`."""
        if len(self._entries) < 2:
            raise JournalError(
                f"cannot revert block {number} (0x{block_hash.hex()}): the journal goes no further back ({self.depth} at most, less after "
                "a start); rebuild the flow's state from a fresh log"
            )
        head = self._entries[-1]
        if head.block_hash != block_hash:
            raise JournalError(
                f"asked to revert block {number} (0x{block_hash.hex()}), but the head is "
                f"{head.number} (0x{head.block_hash.hex()})"
            )
        del self._entries[-1]
        for undo in reversed(head.undo(self._form)):
            apply(undo)

    def snapshot(self) -> tuple[tuple[Any, ...], ...]:
        """Plain data: number, hash and undo list of each block. Costs by what the newest block changed."""
        return tuple((entry.number, entry.block_hash, entry.pack(self._form)) for entry in self._entries)

    def restore(self, snapshot: Iterable[tuple[Any, ...]]) -> None:
        """Inverse of `snapshot`."""
        self._entries = [Entry(*fields) for fields in snapshot]
