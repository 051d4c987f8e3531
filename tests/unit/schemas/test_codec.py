"""Codecs: what is written is read back; what is not a record is a `BadRecord`, never another exception."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import MAGIC, BadRecord, BadRecordReason, Codec
from schemas.control import GOLDEN as CONTROL
from schemas.control import ControlRecord
from schemas.record import Record
from schemas.topics import TOPICS
from schemas.types import Signed, Wide, signed_from_bytes, signed_to_bytes, wide_from_bytes, wide_to_bytes

rows = st.sampled_from(TOPICS)


class _Money(Record):
    wide: Wide
    signed: Signed


@given(st.integers(0, 2**256 - 1))
def test_wide_round_trip(value: int) -> None:
    data = wide_to_bytes(value)
    assert wide_from_bytes(data) == value
    assert len(data) == (value.bit_length() + 7) // 8


@given(st.integers(-(2**255), 2**255 - 1))
def test_signed_round_trip(value: int) -> None:
    data = signed_to_bytes(value)
    assert signed_from_bytes(data) == value
    assert len(data) <= 32


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, -128, -129, 255, 256, 2**255 - 1, -(2**255)])
def test_signed_edges(value: int) -> None:
    assert signed_from_bytes(signed_to_bytes(value)) == value


@pytest.mark.parametrize("value", [-1, 2**256])
def test_wide_outside_its_range(value: int) -> None:
    with pytest.raises(OverflowError, match="does not fit"):
        wide_to_bytes(value)


@pytest.mark.parametrize("value", [-(2**255) - 1, 2**255])
def test_signed_outside_its_range(value: int) -> None:
    with pytest.raises(OverflowError, match="does not fit"):
        signed_to_bytes(value)


@given(st.binary(max_size=40))
def test_a_number_has_one_form(data: bytes) -> None:
    for read, write in ((wide_from_bytes, wide_to_bytes), (signed_from_bytes, signed_to_bytes)):
        try:
            value = read(data)
        except ValueError:
            continue
        assert write(value) == data


@given(st.integers(0, 2**256 - 1), st.integers(-(2**255), 2**255 - 1))
def test_numbers_through_the_codec(wide: int, signed: int) -> None:
    codec = Codec(_Money, 100)
    assert codec.decode(codec.encode(_Money(Wide(wide), Signed(signed)))) == _Money(Wide(wide), Signed(signed))


@given(rows, st.binary(max_size=300))
def test_random_bytes(row: object, data: bytes) -> None:
    for value in (data, bytes((MAGIC, 1)) + data):
        try:
            row.codec.decode(value)  # type: ignore[attr-defined]
        except BadRecord as error:
            assert error.reason in BadRecordReason
            assert error.detail


@given(rows, st.data())
def test_mutated_records(row: object, data: st.DataObject) -> None:
    """A few bytes changed, cut or doubled: a `BadRecord`, or a record that is valid and can be written again."""
    codec = row.codec  # type: ignore[attr-defined]
    value = bytearray(codec.encode(row.golden))  # type: ignore[attr-defined]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        value = value or bytearray(b"\0")
    try:
        record = codec.decode(bytes(value))
    except BadRecord as error:
        assert error.detail
    else:
        assert codec.decode(codec.encode(record)) == record


@given(rows, st.data())
def test_every_cut_is_noticed(row: object, data: st.DataObject) -> None:
    value = row.codec.encode(row.golden)  # type: ignore[attr-defined]
    with pytest.raises(BadRecord):
        row.codec.decode(value[: data.draw(st.integers(0, len(value) - 1))])  # type: ignore[attr-defined]


CODEC = Codec(ControlRecord, 1000)
GOOD = CODEC.encode(CONTROL)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, BadRecordReason.NOT_A_RECORD),
        (b"", BadRecordReason.NOT_A_RECORD),
        (b"{}", BadRecordReason.NOT_A_RECORD),
        (bytes((MAGIC,)), BadRecordReason.WRONG_VERSION),
        (bytes((MAGIC, 2)) + GOOD[2:], BadRecordReason.WRONG_VERSION),
        (GOOD[:-1], BadRecordReason.TRUNCATED),
        (GOOD[:2], BadRecordReason.TRUNCATED),
        (GOOD + b"\0", BadRecordReason.NOT_A_RECORD),
        (GOOD + bytes(1000), BadRecordReason.OVERSIZED),
        (GOOD[:2] + msgspec.msgpack.encode([1, 2]), BadRecordReason.INVALID),
        (GOOD[:2] + msgspec.msgpack.encode({"seq": 1}), BadRecordReason.INVALID),
    ],
)
def test_reasons(value: bytes | None, reason: BadRecordReason) -> None:
    with pytest.raises(BadRecord) as caught:
        CODEC.decode(value)
    assert caught.value.reason is reason


def test_text_that_is_not_utf_8_is_a_bad_record() -> None:
    with pytest.raises(BadRecord) as caught:
        CODEC.decode(GOOD.replace(b"maintenance", b"maintenanc\xff"))
    assert caught.value.reason is BadRecordReason.INVALID


def test_a_field_out_of_range_is_named() -> None:
    fields = list(msgspec.structs.astuple(CONTROL))
    fields[1] = -1
    with pytest.raises(BadRecord, match=r"Expected `int` >= 0.*\$\[1\]"):
        CODEC.decode(GOOD[:2] + msgspec.msgpack.encode(fields))


def test_more_fields_than_known_are_refused() -> None:
    fields = [*msgspec.structs.astuple(CONTROL), 1]
    with pytest.raises(BadRecord) as caught:
        CODEC.decode(GOOD[:2] + msgspec.msgpack.encode(fields))
    assert caught.value.reason is BadRecordReason.INVALID


def test_nothing_oversized_is_written() -> None:
    with pytest.raises(BadRecord, match=r"ControlRecord of .* bytes, at most 20 allowed"):
        Codec(ControlRecord, 20).encode(CONTROL)
