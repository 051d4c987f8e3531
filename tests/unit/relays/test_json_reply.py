"""Replies that would overflow the parser."""

from __future__ import annotations

import json

import eth_account  # noqa: F401 - raises the recursion limit, which is what makes the deep ones dangerous
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.relays.json_reply import MAX_DEPTH, parse

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\,:ab\n', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\', max_size=4), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(document=_json)
def test_equals_the_parser(document: object) -> None:
    assert parse(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'["]",' * 200_000,
        b'["\\"]",' * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        ("[" * 100_000).encode("utf-16"),
        b'"' + b"[" * 100_000,
        b"\xff",
        b"",
    ],
)
def test_too_deep_or_no_json_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse(raw)


def test_the_allowed_depth() -> None:
    assert parse(b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1))
