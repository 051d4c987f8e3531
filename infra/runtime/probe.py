"""Asking for the broker before a flow starts: a stream engine would wait for it in silence, for ever."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.errors import KafkaLayerError, describe
from schemas.config import KafkaConfig


class BrokerUnreachable(KafkaLayerError):
    """No broker answered within the deadline."""


def probe_broker(kafka: KafkaConfig) -> None:
    """Return when a broker answers. Raises `BrokerUnreachable` after `kafka.probe_timeout_s` seconds, naming the servers."""
    reasons: list[str] = []
    settings: dict[str, Any] = {
        **kafka.librdkafka(),
        "log_level": 0,
        "error_cb": lambda error: reasons.append(describe(error)),
    }
    try:
        brokers = AdminClient(settings).list_topics(timeout=kafka.probe_timeout_s).brokers
    except KafkaException as error:
        reasons.append(describe(error.args[0]))
        brokers = {}
    if not brokers:
        last = f": {reasons[0]}" if reasons else ""
        raise BrokerUnreachable(
            f"no Kafka broker answered at {kafka.bootstrap_servers} within {kafka.probe_timeout_s:g} s{last}. "
            "Is it running? The address is kafka.bootstrap_servers in the configuration"
        )
