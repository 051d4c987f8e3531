"""The sequenced source through the engine, on the real broker: in order, once, loud when it cannot be."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from infra.kafka import clients, event_reader
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from infra.kafka.errors import MissingSequence, OffsetLost, StateMismatch, TopicMissing
from infra.kafka.sequenced_source import Until
from infra.kafka.transactional import TransactionalWriter
from infra.runtime.drain import Drain
from schemas.config import KafkaConfig
from schemas.event import Event
from schemas.topics import SEQUENCED
from tests.kafka.copy_flow import answered, run_copy
from tests.kafka.traffic import events, in_groups, parts_of, write_events

pytestmark = pytest.mark.kafka
END = Until()


class Crash(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("batch_size", [1, 37, 1000])
def test_replay_gives_the_same_events_for_every_batch_size(kafka: KafkaConfig, batch_size: int) -> None:
    write_events(kafka, 1, range(200), group=9)
    write_events(kafka, 2, range(20))
    seen: list[Event] = []
    run_copy(kafka, None, until=END, batch_size=batch_size, seen=seen.append)
    assert seen == events(1, 0, 200)
    assert answered(kafka) == dict.fromkeys(range(200), 1)


def test_a_replay_stops_behind_the_event_it_was_told(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(60))
    seen: list[Event] = []
    run_copy(kafka, None, until=Until(41), batch_size=7, seen=seen.append)
    assert seen == events(1, 0, 42)
    run_copy(kafka, None, until=Until(1000), seen=seen.append)
    assert seen[42:] == events(1, 0, 60)


def test_a_restart_goes_on_behind_what_was_saved(kafka: KafkaConfig, tmp_path: Path) -> None:
    seen: list[Event] = []
    for first in range(0, 90, 30):
        write_events(kafka, 1, range(first, first + 30))
        run_copy(kafka, tmp_path, until=END, batch_size=4, seen=seen.append)
    assert seen == events(1, 0, 90)
    assert answered(kafka) == dict.fromkeys(range(90), 1)


def test_crashes_lose_nothing_and_double_nothing_by_id(kafka: KafkaConfig, tmp_path: Path) -> None:
    write_events(kafka, 1, range(300), group=5)
    highest = -1
    for crash_at in (3, 90, 91, 170, 250):

        def crash(event: Event, at: int = crash_at) -> None:
            nonlocal highest
            assert event.seq <= highest + 1
            highest = max(highest, event.seq)
            time.sleep(0.001)
            if event.seq == at:
                raise Crash

        with pytest.raises(Crash):
            run_copy(kafka, tmp_path, epoch_ms=20, batch_size=3, until=END, seen=crash)
    run_copy(kafka, tmp_path, epoch_ms=20, until=END)
    found = answered(kafka)
    assert sorted(found) == list(range(300))
    assert sum(found.values()) < 600  # resumed, not begun anew each time


def test_a_drain_under_traffic_loses_nothing(kafka: KafkaConfig, tmp_path: Path) -> None:
    stop = threading.Event()
    written = [0]

    def traffic() -> None:
        with TransactionalWriter(kafka, "traffic") as writer:
            while not stop.is_set():
                for records in in_groups(1, range(written[0], written[0] + 5), 5):
                    writer.commit(records)
                written[0] += 5

    writer = threading.Thread(target=traffic)
    writer.start()
    try:
        for _ in range(3):
            drain, asked = Drain(), [0.0]

            def ask(drain: Drain = drain, asked: list[float] = asked) -> None:
                asked[0] = time.monotonic()
                drain.set()

            threading.Timer(0.7, ask).start()
            run_copy(kafka, tmp_path, drain=drain, batch_size=10)
            # Less than a gap is waited for; a broker that stands still for a while is no fault of the drain.
            assert time.monotonic() - asked[0] < 25
    finally:
        stop.set()
        writer.join()
    run_copy(kafka, tmp_path, until=END)
    assert answered(kafka) == dict.fromkeys(range(written[0]), 1)


def test_a_missing_event_is_an_error_with_its_place(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, [*range(10), *range(11, 15)])
    seen: list[Event] = []
    with pytest.raises(
        MissingSequence,
        match=r"chain 1: event 10 is missing; the next one there is 11 \(at pending/0@\d+, witness/0@\d+\)",
    ) as caught:
        run_copy(kafka, None, until=END, seen=seen.append, gap_timeout_s=0.5)
    assert "blocks/0 to offset" in str(caught.value)
    assert seen == events(1, 0, 10)


def test_a_late_event_is_waited_for(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, [*range(10), *range(11, 15)])
    late = threading.Timer(1.0, write_events, (kafka, 1, [10]))
    drain = Drain()
    seen: list[Event] = []

    def look(event: Event) -> None:
        seen.append(event)
        if event.seq == 9:
            late.start()
        if event.seq == 14:
            drain.set()

    run_copy(kafka, None, drain=drain, seen=look, gap_timeout_s=120.0)
    late.join()
    assert seen == events(1, 0, 15)


def test_half_an_event_is_never_seen(kafka: KafkaConfig) -> None:
    """An open transaction holds the source back; when its writer is replaced, it was never there."""
    write_events(kafka, 1, range(5))
    crashed = clients.transactional_producer(kafka, f"{kafka.topic_prefix}ingest.1", 60_000)
    crashed.init_transactions(30)
    crashed.begin_transaction()
    for record in parts_of(1, 5)[:2]:
        crashed.produce(
            kafka.topic(record.TOPIC), next(t for t in SEQUENCED if t.name == record.TOPIC).codec.encode(record), b"1"
        )
    assert crashed.flush(60) == 0
    seen: list[Event] = []
    run_copy(kafka, None, until=END, seen=seen.append)
    assert seen == events(1, 0, 5)
    write_events(kafka, 1, range(5, 8))  # the next sequencer: fences the crashed one and rolls its half back
    seen.clear()
    run_copy(kafka, None, until=END, seen=seen.append)
    assert seen == events(1, 0, 8)


def delete_before(kafka: KafkaConfig, topic: str, offset: int) -> None:
    """What retention does."""
    admin = clients.admin(kafka)
    for future in admin.delete_records([TopicPartition(kafka.topic(topic), 0, offset)]).values():
        future.result(60)


def test_records_that_retention_took_before_they_were_read_are_an_error(kafka: KafkaConfig, tmp_path: Path) -> None:
    write_events(kafka, 1, range(10))
    run_copy(kafka, tmp_path, until=Until(4))
    write_events(kafka, 1, range(10, 60))
    delete_before(kafka, "witness", 20)
    with pytest.raises(
        OffsetLost, match=r"offset \d+ of witness/0 .* is not on the cluster.*The cluster holds offsets 20 to \d+"
    ):
        run_copy(kafka, tmp_path, drain=Drain())


def test_a_first_start_on_a_log_without_its_beginning_is_an_error(kafka: KafkaConfig) -> None:
    write_events(kafka, 1, range(20))
    for topic in ("blocks", "logs", "receipts", "witness", "pending", "pools", "control"):
        delete_before(kafka, topic, 2)
    with pytest.raises(MissingSequence, match="event 0 is missing"):
        run_copy(kafka, None, until=END, gap_timeout_s=0.3)


def test_state_of_another_cluster_is_refused(kafka: KafkaConfig, tmp_path: Path) -> None:
    write_events(kafka, 1, range(10))
    run_copy(kafka, tmp_path / "state", until=END)
    with LocalBroker(tmp_path / "other") as other:
        elsewhere = kafka.model_copy(update={"bootstrap_servers": other.bootstrap_servers})
        with pytest.raises(TopicMissing, match="`sluice topics` creates them"):
            run_copy(elsewhere, tmp_path / "state", until=END)
        ensure_topics(elsewhere)
        with pytest.raises(StateMismatch, match="offsets mean nothing here"):
            run_copy(elsewhere, tmp_path / "state", until=END)


def test_the_broker_stopped_and_started_under_traffic(broker: LocalBroker, kafka: KafkaConfig, tmp_path: Path) -> None:
    """Sequencer, source and sink wait for it; nothing is lost or doubled."""
    count, drain = 400, Drain()
    seen: list[int] = []
    flowing, stopped = threading.Event(), threading.Event()

    def traffic() -> None:
        # Patient: how long a broker needs to come back on a busy machine is not what is tested.
        with TransactionalWriter(kafka, "traffic", timeout_s=200.0) as writer:
            for number, records in enumerate(in_groups(1, range(count), 4)):
                if number == 50:
                    # Whoever is held up where: the second half is written to a broker that is away.
                    assert stopped.wait(120)
                writer.commit(records)
                time.sleep(0.02)

    def outage() -> None:
        assert flowing.wait(120)
        broker.kill()
        stopped.set()
        time.sleep(1.0)
        broker.start()

    def look(event: Event) -> None:
        seen.append(event.seq)
        if event.seq == 50:
            flowing.set()
        if event.seq == count - 1:
            drain.set()

    threads = [threading.Thread(target=traffic), threading.Thread(target=outage)]
    for thread in threads:
        thread.start()
    guard = threading.Timer(250, drain.set)
    guard.start()
    run_copy(kafka, tmp_path, drain=drain, seen=look)
    guard.cancel()
    for thread in threads:
        thread.join()
    assert seen == list(range(count))
    assert answered(kafka) == dict.fromkeys(range(count), 1)


def test_what_is_held_for_later_events_is_bounded(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics that are far ahead wait for the others, and nothing gets lost on the way."""
    write_events(kafka, 1, range(1000), group=100)
    monkeypatch.setattr(event_reader, "_HOLD_BYTES", 100_000)
    monkeypatch.setattr(event_reader, "_READ_LIMIT", 50)
    held: list[int] = []
    paused: list[int] = []
    seen: list[Event] = []
    with event_reader.EventReader(kafka, 1, "test", until=END) as reader:
        while not reader.finished:
            seen += reader.read(50, 0.1)
            held.append(reader._assembler.held_bytes)
            paused.append(len(reader._reader.log.paused))
    assert seen == events(1, 0, 1000)
    assert max(paused) > 0
    # A topic is told to wait only once it is ahead, and what was fetched by then still comes: some reads of overshoot for each
    # topic. Without the bound all of it is held, 418,000 bytes.
    assert max(held) < 200_000
