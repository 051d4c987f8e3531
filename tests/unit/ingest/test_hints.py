"""Hints: what a stream's events say, and the book of those that wait."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.chain.errors import NodeLied
from infra.ingest.hint_events import hint_record
from operators.ingest.hint_book import SEEN_KEPT, HintBook
from schemas.hints import GOLDEN, HintRecord
from schemas.topics import topic
from tests.shared_data import recorded

HASH = "0x" + "1f" * 32


def hint(number: int) -> HintRecord:
    return msgspec.structs.replace(GOLDEN, hash=number.to_bytes(32, "big"))


def read(**fields: Any) -> HintRecord:
    return hint_record(1, json.dumps({"hash": HASH, **fields}).encode(), 7)


def test_every_recorded_event_is_read_and_fits_its_topic() -> None:
    events = recorded("flashbots__hindsight/mev_share_events.json.xz")
    for event in events:
        told = event["hint"]
        record = hint_record(1, json.dumps(told).encode(), 7)
        codec = topic(record.TOPIC).codec
        assert codec.decode(codec.encode(record)) == record
        assert "0x" + record.hash.hex() == told["hash"]
        logs, calls = told["logs"] or [], told["txs"] or []
        assert [("0x" + log.address.hex(), "0x" + log.data.hex()) for log in record.logs] == [
            (log["address"], log["data"]) for log in logs
        ]
        assert [["0x" + word.hex() for word in log.topics] for log in record.logs] == [log["topics"] for log in logs]
        assert [["0x" + call.to.hex(), "0x" + call.data.hex()] for call in record.calls] == [
            [call["to"], call["callData"]] for call in calls
        ]
        assert (record.gas_used, record.gas_price) == (told["gasUsed"], told["mevGasPrice"])


def test_what_is_not_told_is_empty() -> None:
    record = read(logs=None, txs=[{}], somethingNew={"x": 1})
    assert (record.logs, record.calls[0].to, record.calls[0].selector, record.gas_used) == ((), b"", b"", 0)
    assert read(gasUsed="0x5208", mevGasPrice="0x77359400").gas_price == 2 * 10**9


@pytest.mark.parametrize(
    "fields",
    [
        {"hash": "0x1f"},
        {"logs": [{"address": "0x06", "topics": []}]},
        {"logs": [{"address": "0x" + "06" * 20, "topics": ["0x" + "00" * 32] * 5}]},
        {"logs": [{"address": "0x" + "06" * 20, "topics": ["0x00"]}]},
        {"logs": [{"address": "0x" + "06" * 20, "data": "0xf"}]},
        {"txs": [{"functionSelector": "0x0102"}]},
        {"gasUsed": "0x" + "ff" * 9},
        {"gasUsed": -1},
        {"logs": 5},
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(NodeLied, match="malformed"):
        read(**fields)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"hash":5}', b"\xff", b'{"hash":"\xff"}', b'{"x":' + b"[" * 10**6]
)
def test_what_is_no_hint_is_refused(data: bytes) -> None:
    with pytest.raises(NodeLied, match="malformed"):
        hint_record(1, data, 7)


@given(st.lists(st.one_of(st.integers(0, 30), st.just("write")), max_size=80), st.integers(1, 8))
def test_the_book_takes_each_once_and_keeps_the_newest(actions: list[int | str], most: int) -> None:
    book = HintBook(most)
    seen: set[int] = set()
    waiting: list[int] = []
    for action in actions:
        if isinstance(action, int):
            dropped = 0
            if action not in seen:
                waiting.append(action)
                dropped = max(0, len(waiting) - most)
                waiting = waiting[-most:]
            assert book.add(hint(action)) == dropped
            seen.add(action)
        else:
            some = book.waiting(3)
            assert some == [hint(number) for number in waiting[:3]]
            book.done(each.hash for each in some)
            waiting = waiting[3:]
        assert len(book) == len(waiting)
    assert all(book.seen(hint(number).hash) for number in seen)


def test_what_is_remembered_is_bounded() -> None:
    book = HintBook(4)
    book.remember(number.to_bytes(32, "big") for number in range(SEEN_KEPT + 10))
    assert not book.seen((9).to_bytes(32, "big")) and book.seen((10).to_bytes(32, "big"))
