"""A column of hex is read as its values would be one by one, whatever a node puts into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.chain import hexes
from infra.chain.errors import LieReason, NodeLied
from schemas.types import Wide

ADDRESSES = st.binary(min_size=20, max_size=20).map(hexes.show)
#: Texts near to the form, by the characters that make it up and those that Python's readers of numbers would let pass.
NEARLY = st.text(alphabet="0x1fF,_ +-\n１é", max_size=6)
A, B = "0x" + "ab" * 20, "0x" + "0" * 40


def outcome(read: Callable[[], Sequence[object]]) -> Sequence[object] | LieReason:
    try:
        return read()
    except NodeLied as lie:
        return lie.reason


@given(st.lists(ADDRESSES | NEARLY.map(lambda text: A[:-3] + text) | NEARLY, max_size=5))
@example([])
@example([A, A.upper().replace("0X", "0x"), B])
@example([A[:-1], "b" + B])  # the same text together as of two addresses
@example([A[:-2], "ab" + B])
@example([A + B, ""])
@example(["", A + B])
@example([A[:-1] + "x", B])
@example(["00" + A[2:], B])
@example([A, "0X" + B[2:]])
def test_a_column_of_addresses(values: list[str]) -> None:
    one_by_one = outcome(lambda: [hexes.address(value) for value in values])
    assert outcome(lambda: hexes.addresses(values)) == one_by_one


@given(st.lists(st.binary(min_size=32, max_size=32).map(hexes.show) | ADDRESSES | NEARLY, max_size=4))
@example([A[:-1] + "0" * 24, "b" + B + "0" * 24])
@example([A + "0" * 24, "0X" + "0" * 64])
def test_a_column_of_hashes(values: list[str]) -> None:
    one_by_one = outcome(lambda: [hexes.hash32(value) for value in values])
    assert outcome(lambda: hexes.hashes32(values)) == one_by_one


@given(st.lists(st.none() | st.just("") | ADDRESSES | NEARLY, max_size=4))
def test_a_column_of_addresses_that_may_be_absent(values: list[str | None]) -> None:
    one_by_one = outcome(lambda: [hexes.optional_address(value) for value in values])
    assert outcome(lambda: hexes.optional_addresses(values)) == one_by_one


@given(
    st.lists(st.integers(0, (1 << 65) - 1).map(hex) | NEARLY | NEARLY.map("0x1".__add__), max_size=5),
    st.sampled_from([hexes.UINT_BITS, 256]),
)
@example(["0x1", "0x1,0x1"], 256)
@example(["0x1", "1"], 256)
@example(["0x1,0x1", "1"], 256)
@example(["0x7fffffffffffffff"] * 2, hexes.UINT_BITS)  # more than the bits only together
@example(["0x1", "0x8000000000000000"], hexes.UINT_BITS)
def test_a_column_of_quantities(values: list[str], bits: int) -> None:
    one_by_one = outcome(lambda: [hexes.quantity(value, bits) for value in values])
    assert outcome(lambda: hexes.quantities(values, bits, int)) == one_by_one


@pytest.mark.parametrize("values", [["0x5", "0xff"], ["0x1" + "0" * 63] * 3])
def test_quantities_are_of_the_kind_asked_for(values: list[str]) -> None:
    assert {type(value) for value in hexes.quantities(values, 256, Wide)} == {Wide}
