"""Topics `commands` (asked for by people and flows, unordered) and `control` (the same, sequenced)."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Record, Sequenced
from schemas.types import Hash, Name, Text, Uint


class Command(StrEnum):
    """What a flow can be told while it runs."""

    PAUSE = "pause"
    RESUME = "resume"
    COOLDOWN = "cooldown"
    #: The sequencer suspends a pool: it is not traded and not taken in again before it is readmitted.
    SUSPEND_POOL = "suspend_pool"
    #: The sequencer reads a suspended or refused pool anew, with its tokens.
    READMIT_POOL = "readmit_pool"
    #: The sequencer reads a pool of the log anew, with what trades through it read: a simulation missed a part of that.
    REQUEST_WITNESS = "request_witness"


class CommandRecord(Record, frozen=True):
    """A request to the sequencer of `chain`. `id` is the content hash by which a repetition is recognised.

    `subject` names what the command is about (a pool address in hex for those about a pool; empty for all). `until_block` bounds it
    (0: until told otherwise). `reason` of `suspend_pool` is what the pool is refused for. Feedback of other flows arrives by this topic, so
    that a replay sees it as well.
    """

    TOPIC = "commands"

    id: Hash
    chain: Uint
    command: Command
    subject: Name
    until_block: Uint
    reason: Text
    issuer: Name


class ControlRecord(Sequenced, frozen=True):
    """A command in the order of the chain's events."""

    TOPIC = "control"

    id: Hash
    command: Command
    subject: Name
    until_block: Uint
    reason: Text
    issuer: Name
    first_seen_ns: Uint


GOLDEN_COMMAND = CommandRecord(
    id=b"\x0e" * 32, chain=1, command=Command.PAUSE, subject="", until_block=0, reason="maintenance", issuer="operator"
)

GOLDEN = ControlRecord(
    chain=1, seq=9, part=0, parts=1, id=b"\x0e" * 32, command=Command.PAUSE, subject="", until_block=0,
    reason="maintenance", issuer="operator", first_seen_ns=1_716_461_966_000_000_000,
)  # fmt: skip
