"""A topic prefix of its own for each test, on the session's broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from schemas.config import KafkaConfig

#: How long a broker may take to answer, in seconds: on a busy machine it may stand still for longer than a deployment would wait.
PATIENCE_S = 60.0


def config_for(broker: LocalBroker) -> KafkaConfig:
    """A cluster configuration that no other test shares topics with."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    return KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix, probe_timeout_s=PATIENCE_S)


@pytest.fixture
def kafka(broker: LocalBroker) -> Iterator[KafkaConfig]:
    """The session's broker with all topics of the table under a prefix of the test's own."""
    if not broker.running:
        broker.start()
    config = config_for(broker)
    ensure_topics(config)
    yield config


@pytest.fixture
def bare_kafka(broker: LocalBroker) -> KafkaConfig:
    """The same without any topics."""
    return config_for(broker)
