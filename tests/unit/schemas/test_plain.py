"""Plain data: one form for everything there is, and nothing but that form is read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.plain import pack_plain, unpack_plain

integers = st.integers() | st.sampled_from(
    [s * (1 << b) + d for b in (31, 63, 64, 128, 255, 256) for d in (-1, 0, 1) for s in (1, -1)]
)
plain_values = st.recursive(
    integers | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
    max_leaves=12,
)
plains = st.lists(plain_values, max_size=8).map(tuple)


def types_of(value: Any) -> Any:
    return tuple(types_of(entry) for entry in value) if type(value) is tuple else type(value)


@given(plains)
def test_what_is_packed_is_unpacked_with_its_types(plain: tuple[Any, ...]) -> None:
    again = unpack_plain(pack_plain(plain))
    assert again == plain
    assert types_of(again) == types_of(plain)


@given(plains, plains)
def test_equal_bytes_are_equal_data(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    assert (pack_plain(one) == pack_plain(two)) == (one == two)


@given(st.binary(max_size=60))
def test_garbage_is_a_value_error_or_the_one_form(data: bytes) -> None:
    try:
        plain = unpack_plain(data)
    except ValueError as error:
        assert "plain data" in str(error)
    else:
        assert pack_plain(plain) == data


@given(plains, st.data())
def test_mutated_data_is_a_value_error_or_the_one_form(plain: tuple[Any, ...], data: st.DataObject) -> None:
    packed = bytearray(pack_plain(plain))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    test_garbage_is_a_value_error_or_the_one_form.hypothesis.inner_test(bytes(packed))  # type: ignore[attr-defined]


def extension(number: int, length: int = 0) -> msgspec.msgpack.Ext:
    length = length or number.bit_length() // 8 + 1
    return msgspec.msgpack.Ext(1, number.to_bytes(length, "big", signed=True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        msgspec.msgpack.encode(1),
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([{"a": 1}]),
        msgspec.msgpack.encode([None]),
        msgspec.msgpack.encode([True]),
        msgspec.msgpack.encode([1.5]),
        msgspec.msgpack.encode([msgspec.msgpack.Ext(2, b"x")]),
        msgspec.msgpack.encode([msgspec.msgpack.Ext(-1, bytes(8))]),
        msgspec.msgpack.encode([extension(5)]),
        msgspec.msgpack.encode([extension(1 << 64, 12)]),
        msgspec.msgpack.encode([extension(1 << 64)]) + b"\0",
        b"\x91\xcc\x01",
        b"\x91\xa1\xff",
        b"\x92\x01",
        b"\x91" * 16 + b"\x90",
        b"\x91" * 100_000 + b"\x90",
    ],
    ids=["empty", "no array", "a map", "a map inside", "nil", "bool", "float", "other extension", "time", "narrow as wide",
         "wide, too long", "more behind", "long form of 1", "no text", "cut", "too deep", "far too deep"],
)  # fmt: skip
def test_what_is_no_plain_data_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="plain data"):
        unpack_plain(data)


@pytest.mark.parametrize("value", [None, True, 1.5, [1], {"a": 1}, bytearray(b"x")])
def test_what_is_no_plain_data_is_not_packed(value: object) -> None:
    for plain in ((value,), ((1, value),)):
        with pytest.raises(TypeError, match="no plain data"):
            pack_plain(plain)


def test_the_depth_is_bounded() -> None:
    plain: tuple[Any, ...] = ()
    for _ in range(15):
        plain = (plain,)
    assert unpack_plain(pack_plain(plain)) == plain
    with pytest.raises(TypeError, match="deep"):
        pack_plain((plain,))
