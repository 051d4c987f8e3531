"""Our RLP is the library's: the same bytes written, the same items read, and nothing read that the library would not."""

from __future__ import annotations

import random
from typing import Any

import pytest
import rlp

from infra.chain import rlp_items
from infra.chain.rlp_items import NotRlp, decode, encode

LENGTHS = (0, 1, 2, 20, 32, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536)


def some(rng: random.Random, depth: int) -> Any:
    if depth and rng.random() < 0.4:
        return [some(rng, depth - 1) for _ in range(rng.randrange(6))]
    return rng.randbytes(rng.choice(LENGTHS[:12]))


def theirs(data: bytes) -> Any:
    try:
        return rlp.decode(data)
    except rlp.DecodingError:
        return NotRlp


def ours(data: bytes) -> Any:
    try:
        return decode(data)
    except NotRlp:
        return NotRlp


def test_what_is_written_is_what_the_library_writes() -> None:
    rng = random.Random(1)
    for item in [*map(bytes, LENGTHS), b"\x7f", b"\x80", [], [[]], *(some(rng, 4) for _ in range(500))]:
        encoded = encode(item)
        assert encoded == rlp.encode(item)
        assert decode(encoded) == item
        if isinstance(item, list):
            assert rlp_items.list_of(b"".join(map(encode, item))) == encoded


def test_what_is_read_is_what_the_library_reads_also_of_broken_bytes() -> None:
    rng, refused = random.Random(2), 0
    for _ in range(4_000):
        data = bytearray(encode(some(rng, 3)))[:600]
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.5 and at < len(data):
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0xB7, 0xB8, 0xB9, 0xC0, 0xC1, 0xF7, 0xF8, 0xF9, 0xFF))
            else:
                data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        found = ours(bytes(data))
        assert found == theirs(bytes(data)), data.hex()
        refused += found is NotRlp
    assert 400 < refused < 3_600


@pytest.mark.parametrize(
    "data", ["", "81", "8100", "b800", "b90001ff", "b837" + "00" * 55, "c1", "c28001ff", "f800", "c3820102ff"]
)
def test_bytes_that_are_not_in_the_one_form(data: str) -> None:
    assert ours(bytes.fromhex(data)) is NotRlp is theirs(bytes.fromhex(data))


def test_lists_in_lists_without_end_are_refused() -> None:
    item = rlp_items.list_of(b"")
    for _ in range(31):
        item = rlp_items.list_of(item)
    assert ours(item) == theirs(item)
    for _ in range(5_000):
        item = rlp_items.list_of(item)
    assert ours(item) is NotRlp
