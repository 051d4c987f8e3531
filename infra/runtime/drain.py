"""Stopping a flow without losing anything: a flag that its sources look at."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Drain:
    """Set once, never unset. Sources end their input when it is set; what is under way is finished and saved.

    The engine itself dies at once on SIGTERM, and one process of a cluster that is interrupted hangs the others, so
    signals only set the flag. All processes of a flow must get the signal.
    """

    def __init__(self) -> None:
        self._flag = threading.Event()

    def set(self) -> None:
        """Ask for the end."""
        self._flag.set()

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._flag.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end is asked for; False when `timeout_s` was over first."""
        return self._flag.wait(timeout_s)

    def install_signal_handlers(self) -> None:
        """Set the flag on SIGTERM and SIGINT. Only the main thread of a process may call this."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.set()
