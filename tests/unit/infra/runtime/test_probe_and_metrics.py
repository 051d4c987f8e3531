"""The broker is asked for before a flow starts; metrics are served when configured."""

from __future__ import annotations

import time

import httpx
import pytest

from infra.runtime.metrics import serve_metrics
from infra.runtime.probe import BrokerUnreachable, probe_broker
from schemas.config import KafkaConfig
from tests.unit.relays.misbehaving_server import refusing


def test_a_broker_that_is_not_there_is_named_within_the_deadline() -> None:
    started = time.monotonic()
    with refusing() as url:
        servers = url.removeprefix("http://")
        with pytest.raises(
            BrokerUnreachable, match=f"no Kafka broker answered at {servers} within 1 s.*kafka.bootstrap_servers"
        ):
            probe_broker(KafkaConfig(bootstrap_servers=servers, probe_timeout_s=1.0))
    # The client's own patience is a minute.
    assert time.monotonic() - started < 30.0


def test_metrics_are_served_where_configured() -> None:
    assert serve_metrics(None) is None
    port = serve_metrics(0)
    assert port
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60.0).text
    assert "sluice_records_written_total" in text
    assert "sluice_transaction_commit_seconds_bucket" in text
