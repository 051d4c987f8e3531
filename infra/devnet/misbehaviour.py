"""How the dev builder can be told to fail, so that a client's every branch can be tried against a real server."""

from __future__ import annotations

import threading
import time
from enum import StrEnum


class Mode(StrEnum):
    """One way of failing."""

    SLOW = "slow"
    """Answers correctly, seconds later."""
    RATE_LIMIT = "429"
    """HTTP 429 with Retry-After."""
    TIMEOUT = "timeout"
    """Takes the request, acts on it and never answers."""
    WRONG_SHAPE = "wrong_shape"
    """HTTP 200 with JSON that is no JSON-RPC answer."""
    SERVER_ERROR = "500"
    """HTTP 500 with a text body."""
    DROP = "drop"
    """Closes the connection without a word."""


class Misbehaviour:
    """What the next requests meet. Safe for several threads."""

    def __init__(self) -> None:
        """Well-behaved."""
        self._lock = threading.Lock()
        self._mode: Mode | None = None
        self._left: int | None = None
        self._until: float | None = None
        self.delay = 2.0

    def set(self, mode: str | None, count: int | None = None, seconds: float | None = None, delay: float = 2.0) -> None:
        """Misbehave for so many requests, or seconds, or until told otherwise; None ends it. `delay` is for `slow`, in seconds.

        Raises ValueError for a mode that does not exist.
        """
        with self._lock:
            self._mode = Mode(mode) if mode is not None else None
            self._left = count
            self._until = time.monotonic() + seconds if seconds is not None else None
            self.delay = delay

    def next(self) -> Mode | None:
        """What this request meets; it counts."""
        with self._lock:
            if self._until is not None and time.monotonic() >= self._until:
                self._mode = None
            if self._left is not None:
                if self._left <= 0:
                    self._mode = None
                self._left -= 1
            return self._mode
