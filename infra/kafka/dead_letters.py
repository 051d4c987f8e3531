"""Records that could not be read: kept with place, reason and bytes, so that reading can go on."""

from __future__ import annotations

from infra.kafka.positions import Position
from infra.kafka.writer import CheckedWriter
from infra.runtime import metrics
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.dead_letter import DeadLetterRecord
from schemas.topics import topic

_DETAIL_CHARACTERS = 2000
_NAME_CHARACTERS = 64
# What a dead letter's own fields take at most, besides key and value.
_FRAME_BYTES = 16 * 1024


def dead_letter(reader: str, place: Position, error: BadRecord, key: bytes, value: bytes) -> DeadLetterRecord:
    """The dead letter of one unreadable record. Bytes beyond what the topic can hold are cut off, and the detail says so."""
    room = topic(DeadLetterRecord.TOPIC).max_bytes - _FRAME_BYTES
    kept_key = key[:room]
    kept_value = value[: room - len(kept_key)]
    detail = error.detail
    if len(kept_key) + len(kept_value) < len(key) + len(value):
        detail = f"(cut from {len(key)} + {len(value)} bytes of key and value) {detail}"
    return DeadLetterRecord(
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        reason=error.reason.value,
        detail=detail[:_DETAIL_CHARACTERS],
        reader=reader[:_NAME_CHARACTERS],
        key=kept_key,
        value=kept_value,
    )


class DeadLetters:
    """Where a reader puts what it cannot read. `flush` before saving a position behind it."""

    def __init__(self, kafka: KafkaConfig, reader: str) -> None:
        self._kafka = kafka
        self._reader = reader
        self._writer: CheckedWriter | None = None

    def put(self, place: Position, error: BadRecord, key: bytes, value: bytes) -> None:
        """Send one unreadable record to the dead-letter topic. Raises `WriteFailed` if an earlier one failed."""
        # Most readers never meet a bad record, so the producer waits for the first.
        if self._writer is None:
            self._writer = CheckedWriter(self._kafka, f"{self._reader}.dead_letters")
        metrics.DEAD_LETTERS.labels(place.topic, error.reason.value).inc()
        self._writer.send(dead_letter(self._reader, place, error, key, value))

    def flush(self) -> None:
        """Return when all of them are there. Raises `WriteFailed`."""
        if self._writer is not None:
            self._writer.flush()
