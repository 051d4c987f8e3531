"""Ranges of blocks that follow what providers say: every block is asked for once, whatever the limits are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.spans import START, Span, Spans, bound_in, suggested_in

WIDE = Span(16, 300_015)


@given(st.integers(0, 1000), st.integers(0, 6_000), st.integers(1, 7_000), st.booleans())
def test_all_blocks_once_within_any_limit(first: int, count: int, limit: int, told: bool) -> None:
    spans = Spans(first, first + count - 1)
    taken: list[Span] = []
    refused = 0
    while (span := spans.next) is not None:
        if span.length > limit:
            refused += 1
            assert spans.refused(span, f"exceed maximum block range: {limit}" if told else "query timeout exceeded")
        else:
            spans.taken(span)
            taken.append(span)
    assert [number for span in taken for number in range(span.first, span.last + 1)] == list(
        range(first, first + count)
    )
    if told and limit >= 10:
        assert refused <= 1


def test_where_nothing_is_refused_few_requests_reach_far() -> None:
    spans = Spans(0, 20_000_000)
    asked = 0
    while (span := spans.next) is not None:
        spans.taken(span)
        asked += 1
    assert asked < 16


def test_ranges_grow_again_after_a_dense_stretch() -> None:
    spans = Spans(0, 10_000_000)
    asked = 0
    while (span := spans.next) is not None:
        asked += 1
        dense = span.last >= 100_000 and span.first < 200_000
        if dense and span.length > 500:
            spans.refused(span, "query returned more than 10000 results")
        else:
            spans.taken(span)
    assert asked < 500


def test_a_single_block_that_is_refused_is_the_end() -> None:
    spans = Spans(5, 5)
    assert not spans.refused(Span(5, 5), "too many results")


def test_a_suggested_range_is_taken_at_its_word() -> None:
    spans = Spans(16, 10_000_000)
    span = spans.next
    assert span == Span(16, 15 + START)
    assert spans.refused(span, "query returned more than 10000 results. Try with this block range [0x10, 0x41].")
    assert spans.next == Span(16, 0x41)
    assert suggested_in("Try with this block range [0x11, 0x41].", WIDE) is None


@pytest.mark.parametrize(
    ("said", "bound"),
    [
        ("query exceeds max block range 100000", 100_000),
        ("eth_getLogs is limited to a 10,000 range", 10_000),
        ("up to a 2K block range and no limit on the response size, or any range with a cap of 10K logs", 2000),
        ("The block range is too large (max 5k)", 5000),
        ("ranges over 10000 blocks are not supported", 10_000),
        ("requested too many blocks from 1 to 300000, maximum is set to 2048", 2048),
        ("You cannot query logs for more than 1024 blocks", 1024),
        ("block range is too wide", None),
        ("query returned more than 10000 results. Try with this block range [0x1, 0x2].", None),
        ("range 300000 exceeds the limit", None),
        ("query timeout exceeded", None),
        ("exceed max results 20000", None),
    ],
)
def test_bounds_in_messages(said: str, bound: int | None) -> None:
    assert bound_in(said, WIDE) == bound
