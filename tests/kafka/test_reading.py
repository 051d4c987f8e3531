"""Transactions and reading, on the real broker."""

from __future__ import annotations

import pytest

from infra.kafka.reading import read_events, read_records, tail_records, tail_state
from schemas.config import KafkaConfig
from tests.kafka.traffic import events, write_events

pytestmark = pytest.mark.kafka


def test_events_come_back_as_written(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(100))
    assert list(read_events(kafka, 1)) == events(1, 0, 100)


def test_from_and_until_bound_what_is_read(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(50))
    assert [e.seq for e in read_events(kafka, 1, 10, 20)] == list(range(10, 21))


def test_an_empty_log_has_no_events_and_no_tail(kafka: KafkaConfig) -> None:
    assert list(read_events(kafka, 1)) == []
    assert list(read_records(kafka, "blocks")) == []
    assert tail_state(kafka, 1).next_seq == 0


def test_chains_share_topics_without_meeting(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(30))
    write_events(kafka, 2, range(20))
    write_events(kafka, 1, range(30, 60))
    assert list(read_events(kafka, 1)) == events(1, 0, 60)
    assert list(read_events(kafka, 2)) == events(2, 0, 20)
    assert tail_state(kafka, 1).next_seq == 60
    assert tail_state(kafka, 2).next_seq == 20
    assert tail_state(kafka, 3).next_seq == 0


def test_tail_finds_the_newest_records_of_a_chain_behind_those_of_another(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(10))
    write_events(kafka, 2, range(1000), group=200)
    assert [r.seq for r in tail_records(kafka, "blocks", 2, chain=1)] == [0, 5]
    assert [r.seq for r in tail_records(kafka, "blocks", 2)] == [990, 995]
    newest = tail_state(kafka, 1).newest
    assert {name: r.seq for name, r in newest.items()} == {
        "blocks": 5, "logs": 5, "receipts": 5, "pending": 7, "pools": 8, "witness": 8, "control": 9
    }  # fmt: skip
