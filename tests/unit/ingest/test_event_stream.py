"""Server-sent events: the same whatever the pieces, bounded whatever comes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from infra.ingest.event_stream import EventStream

BODY = b':ping\n\ndata: {"a":1}\n\nevent: hint\r\ndata:one\r\ndata: two\r\n\r\n: x\ndata: three\r\r\ndata: last\n'
EVENTS = [b'{"a":1}', b"one\ntwo", b"three"]


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(BODY)]
    stream = EventStream(100)
    found = [event for start, end in pairwise(places) for event in stream.feed(BODY[start:end])]
    assert found == EVENTS
    assert stream.oversized == 0


@given(st.integers(1, 40), st.integers(1, 7))
def test_what_is_too_long_is_left_out_and_the_rest_is_not(length: int, piece: int) -> None:
    stream = EventStream(20)
    body = b"data: first\n\ndata: " + b"x" * length + b"\n\ndata: last\n\n"
    found = [event for at in range(0, len(body), piece) for event in stream.feed(body[at : at + piece])]
    middle = [b"x" * length] if length <= 20 else []
    assert found == [b"first", *middle, b"last"]
    assert stream.oversized == (length > 20)


def test_a_line_without_an_end_is_not_kept() -> None:
    stream = EventStream(1000)
    for _ in range(200):
        assert stream.feed(b"data: " + b"x" * 65_536) == []
    assert len(stream._line) < 1100
    assert stream.feed(b"\n\ndata: here\n\n") == [b"here"]
    assert stream.oversized == 1
