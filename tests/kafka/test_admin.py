"""Topics are made from the table, and compared with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.admin import NewPartitions, NewTopic

from infra.kafka import clients
from infra.kafka.admin import check_topics, ensure_topics
from infra.kafka.errors import TopicMissing, TopicsDiffer
from infra.kafka.reading import read_records
from infra.runtime.probe import probe_broker
from schemas.config import KafkaConfig
from schemas.topics import TOPICS
from tests.kafka.test_checked_source import limit_messages
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka


def test_topics_are_made_once(bare_kafka: KafkaConfig) -> None:
    probe_broker(bare_kafka)
    assert len(check_topics(bare_kafka)) == len(TOPICS)
    assert ensure_topics(bare_kafka) == [bare_kafka.topic(t.name) for t in TOPICS]
    assert check_topics(bare_kafka) == []
    assert ensure_topics(bare_kafka) == []


def test_several_may_make_them_at_once(bare_kafka: KafkaConfig) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = [name for names in pool.map(ensure_topics, [bare_kafka] * 3) for name in names]
    assert sorted(made) == sorted(bare_kafka.topic(t.name) for t in TOPICS)


def test_every_difference_is_named(bare_kafka: KafkaConfig) -> None:
    admin = clients.admin(bare_kafka)
    name = bare_kafka.topic
    ensure_topics(bare_kafka)
    for future in admin.create_partitions([NewPartitions(name("opportunities"), 6)]).values():
        future.result(60)

    def grown() -> bool:
        return len(admin.list_topics(timeout=60).topics[name("opportunities")].partitions) == 6

    # The controller answers before the broker has heard of it.
    wait_until("the new partitions", grown)
    limit_messages(bare_kafka, "logs", 1000)
    assert sorted(check_topics(bare_kafka)) == [
        f"{name('logs')}: max.message.bytes is 1000, the table says {9 << 20}",
        f"{name('opportunities')}: partitions is 6, the table says 4",
    ]
    with pytest.raises(TopicsDiffer, match="partitions is 6, the table says 4"):
        ensure_topics(bare_kafka)


def test_an_existing_topic_is_checked_not_changed(bare_kafka: KafkaConfig) -> None:
    admin = clients.admin(bare_kafka)
    name = bare_kafka.topic("settlements")
    admin.create_topics([NewTopic(name, 4, 1, config={"cleanup.policy": "delete"})])[name].result(60)
    with pytest.raises(TopicsDiffer, match=f"{name}: cleanup.policy is delete, the table says compact"):
        ensure_topics(bare_kafka)


def test_a_missing_topic_names_the_way_out(bare_kafka: KafkaConfig) -> None:
    with pytest.raises(TopicMissing, match=r"no topic .*blocks on .*; `sluice topics` creates them"):
        list(read_records(bare_kafka, "blocks"))
