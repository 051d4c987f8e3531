"""Records that cannot be read, in every consumed topic: kept with place, reason and bytes; everything else goes through."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink

from infra.kafka import clients
from infra.kafka.checked_source import CheckedSource
from infra.kafka.reading import read_events, read_records
from infra.kafka.sequenced_source import Until
from infra.kafka.writer import CheckedWriter
from infra.runtime.drain import Drain
from infra.runtime.run_flow import run_flow
from schemas.codec import MAGIC, BadRecord
from schemas.config import KafkaConfig
from schemas.dead_letter import DeadLetterRecord
from schemas.event import Event
from schemas.record import Record
from schemas.topics import SEQUENCED, TOPICS, Topic
from tests.kafka.copy_flow import answered, run_copy
from tests.kafka.traffic import events, write_events

pytestmark = pytest.mark.kafka
UNSEQUENCED = [t for t in TOPICS if not t.sequenced]


def bad_values(row: Topic) -> dict[str, bytes]:
    """One value for each reason."""
    good = row.codec.encode(row.golden)
    return {
        "not_a_record": b'{"oops": 1}',
        "truncated": good[:-3],
        "wrong_version": bytes((MAGIC, row.version + 1)) + good[2:],
        "invalid": good[:2] + b"\x91\x01",
        "oversized": good + bytes(row.max_bytes + 1 - len(good)),
    }


def plant(kafka: KafkaConfig, row: Topic) -> dict[bytes, str]:
    """Write the bad values to a topic; returns what reason each must get."""
    producer = clients.producer(kafka, "planter")
    values = bad_values(row)
    for reason, value in values.items():
        producer.produce(kafka.topic(row.name), value, reason.encode(), partition=0)
    assert producer.flush(30) == 0
    return {value: reason for reason, value in values.items()}


def letters(kafka: KafkaConfig) -> list[DeadLetterRecord]:
    found = []
    for _, record in read_records(kafka, "dead_letter"):
        assert isinstance(record, DeadLetterRecord)
        found.append(record)
    return found


def check_letters(kafka: KafkaConfig, topics: list[str], planted: dict[str, dict[bytes, str]], reader: str) -> None:
    """Exactly the planted records are there, each with its place, reason and bytes."""
    unreadable = {
        (p.topic, p.partition, p.offset): r.reason.value
        for t in topics
        for p, r in read_records(kafka, t)
        if isinstance(r, BadRecord)
    }
    found = letters(kafka)
    assert {(x.topic, x.partition, x.offset): x.reason for x in found} == unreadable
    assert len(found) == len(unreadable) == 5 * len(topics)
    for letter in found:
        assert planted[letter.topic][letter.value] == letter.reason
        assert letter.key == letter.reason.encode()
        assert letter.reader == reader
        assert letter.detail


def test_sequenced_topics(kafka: KafkaConfig, tmp_path: Path) -> None:
    planted: dict[str, dict[bytes, str]] = {}
    write_events(kafka, 1, range(20))
    for row in SEQUENCED:
        planted[row.name] = plant(kafka, row)
    write_events(kafka, 1, range(20, 40))
    seen: list[Event] = []
    run_copy(kafka, tmp_path, until=Until(), seen=seen.append)
    assert seen == events(1, 0, 40)
    assert answered(kafka) == dict.fromkeys(range(40), 1)
    check_letters(kafka, [t.name for t in SEQUENCED], planted, "copy.1")
    assert list(read_events(kafka, 1)) == events(1, 0, 40)


@pytest.mark.parametrize("row", [t for t in UNSEQUENCED if t.name != "dead_letter"], ids=lambda t: t.name)
def test_unsequenced_topics(kafka: KafkaConfig, tmp_path: Path, row: Topic) -> None:
    with CheckedWriter(kafka) as writer:
        writer.send(row.golden)
    planted = {row.name: plant(kafka, row)}
    with CheckedWriter(kafka) as writer:
        writer.send(row.golden)
    out: list[tuple[str, Record]] = []
    flow = Dataflow("read")
    source = CheckedSource(kafka, [row.name], "test", batch_size=2, drain=Drain(), until_end=True)
    op.output("out", op.input("in", flow, source), TestingSink(out))
    run_flow(flow, state_dir=tmp_path, epoch=timedelta(0))
    assert out == [(row.name, row.golden)] * 2
    check_letters(kafka, [row.name], planted, "test")
