"""The wire form of records: two bytes (magic, version), then a msgpack array of the fields.

Decoding checks everything the type says (lengths, ranges, field count), so a record that decodes is valid. What does not
decode raises `BadRecord` with a reason from a closed list, which is what the dead-letter topic counts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from schemas.record import Record
from schemas.types import Signed, Wide, signed_from_bytes, signed_to_bytes, wide_from_bytes, wide_to_bytes

MAGIC = 0x53


class BadRecordReason(StrEnum):
    """Why a record could not be read."""

    NOT_A_RECORD = "not_a_record"
    TRUNCATED = "truncated"
    WRONG_VERSION = "wrong_version"
    OVERSIZED = "oversized"
    INVALID = "invalid"
    WRONG_CHAIN = "wrong_chain"


class BadRecord(ValueError):
    """A record that cannot be read: `reason` is machine-readable, `detail` names the field or the cause."""

    def __init__(self, reason: BadRecordReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def _encode_hook(value: Any) -> bytes:
    if type(value) is Wide:
        return wide_to_bytes(value)
    if type(value) is Signed:
        return signed_to_bytes(value)
    raise NotImplementedError(f"no wire form for {type(value).__name__}")


def _decode_hook(kind: type, value: Any) -> Any:
    if not isinstance(value, bytes):
        raise ValueError(f"expected the bytes of an integer, got {type(value).__name__}")
    if kind is Wide:
        return wide_from_bytes(value)
    if kind is Signed:
        return signed_from_bytes(value)
    raise NotImplementedError(f"no wire form for {kind.__name__}")


R = TypeVar("R", bound=Record)
_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_hook)


def encode_fields(record: Record) -> bytes:
    """The record's fields as a msgpack array, without the two head bytes: the input of content hashes."""
    return _encoder.encode(record)


class Codec(Generic[R]):
    """Encoder and decoder of one record type. `max_bytes` bounds what is read and written."""

    def __init__(self, record: type[R], max_bytes: int) -> None:
        self.record = record
        self.max_bytes = max_bytes
        self._head = bytes((MAGIC, record.VERSION))
        self._decoder = msgspec.msgpack.Decoder(record, dec_hook=_decode_hook)

    def encode(self, record: R) -> bytes:
        """The record's bytes. Raises `BadRecord(OVERSIZED)` above `max_bytes`: nothing that big is ever written."""
        data = self._head + _encoder.encode(record)
        if len(data) > self.max_bytes:
            raise BadRecord(
                BadRecordReason.OVERSIZED,
                f"{self.record.__name__} of {len(data)} bytes, at most {self.max_bytes} allowed",
            )
        return data

    def decode(self, data: bytes | None) -> R:
        """The record, fully validated. Raises `BadRecord`."""
        if not data:
            raise BadRecord(BadRecordReason.NOT_A_RECORD, "empty value")
        if len(data) > self.max_bytes:
            raise BadRecord(BadRecordReason.OVERSIZED, f"{len(data)} bytes, at most {self.max_bytes} allowed")
        if data[0] != MAGIC:
            raise BadRecord(BadRecordReason.NOT_A_RECORD, f"first byte {data[0]:#04x}, expected {MAGIC:#04x}")
        if data[1:2] != self._head[1:2]:
            found = data[1] if len(data) > 1 else "none"
            raise BadRecord(BadRecordReason.WRONG_VERSION, f"version {found}, this reader knows {self.record.VERSION}")
        try:
            return self._decoder.decode(memoryview(data)[2:])
        except msgspec.ValidationError as error:
            raise BadRecord(BadRecordReason.INVALID, str(error)) from None
        except UnicodeDecodeError as error:
            raise BadRecord(BadRecordReason.INVALID, str(error)) from None
        except msgspec.DecodeError as error:
            truncated = "truncated" in str(error)
            reason = BadRecordReason.TRUNCATED if truncated else BadRecordReason.NOT_A_RECORD
            raise BadRecord(reason, str(error)) from None
