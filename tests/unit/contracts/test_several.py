"""Several calls as one against eth_abi, and what is not one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from contracts.executor import KIND_V2, EncodingError, EncodingReason, Hop, encode_execute
from contracts.several import EXECUTE_ALL_SELECTOR, MAX_CALLS, decode_all, encode_all

TOKEN = b"\x11" * 20

amounts = st.integers(1, 2**128 - 1)
hops = st.lists(
    st.builds(Hop, st.binary(min_size=20, max_size=20), st.booleans(), amounts, st.just(KIND_V2)),
    min_size=2,
    max_size=8,
)
calls = st.builds(encode_execute, st.just(TOKEN), amounts, st.integers(0, 2**128 - 1), hops)


def one() -> bytes:
    return encode_execute(TOKEN, 7, 1, [Hop(b"\x22" * 20, True, 5), Hop(b"\x33" * 20, False, 9)])


@given(st.lists(calls, min_size=2, max_size=6))
def test_equals_eth_abi_and_comes_back(together: list[bytes]) -> None:
    data = encode_all(together)
    assert data == keccak(text="executeAll(bytes[])")[:4] + encode(["bytes[]"], [together])
    assert decode_all(data) == tuple(together)


@given(st.data())
def test_damaged_calldata_is_refused_or_means_something_else(data: st.DataObject) -> None:
    good = encode_all([one(), one()])
    with pytest.raises(EncodingError):
        decode_all(good[: data.draw(st.integers(0, len(good) - 1))])
    with pytest.raises(EncodingError):
        decode_all(good + b"\0")
    position = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes((*good[:position], good[position] ^ data.draw(st.integers(1, 255)), *good[position + 1 :]))
    with suppress(EncodingError):
        assert decode_all(flipped) != (one(), one())


@pytest.mark.parametrize(
    ("together", "reason"),
    [
        ([], EncodingReason.CALL_COUNT),
        ([one()], EncodingReason.CALL_COUNT),
        ([one()] * (MAX_CALLS + 1), EncodingReason.CALL_COUNT),
        ([one(), b""], EncodingReason.MALFORMED),
        ([one(), encode_all([one(), one()])], EncodingReason.MALFORMED),
    ],
)
def test_what_does_not_go_together(together: list[bytes], reason: EncodingReason) -> None:
    with pytest.raises(EncodingError) as refused:
        encode_all(together)
    assert refused.value.reason is reason


def test_a_count_that_lies_is_not_believed() -> None:
    count = 2**256 - 1
    with pytest.raises(EncodingError):
        decode_all(EXECUTE_ALL_SELECTOR + (32).to_bytes(32, "big") + count.to_bytes(32, "big") + bytes(64))
