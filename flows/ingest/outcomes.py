"""How the sequencer ends, and what it tells of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass

#: Exit codes of the process: wrong arguments or configuration; another sequencer took over; the chain, the node or the log cannot be
#: followed.
EXIT_USAGE = 2
EXIT_FENCED = 3
EXIT_STOPPED = 4


class IngestStopped(Exception):
    """The sequencer cannot go on and says why; nothing half-done is in the log."""


@dataclass(frozen=True)
class IngestProgress:
    """Where the sequencer is: newest block in the log, how many blocks the node is ahead, transactions pending, pools tracked, pools known
    but not admitted yet, whether the factories' past is searched, next seq."""

    block: int
    lag: int
    pending: int
    pools: int
    next_seq: int
    waiting: int = 0
    discovered: bool = False
