"""The alarm of the audit: raised when too many of the last comparisons differ, cleared when few of them do."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.audits import COMPARED, DIFFERING, AuditRecord

SNAPSHOT_VERSION = 1


class Change(StrEnum):
    """What a comparison did to the alarm."""

    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True)
class AlarmSettings:
    """The last `window` comparisons count, and nothing is said before there are `least`. Raised above `raise_share` of them, cleared at or
    below `clear_share`: between the two it stays as it is, so that it does not flutter."""

    window: int
    least: int
    raise_share: float
    clear_share: float


class Alarm:
    """Pure. Only comparisons count: a node that cannot judge is no evidence for or against our engine."""

    def __init__(self, settings: AlarmSettings, state: tuple[Any, ...] | None = None) -> None:
        version, raised, last = state or (SNAPSHOT_VERSION, False, ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"audit alarm of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._settings = settings
        self._last: deque[bool] = deque(last, maxlen=settings.window)
        self.raised: bool = raised

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return SNAPSHOT_VERSION, self.raised, tuple(self._last)

    @property
    def compared(self) -> int:
        """How many comparisons the window holds."""
        return len(self._last)

    @property
    def share(self) -> float:
        """The share of them that differ, 0 without any."""
        return sum(self._last) / len(self._last) if self._last else 0.0

    def take(self, audit: AuditRecord) -> Change | None:
        """Count one audit."""
        if audit.result not in COMPARED:
            return None
        self._last.append(audit.result in DIFFERING)
        if len(self._last) < min(self._settings.least, self._settings.window):
            return None
        if not self.raised and self.share > self._settings.raise_share:
            self.raised = True
            return Change.RAISED
        if self.raised and self.share <= self._settings.clear_share:
            self.raised = False
            return Change.CLEARED
        return None
