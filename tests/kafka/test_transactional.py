"""Group commits: whole or not at all, one writer at a time, never doubled."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from infra.kafka import clients
from infra.kafka.broker import LocalBroker
from infra.kafka.errors import CommitUnknown, Fenced, WriteFailed
from infra.kafka.reading import read_events, read_records, tail_state
from infra.kafka.transactional import TransactionalWriter
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.witness import GOLDEN as WITNESS
from tests.kafka.test_checked_source import limit_messages
from tests.kafka.traffic import events, in_groups, parts_of, write_events

pytestmark = pytest.mark.kafka


def test_a_second_writer_fences_the_first(kafka: KafkaConfig) -> None:
    first = TransactionalWriter(kafka, "ingest.1")
    first.commit(parts_of(1, 0))
    second = TransactionalWriter(kafka, "ingest.1")
    with pytest.raises(Fenced, match=r"another writer has taken over 'ingest.1'.*Only one sequencer per chain"):
        first.commit(parts_of(1, 1))
    with pytest.raises(WriteFailed, match=r"spent \(Fenced\)"):
        first.commit(parts_of(1, 1))
    second.commit(parts_of(1, 1))
    assert list(read_events(kafka, 1)) == events(1, 0, 2)


def test_other_writers_are_not_fenced(kafka: KafkaConfig) -> None:
    with TransactionalWriter(kafka, "ingest.1") as first, TransactionalWriter(kafka, "ingest.2") as second:
        first.commit(parts_of(1, 0))
        second.commit(parts_of(2, 0))
        first.commit(parts_of(1, 1))
    assert list(read_events(kafka, 1)) == events(1, 0, 2)


def test_a_record_too_big_is_refused_before_anything_is_written(kafka: KafkaConfig) -> None:
    huge = msgspec.structs.replace(WITNESS, codes=(bytes(17 << 20),))
    with TransactionalWriter(kafka, "ingest.1") as writer:
        with pytest.raises(BadRecord, match="oversized: WitnessRecord"):
            writer.commit([*parts_of(1, 0), huge])
        writer.commit(parts_of(1, 0))
    assert list(read_events(kafka, 1)) == events(1, 0, 1)


def test_a_group_of_large_records_is_written(kafka: KafkaConfig) -> None:
    big = msgspec.structs.replace(parts_of(1, 1)[1], codes=(bytes(15 << 20),))
    with TransactionalWriter(kafka, "ingest.1") as writer:
        writer.commit([*parts_of(1, 0), parts_of(1, 1)[0], big])
    assert [e.parts[-1] for e in read_events(kafka, 1)][1] == big


def test_a_delivery_that_the_cluster_refuses_leaves_nothing_visible(kafka: KafkaConfig) -> None:
    limit_messages(kafka, "witness", 1000)
    big = msgspec.structs.replace(parts_of(1, 0)[3], codes=(bytes(5000),))
    writer = TransactionalWriter(kafka, "ingest.1")
    with pytest.raises(WriteFailed, match=r"MSG_SIZE_TOO_LARGE.*nothing of it is visible"):
        writer.commit([*parts_of(1, 0)[:3], big])
    assert all(list(read_records(kafka, t)) == [] for t in ("blocks", "logs", "receipts", "witness"))
    write_events(kafka, 1, range(3))
    assert list(read_events(kafka, 1)) == events(1, 0, 3)


def test_nothing_is_visible_before_the_commit(kafka: KafkaConfig) -> None:
    producer = clients.transactional_producer(kafka, "open", 60_000)
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(kafka.topic("blocks"), b"anything")
    assert producer.flush(60) == 0
    assert list(read_records(kafka, "blocks")) == []
    assert tail_state(kafka, 1).next_seq == 0
    producer.abort_transaction(60)
    assert list(read_records(kafka, "blocks")) == []


def test_commits_go_on_after_the_broker_was_away(broker: LocalBroker, kafka: KafkaConfig) -> None:
    """The client keeps asking for the answer to the same commit: nothing is written twice."""

    stopped = threading.Event()

    def outage() -> None:
        broker.kill()
        stopped.set()
        time.sleep(0.5)
        broker.start()

    thread = threading.Thread(target=outage)
    # Patient: how long a broker needs to come back on a busy machine is not what is tested.
    with TransactionalWriter(kafka, "ingest.1", timeout_s=200.0) as writer:
        for number, records in enumerate(in_groups(1, range(150), 3)):
            if number == 20:
                thread.start()
            elif number == 30:
                # Whoever is held up where: some of it is committed to a broker that is away.
                assert stopped.wait(60)
            writer.commit(records)
            time.sleep(0.01)
    thread.join()
    assert list(read_events(kafka, 1)) == events(1, 0, 150)
    for topic in ("blocks", "pending", "control"):
        seqs = [r.seq for _, r in read_records(kafka, topic)]  # type: ignore[union-attr]
        assert seqs == sorted(set(seqs))


def test_a_commit_without_an_answer_is_resolved_by_reading_the_tail(
    broker: LocalBroker, kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that `CommitUnknown` names: open anew, see how far the log goes, write what is not there."""
    writer = TransactionalWriter(kafka, "ingest.1")
    writer.commit(parts_of(1, 0))
    # Only now, that a broker which is merely slow is not given up.
    monkeypatch.setattr(writer, "_timeout_s", 3.0)
    broker.kill()
    try:
        with pytest.raises((CommitUnknown, WriteFailed)):
            writer.commit(parts_of(1, 1))
    finally:
        broker.start()
    AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=60)
    with TransactionalWriter(kafka, "ingest.1") as again:
        for seq in range(tail_state(kafka, 1).next_seq, 5):
            again.commit(parts_of(1, seq))
    assert list(read_events(kafka, 1)) == events(1, 0, 5)
