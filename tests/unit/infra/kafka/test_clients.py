"""Client settings: the deployment's pass through, what delivery rests on does not give way, secrets stay inside."""

from __future__ import annotations

import logging
import time

import pytest

from infra.kafka import clients
from schemas.config import KafkaConfig, SecretRef

SECURE = KafkaConfig(
    bootstrap_servers="broker:9093",
    client={
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "sluice",
        "linger.ms": 1,
    },
    client_secrets={"sasl.password": SecretRef(ref="env:SLUICE_TEST_PASSWORD")},
)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_PASSWORD", "hunter2")


def test_security_settings_and_wishes_pass_through() -> None:
    for settings in (clients.consumer_settings(SECURE, "r"), clients.producer_settings(SECURE, "w")):
        assert settings["bootstrap.servers"] == "broker:9093"
        assert settings["security.protocol"] == "SASL_SSL"
        assert settings["sasl.password"] == "hunter2"
    assert clients.producer_settings(SECURE, "w")["linger.ms"] == 1


def test_promises_are_not_up_for_configuration() -> None:
    loose = KafkaConfig(
        client={
            "acks": 0,
            "enable.idempotence": False,
            "auto.offset.reset": "latest",
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": True,
        }
    )
    consumer, producer = clients.consumer_settings(loose, "r"), clients.producer_settings(loose, "w")
    assert (consumer["auto.offset.reset"], consumer["isolation.level"], consumer["enable.auto.commit"]) == (
        "error",
        "read_committed",
        False,
    )
    assert (producer["acks"], producer["enable.idempotence"]) == ("all", True)


def test_no_client_logs_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    unreachable = SECURE.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    producer = clients.producer(unreachable, "w")
    producer.produce("topic", b"value")
    # Its own threads find out that nobody is there, when they get to it.
    deadline = time.monotonic() + 60.0
    while not caplog.records and time.monotonic() < deadline:
        producer.flush(0.5)
    assert caplog.records
    assert "hunter2" not in caplog.text
