"""Content hashes: the ids of records, so that a repeated output is recognised as the same record."""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar

import msgspec

from schemas.codec import encode_fields
from schemas.record import Record
from schemas.types import ZERO_HASH

R = TypeVar("R", bound=Record)


def content_id(record: Record) -> bytes:
    """32-byte BLAKE2b of the record's wire fields with its `id` field blanked, bound to topic and version."""
    # Records are made with a blank one; a copy is for those that were read.
    blank = record if getattr(record, "id", None) == ZERO_HASH else msgspec.structs.replace(record, id=ZERO_HASH)
    head = f"{record.TOPIC}/{record.VERSION}\0".encode()
    return blake2b(head + encode_fields(blank), digest_size=32).digest()


def with_id(record: R) -> R:
    """The record with its `id` set to its content hash."""
    return msgspec.structs.replace(record, id=content_id(record))
