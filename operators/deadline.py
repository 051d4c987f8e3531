"""The hook by which the simulations of an event are given only so long. Operators have no clock; whoever sets a deadline brings one.

Which candidates were late is no function of the events, so it is an input like them: it is in the decision's record, recorded before anything
acts on it, and whoever decides the event again (after a crash, in a replay) is told it instead of looking at a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.decisions import DecisionRecord
from schemas.event import Event

#: The reason for which a candidate is refused whose turn came after the deadline.
LATE = "late"
LATE_DETAIL = "its turn came after the event's deadline"


class Allowance(NamedTuple):
    """What an event's simulations are allowed. `late` are the indices of the candidates to refuse, or None: whose turn comes after `until_ns`
    on the clock of whoever allowed it. Plain data that crosses processes."""

    late: tuple[int, ...] | None = ()
    until_ns: int = 0


#: Nothing is late.
UNLIMITED = Allowance()


class Deadline(Protocol):
    """A policy. Only `late` indices may reach a decision, never a time."""

    def arrived(self) -> int:
        """The moment from which the events of a batch that has just come count, in nanoseconds of its own clock."""

    def allow(self, event: Event, arrived_ns: int) -> Allowance:
        """What is allowed to an event that was gathered then. Asked once per event, in their order."""

    def passed(self, until_ns: int) -> bool:
        """Whether the clock is past this moment. Asked in whatever process simulates."""

    def keep(self, decisions: Sequence[DecisionRecord]) -> None:
        """Return when these decisions, which have late candidates, will be found by whoever decides their events again."""


class NoDeadline:
    """The policy of a flow in which nothing is ever late."""

    def arrived(self) -> int:
        """There is no clock."""
        return 0

    def allow(self, event: Event, arrived_ns: int) -> Allowance:
        """Everything."""
        return UNLIMITED

    def passed(self, until_ns: int) -> bool:
        """Never."""
        return False

    def keep(self, decisions: Sequence[DecisionRecord]) -> None:
        """There are none."""


NO_DEADLINE = NoDeadline()


def is_late(deadline: Deadline, allowance: Allowance, index: int) -> bool:
    """Whether the candidate whose turn it is must be refused."""
    return deadline.passed(allowance.until_ns) if allowance.late is None else index in allowance.late
