"""Settings of the Kafka clients: what the deployment passes through, between our wishes and our promises.

Order of precedence: latency and size defaults < the deployment's `kafka.client` < the settings that delivery rests on.
The dictionaries hold secrets: they go to a client and nowhere else.
"""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from schemas.config import KafkaConfig
from schemas.topics import MIB, TOPICS

Settings = dict[str, Any]

log = logging.getLogger("sluice.kafka")

#: How long a message may wait for a broker that is away before its writer gives up, in milliseconds.
DELIVERY_TIMEOUT_MS = 120_000
#: The largest message any topic takes, with room for key and framing.
_MESSAGE_BYTES = max(t.max_bytes for t in TOPICS) + 2 * MIB


def _common(kafka: KafkaConfig, name: str) -> Settings:
    return {
        "client.id": f"sluice.{name}",
        # Reconnects start at once and stay short: the head of the chain does not wait for a backoff.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 4,
        **kafka.librdkafka(),
    }


def consumer_settings(kafka: KafkaConfig, reader: str) -> Settings:
    """Settings of `consumer`."""
    return {
        "fetch.wait.max.ms": 50,
        "fetch.error.backoff.ms": 50,
        "fetch.queue.backoff.ms": 10,
        "queued.max.messages.kbytes": 32 * 1024,
        **_common(kafka, reader),
        "fetch.max.bytes": 2 * _MESSAGE_BYTES,
        "receive.message.max.bytes": 3 * _MESSAGE_BYTES,
        "group.id": f"{kafka.topic_prefix}{reader}",
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # The end of a partition, told as a position: with transactions it is not the last message's offset.
        "enable.partition.eof": True,
    }


def consumer(kafka: KafkaConfig, reader: str) -> Consumer:
    """A consumer that reads committed records only, from offsets it is told, and errors where others would skip."""
    return Consumer(consumer_settings(kafka, reader), logger=log)


def producer_settings(kafka: KafkaConfig, name: str) -> Settings:
    """Settings of `producer`."""
    return {
        "linger.ms": 0,
        "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
        # The partition of a key as the Java client would choose it.
        "partitioner": "murmur2_random",
        **_common(kafka, name),
        "message.max.bytes": _MESSAGE_BYTES,
        "enable.idempotence": True,
        "acks": "all",
    }


def producer(kafka: KafkaConfig, name: str) -> Producer:
    """An idempotent producer: what it reports as delivered is on all in-sync replicas, once, in order."""
    return Producer(producer_settings(kafka, name), logger=log)


def transactional_producer(kafka: KafkaConfig, transactional_id: str, timeout_ms: int) -> Producer:
    """A producer of transactions that the cluster aborts after `timeout_ms` without a commit."""
    settings = {
        **producer_settings(kafka, transactional_id),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": timeout_ms,
        "delivery.timeout.ms": timeout_ms,
    }
    return Producer(settings, logger=log)


def admin(kafka: KafkaConfig) -> AdminClient:
    """A client for topics and offsets."""
    return AdminClient(_common(kafka, "admin"), logger=log)
