"""Writing records one by one with a delivery report for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from confluent_kafka import KafkaError, Message

from infra.kafka import clients
from infra.kafka.errors import WriteFailed, describe
from infra.kafka.keys import key_of
from infra.runtime import metrics
from schemas.config import KafkaConfig
from schemas.record import Record
from schemas.topics import topic

# Longer than any message may wait, so that each has its report before a flush gives up.
_FLUSH_S = clients.DELIVERY_TIMEOUT_MS / 1000 + 5.0
_QUEUE_FULL_WAIT_S = 0.01


class CheckedWriter:
    """Writes records and lets no failed delivery go unnoticed: the next call after a failure raises it.

    Idempotent within its life: a retry after a lost answer does not double a record.
    """

    def __init__(self, kafka: KafkaConfig, name: str = "writer") -> None:
        self._kafka = kafka
        self._producer = clients.producer(kafka, name)
        self._failure: str | None = None
        self._unflushed = False

    def send(self, record: Record, key: bytes | None = None) -> None:
        """Hand a record over; `flush` says when it is there. `key` None means the topic table's.

        Raises `BadRecord(OVERSIZED)` for a record its topic would not take, `WriteFailed` if an earlier one failed.
        """
        self._raise_failure()
        value = topic(record.TOPIC).codec.encode(record)
        self._unflushed = True
        report = self._report(record.TOPIC, time.perf_counter())
        name = self._kafka.topic(record.TOPIC)
        while True:
            try:
                self._producer.produce(name, value, key_of(record) if key is None else key, on_delivery=report)
                break
            except BufferError:
                # The local queue is full: make room by serving reports, and stop if they say that nothing goes out.
                self._producer.poll(_QUEUE_FULL_WAIT_S)
                self._raise_failure()
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when the cluster has confirmed every record sent so far. Raises `WriteFailed` otherwise."""
        if self._unflushed:
            left = self._producer.flush(_FLUSH_S)
            self._raise_failure()
            if left:
                raise WriteFailed(
                    f"{left} records without an answer from {self._kafka.bootstrap_servers} after {_FLUSH_S:g} s"
                )
            self._unflushed = False

    def _report(self, topic_name: str, sent: float) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                metrics.RECORDS_WRITTEN.labels(topic_name).inc()
                metrics.DELIVERY_SECONDS.observe(time.perf_counter() - sent)
                return
            metrics.WRITE_FAILURES.labels(topic_name).inc()
            if self._failure is None:
                self._failure = f"a record for {message.topic()} was not delivered: {describe(error)}"

        return report

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise WriteFailed(self._failure)

    def close(self) -> None:
        """Flush and leave the cluster."""
        self.flush()

    def __enter__(self) -> CheckedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
