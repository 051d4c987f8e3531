"""The base of all records, and what every sequenced record carries."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from schemas.types import Uint


class Part(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """A structure inside a record. Written as a plain array: positions are the schema, so fields are only appended
    together with a new version of the record that holds them.

    Frozen plain data never refers to itself, and a block has thousands of them: the garbage collector leaves them alone."""


class Record(Part, frozen=True):
    """A record of one topic. `TOPIC` and `VERSION` are part of its definition."""

    TOPIC: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1


class Sequenced(Record, frozen=True):
    """A record stamped by the sequencer of its chain.

    `seq` counts events of the chain from 0 without a gap, across all topics. An event has `parts` records with the same
    `seq`; `part` is this record's place among them, from 0. The event is complete when all its parts are there.
    """

    chain: Uint
    seq: Uint
    part: Uint
    parts: Uint
