"""Where a replay ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Until:
    """Stop behind event `seq`, or at the end the log had at the start, whichever comes first. `seq` None: at the end."""

    seq: int | None = None
