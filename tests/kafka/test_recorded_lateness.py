"""What a starting search flow finds of what earlier runs recorded as late, on the real broker."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Producer

import schemas.blocks
import schemas.control
import schemas.decisions
import schemas.pools
from flows.deadline import Past, live_deadline, read_past, recorded_late
from infra.kafka.reading import read_records
from operators.deadline import NO_DEADLINE, Allowance
from schemas.config import ChainConfig, Config, ExecutorConfig, KafkaConfig, SearchConfig
from schemas.decisions import DecisionRecord, EventKind
from schemas.event import Event
from schemas.ids import with_id
from schemas.topics import topic
from tests.kafka.traffic import events, write_events

pytestmark = pytest.mark.kafka

HOUR_MS = 3_600_000
#: In the past: the broker takes no records of the future.
NOW_MS = 1_700_000_000_000


def config_of(kafka: KafkaConfig, deadline_ms: int = 50) -> Config:
    return Config(
        chain=ChainConfig(id=1, http_url="http://node", ws_url="ws://node", anchor=b"\xc0" * 20),
        kafka=kafka,
        executor=ExecutorConfig(address=b"\x0b" * 20, owner=b"\x0a" * 20),
        search=SearchConfig(deadline_ms=deadline_ms),
    )


def decision(seq: int, late: tuple[int, ...], chain: int = 1) -> DecisionRecord:
    return with_id(msgspec.structs.replace(schemas.decisions.GOLDEN, seq=seq, late=late, chain=chain))


def write(kafka: KafkaConfig, found: list[tuple[int, DecisionRecord]]) -> None:
    """Decisions with the time at which each was written."""
    producer = Producer(kafka.librdkafka())
    for written_ms, record in found:
        value = topic(record.TOPIC).codec.encode(record)
        producer.produce(kafka.topic(record.TOPIC), value, record.id, timestamp=written_ms)
    assert not producer.flush(60)


def seen(seq: int, at_ms: int) -> Event:
    head = msgspec.structs.replace(schemas.blocks.GOLDEN, seq=seq, first_seen_ns=at_ms * 1_000_000)
    return Event(1, seq, EventKind.BLOCK, (head,))


def test_what_was_decided_since_the_saved_place_is_found_wherever_it_lies(kafka: KafkaConfig) -> None:
    """A run that was killed far ahead, another that was killed at once: the newest record is not the furthest."""
    config = config_of(kafka)
    write_events(kafka, 1, range(60))
    first = [(NOW_MS + seq, decision(seq, (seq % 3,) if seq % 2 else ())) for seq in range(20, 50)]
    second = [(NOW_MS + HOUR_MS + seq, record) for seq, (_, record) in enumerate(first[:6])]
    others = [(NOW_MS + HOUR_MS, decision(seq, (0,), chain=2)) for seq in range(40, 45)]
    write(kafka, [*first, *second, *others])
    past = read_past(config, seen(31, NOW_MS))
    assert past == Past({seq: (seq % 3,) for seq in range(31, 50, 2)}, 60)


def test_what_is_older_than_the_event_is_not_read(kafka: KafkaConfig) -> None:
    config = config_of(kafka)
    write(kafka, [(NOW_MS - HOUR_MS, decision(seq, (0,))) for seq in range(40)])
    write(kafka, [(NOW_MS, decision(seq, (0,))) for seq in range(30, 45)])
    read = [r.seq for _, r in read_records(kafka, DecisionRecord.TOPIC, NOW_MS) if isinstance(r, DecisionRecord)]
    assert sorted(read) == list(range(30, 45))
    assert sorted(recorded_late(config)) == list(range(45))
    assert not list(read_records(kafka, DecisionRecord.TOPIC, NOW_MS + HOUR_MS))
    # An event without a time may be of any: a pool's.
    pool = Event(1, 41, EventKind.POOL, (msgspec.structs.replace(schemas.pools.GOLDEN, seq=41),))
    assert sorted(read_past(config, pool).late) == [41, 42, 43, 44]


def test_the_live_policy_keeps_on_the_cluster_what_was_late(kafka: KafkaConfig) -> None:
    # Longer than the test may be held up between two of its lines.
    config = config_of(kafka, deadline_ms=100_000)
    write_events(kafka, 1, range(10))
    deadline = live_deadline(config)
    assert deadline.allow(events(1, 9, 10)[0], deadline.arrived()) == Allowance(())
    deadline.keep([decision(10, (1, 2)), decision(11, (0,))])
    assert recorded_late(config) == {10: (1, 2), 11: (0,)}
    arrived = deadline.arrived()
    allowance = deadline.allow(seen(10, NOW_MS), arrived)
    assert allowance == Allowance(None, arrived + 100_000_000_000) and not deadline.passed(allowance.until_ns)


def test_without_a_deadline_nothing_is_asked(bare_kafka: KafkaConfig) -> None:
    assert live_deadline(config_of(bare_kafka, deadline_ms=0)) is NO_DEADLINE
