"""Local chains for the chain tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.devnet.anvil import Anvil, AnvilOptions
from infra.devnet.devnet import GENESIS_TIME, Devnet
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from schemas.config import KafkaConfig


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[Anvil]:
    """An empty chain with ten funded well-known accounts; blocks only when told."""
    with Anvil(AnvilOptions(accounts=10, timestamp=GENESIS_TIME), tmp_path / "anvil.log") as running:
        yield running


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """The whole devnet, without a clock: tests build its blocks one by one."""
    with Devnet(tmp_path_factory.mktemp("devnet"), seed=11) as running:
        yield running


def config_for(broker: LocalBroker) -> KafkaConfig:
    """A prefix of its own, and patience: on a busy machine a broker may stand still for longer than a deployment would wait."""
    return KafkaConfig(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"c{uuid.uuid4().hex[:8]}.", probe_timeout_s=60.0
    )


@pytest.fixture(scope="module")
def module_kafka(broker: LocalBroker) -> KafkaConfig:
    """All topics of the table under a prefix of the test module's own."""
    config = config_for(broker)
    ensure_topics(config)
    return config


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaConfig:
    """The same of a test's own."""
    if not broker.running:
        broker.start()
    config = config_for(broker)
    ensure_topics(config)
    return config
