"""Whether a flow has written anything since it was started: to kill it at work and not always in its first second."""

from __future__ import annotations

import time
from collections.abc import Sequence

from infra.kafka import clients
from infra.kafka.layout import LogLayout
from schemas.config import Config

#: What each flow writes to all the time.
_TOPIC = {"ingest": "blocks", "search": "decisions", "settle": "settlements"}


class Progress:
    """Ends of the flows' own topics, as of the last time they were noted."""

    def __init__(self, config: Config) -> None:
        self._layout = LogLayout(config.kafka, clients.admin(config.kafka))
        self._noted: dict[str, int] = {}
        self.note(tuple(_TOPIC))

    def note(self, names: Sequence[str]) -> None:
        """Remember where these flows are."""
        self._noted.update({name: self._end(name) for name in names})

    def wait(self, names: Sequence[str], timeout_s: float) -> bool:
        """Wait until all of these flows have written since they were noted; False where one did not in time."""
        deadline = time.monotonic() + timeout_s
        while any(self._end(name) <= self._noted[name] for name in names):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _end(self, name: str) -> int:
        return sum(self._layout.committed_ends(self._layout.partitions([_TOPIC[name]])).values())
