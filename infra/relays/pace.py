"""The rate at which a relay is spoken to."""

from __future__ import annotations

import asyncio


class Pace:
    """A bounded rate with a small burst (the leaky bucket of the telephone networks, GCRA), and a hold after a 429.

    Belongs to one event loop; times are the loop's.
    """

    def __init__(self, per_second: float, burst: int = 8) -> None:
        self._interval = 1.0 / per_second
        self._slack = self._interval * (burst - 1)
        self._due = 0.0
        self._held_until = 0.0

    def reserve(self, now: float) -> float:
        """Take the next place; the time to wait for it, in seconds."""
        start = max(now, self._due - self._slack, self._held_until)
        self._due = max(self._due, start) + self._interval
        return start - now

    def hold(self, until: float) -> None:
        """Nothing more before that time: the other side said it is too much."""
        self._held_until = max(self._held_until, until)

    async def turn(self, deadline: float) -> bool:
        """Wait for a place. False, at once, where it would come after the deadline."""
        now = asyncio.get_running_loop().time()
        if max(now, self._due - self._slack, self._held_until) >= deadline:
            return False
        await asyncio.sleep(self.reserve(now))
        return True
