"""The same broker contract on Kafka in a container, where a Docker engine answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.kafka.broker import answers

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def container_address() -> Iterator[str]:
    docker = pytest.importorskip("docker", reason="the docker client is not installed")
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers here, the local broker's tests cover the rest ({type(error).__name__})")
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer("apache/kafka:4.3.0") as container:
        yield container.get_bootstrap_server()


def test_a_container_broker_answers(container_address: str) -> None:
    assert answers(container_address, timeout=20)
