"""Transactions and reading, on the real broker."""

from __future__ import annotations

import pytest

from infra.kafka import clients
from infra.kafka.layout import LogLayout
from infra.kafka.reading import read_events, read_records, tail_records, tail_state
from infra.kafka.transactional import TransactionalWriter
from schemas.config import KafkaConfig
from schemas.topics import SEQUENCED
from tests.kafka.traffic import events, parts_of, write_events

pytestmark = pytest.mark.kafka


def test_events_come_back_as_written(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(100))
    assert list(read_events(kafka, 1)) == events(1, 0, 100)


def test_what_was_just_committed_is_read(kafka: KafkaConfig) -> None:
    """A broker acknowledges a commit before its partitions show it (here in one of six on a busy machine)."""
    layout = LogLayout(kafka, clients.admin(kafka))
    partitions = layout.partitions(t.name for t in SEQUENCED)
    with TransactionalWriter(kafka, "ingest.1") as writer:
        for seq in range(300):
            writer.commit(parts_of(1, seq))
            ends = layout.settled_ends(partitions, wait_s=60.0)
            # Nothing else is under way, so nothing may lie behind the ends.
            assert ends == layout.written_ends(partitions)
    assert list(read_events(kafka, 1)) == events(1, 0, 300)


def test_a_transaction_that_stays_open_does_not_hold_readers_up_for_ever(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(5))
    layout = LogLayout(kafka, clients.admin(kafka))
    before = layout.settled_ends(layout.partitions(["blocks"]))
    writer = clients.transactional_producer(kafka, "stuck", 60_000)
    writer.init_transactions(30)
    writer.begin_transaction()
    writer.produce(kafka.topic("blocks"), b"never committed", b"k")
    writer.flush(30)
    try:
        assert layout.settled_ends(layout.partitions(["blocks"]), wait_s=0.5) == before
    finally:
        writer.abort_transaction(30)


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
    # A tail is for who has taken over as the writer, and waits for nobody; here the last commit may still be on its way.
    assert len(list(read_events(kafka, 2))) == 1000
    assert [r.seq for r in tail_records(kafka, "blocks", 2, chain=1)] == [0, 5]
    assert [r.seq for r in tail_records(kafka, "blocks", 2)] == [990, 995]
    newest = tail_state(kafka, 1).newest
    assert {name: r.seq for name, r in newest.items()} == {
        "blocks": 5, "logs": 5, "receipts": 5, "pending": 7, "pools": 8, "witness": 8, "control": 9
    }  # fmt: skip
