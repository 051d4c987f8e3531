"""The hints that wait to be written: each hash once, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from schemas.hints import HintRecord

#: Hashes remembered so that a hint that is told again is not taken for a new one: hours of the busiest known stream.
SEEN_KEPT = 16_384


class HintBook:
    """In order of arrival. When too many wait, the one that has waited longest is dropped: its block is the likeliest to be there already."""

    def __init__(self, max_waiting: int) -> None:
        """At most so many wait."""
        self._max_waiting = max_waiting
        self._waiting: OrderedDict[bytes, HintRecord] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def seen(self, hint_hash: bytes) -> bool:
        """Whether this hash came before."""
        return hint_hash in self._seen

    def add(self, hint: HintRecord) -> int:
        """Take a hint that was not seen, and say how many were dropped for it."""
        if hint.hash in self._seen:
            return 0
        self.remember([hint.hash])
        self._waiting[hint.hash] = hint
        dropped = max(0, len(self._waiting) - self._max_waiting)
        for _ in range(dropped):
            self._waiting.popitem(last=False)
        return dropped

    def waiting(self, limit: int) -> list[HintRecord]:
        """The hints that wait longest. They wait until they are `done`."""
        return [hint for hint, _ in zip(self._waiting.values(), range(limit), strict=False)]

    def done(self, hint_hashes: Iterable[bytes]) -> None:
        """These are in the log."""
        for hint_hash in hint_hashes:
            self._waiting.pop(hint_hash, None)

    def remember(self, hint_hashes: Iterable[bytes]) -> None:
        """These were seen."""
        for hint_hash in hint_hashes:
            self._seen[hint_hash] = None
        while len(self._seen) > SEEN_KEPT:
            self._seen.popitem(last=False)
