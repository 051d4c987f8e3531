"""Waiting for what has been asked for and has not come yet."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(what: str, probe: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Poll until true; the failure says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.1)
