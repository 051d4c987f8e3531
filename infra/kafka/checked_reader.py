"""Reading records of several topics: decoded, or put aside as dead letters; nothing in between."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.log_reader import LogReader
from infra.kafka.positions import Partition, Position
from infra.runtime import metrics
from schemas.codec import BadRecord, BadRecordReason
from schemas.config import KafkaConfig
from schemas.event import kind_of
from schemas.record import Record, Sequenced
from schemas.topics import topic


def decode(topic_name: str, value: bytes | None) -> Record:
    """The record of a message. Raises `BadRecord`, also for a sequenced record that cannot be part of any event."""
    record: Record = topic(topic_name).codec.decode(value)
    if isinstance(record, Sequenced):
        _check_part(record)
    return record


def _check_part(record: Sequenced) -> None:
    if record.part >= record.parts:
        raise BadRecord(BadRecordReason.INVALID, f"part {record.part} of {record.parts}")
    if record.part == 0:
        try:
            kind_of(record)
        except ValueError as error:
            raise BadRecord(BadRecordReason.INVALID, str(error)) from None


class CheckedReader:
    """Records of partitions from given offsets. Unreadable ones go to the dead-letter topic and are passed over.

    Call `flush_dead_letters` before a position behind them is saved: only then is nothing lost.
    """

    def __init__(self, kafka: KafkaConfig, reader: str, starts: Mapping[Partition, int]) -> None:
        self.log = LogReader(kafka, reader, starts)
        self._dead_letters = DeadLetters(kafka, reader)
        self._counters = {p.topic: metrics.RECORDS_READ.labels(p.topic) for p in starts}

    def read(self, limit: int, wait_s: float) -> list[tuple[Position, Record, int]]:
        """At most `limit` records with their places and sizes in bytes; waits up to `wait_s` seconds for the first."""
        found = []
        for raw in self.log.read(limit, wait_s):
            place = Position(raw.partition.topic, raw.partition.number, raw.offset)
            value = raw.value or b""
            try:
                record = decode(place.topic, value)
            except BadRecord as error:
                self._dead_letters.put(place, error, raw.key or b"", value)
                continue
            self._counters[place.topic].inc()
            found.append((place, record, len(value)))
        return found

    def flush_dead_letters(self) -> None:
        """Return when every dead letter so far is on the cluster. Raises `WriteFailed`."""
        self._dead_letters.flush()

    def close(self) -> None:
        """Leave the cluster. Never raises; dead letters that were not flushed may not be there."""
        self.log.close()

    def __enter__(self) -> CheckedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
