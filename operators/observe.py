"""The hook by which a flow may measure its stages. Operators have no clock; whoever observes brings one."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the name of the stage that has just finished and the event's seq. Must not influence anything.
Observe = Callable[[str, int], None]


def ignore(stage: str, seq: int) -> None:
    """Observe nothing."""
