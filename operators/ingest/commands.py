"""Which commands were sequenced already: the topic of commands is delivered at least once, the sequence holds each once."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.control import Command, CommandRecord, ControlRecord

#: Commands that replace each other: a repetition is one that changes nothing since the last of its family and subject.
_FAMILY = {Command.PAUSE: "switch", Command.RESUME: "switch", Command.COOLDOWN: "cooldown",
           Command.SUSPEND_POOL: "admission", Command.READMIT_POOL: "admission",
           Command.REQUEST_WITNESS: "witness"}  # fmt: skip


class CommandFilter:
    """Recognises repetitions: a command whose id is that of the newest sequenced command of the same family and subject."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], bytes] = {}

    def take(self, command: CommandRecord | ControlRecord) -> bool:
        """Whether the command is news; if so it is the newest of its kind from now on."""
        kind = (_FAMILY[command.command], command.subject)
        if self._newest.get(kind) == command.id:
            return False
        self._newest[kind] = command.id
        return True


def already_sequenced(control: Sequence[bytes], commands: Sequence[bytes]) -> int:
    """How many of the commands read again after a restart are in the log: the longest run of them that ends it. Ids, oldest first.

    A run that merely looks the same leaves the same commands in force, in the same order, so nothing is lost by it.
    """
    for count in range(min(len(control), len(commands)), 0, -1):
        if list(control[-count:]) == list(commands[:count]):
            return count
    return 0
