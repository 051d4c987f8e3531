"""The audits that are still to be made, and how long each may wait for a node that is away or behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operators.audit.messages import Due, Tick, due_from_plain, due_to_plain

SNAPSHOT_VERSION = 1
#: Audits kept for a node that is away; beyond them the oldest are given up.
MOST_WAITING = 4096


class Waiting:
    """Pure bookkeeping: who asks the node takes from here and says of each what came of it."""

    def __init__(self, patience: int, state: tuple[Any, ...] | None = None) -> None:
        """`patience` in blocks."""
        version, waiting, head = state or (SNAPSHOT_VERSION, (), 0)
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"audits waiting in version {version}, this code reads {SNAPSHOT_VERSION}")
        self._patience = patience
        self._waiting: list[Due] = [due_from_plain(plain) for plain in waiting]
        self._head: int = head

    def __len__(self) -> int:
        return len(self._waiting)

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return SNAPSHOT_VERSION, tuple(due_to_plain(due) for due in self._waiting), self._head

    def take(self, messages: Iterable[Due | Tick]) -> tuple[list[Due], list[Due]]:
        """Those to be judged now, oldest first, and those given up because too many wait.

        What waited is tried again when there is a new head, not with every message: a node that is away is asked once a block.
        """
        fresh: list[Due] = []
        moved = False
        for message in messages:
            if isinstance(message, Tick):
                moved, self._head = True, message.head_number
            else:
                fresh.append(message)
        surplus = max(0, len(self._waiting) + len(fresh) - MOST_WAITING)
        given_up, kept = self._waiting[:surplus], self._waiting[surplus:]
        self._waiting = [] if moved else kept
        return [*kept, *fresh] if moved else fresh, given_up

    def keep(self, due: Due) -> bool:
        """Try it again at the next head; False where it has waited long enough."""
        if self._head >= due.head.number + self._patience:
            return False
        self._waiting.append(due)
        return True
