"""How many requests go into one batch: providers' limits differ, are seldom written down, and change."""

from __future__ import annotations

#: Batches of the present size that must go well before a larger one is tried; doubled by every refusal.
_PATIENCE = 4


class BatchSize:
    """Halved when the node refuses a batch, doubled after a run of batches it took, never above `limit`."""

    def __init__(self, start: int, limit: int) -> None:
        """Begin with `start` requests a batch."""
        self.now = min(start, limit)
        self._limit = limit
        self._patience = _PATIENCE
        self._run = 0

    def refused(self, size: int) -> None:
        """A batch of `size` requests was refused as too large, or took too long. Those under way with it may tell the same."""
        if size <= self.now:
            self.now = max(1, size // 2)
            self._patience *= 2
        self._run = 0

    def taken(self, size: int) -> None:
        """A batch of `size` requests was answered."""
        if size < self.now or self.now == self._limit:
            return
        self._run += 1
        if self._run >= self._patience:
            self.now = min(self._limit, 2 * self.now)
            self._run = 0
