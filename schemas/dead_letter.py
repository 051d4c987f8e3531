"""Topic `dead_letter`: records that could not be read, with where they were and why."""

from __future__ import annotations

from schemas.record import Record
from schemas.types import Name, Text, Uint


class DeadLetterRecord(Record, frozen=True):
    """An unreadable record, kept whole: `key` and `value` are its bytes as found at `topic`/`partition`/`offset`.

    `reader` is the flow that met it. The same record met again (after a restart, by another flow) gives the same
    key, so consumers collapse it."""

    TOPIC = "dead_letter"

    topic: Name
    partition: Uint
    offset: Uint
    reason: Name
    detail: Text
    reader: Name
    key: bytes
    value: bytes


GOLDEN = DeadLetterRecord(
    topic="blocks", partition=0, offset=41, reason="not_a_record", detail="first byte 0x7b, expected 0x53",
    reader="search", key=b"1", value=b'{"oops":1}',
)  # fmt: skip
