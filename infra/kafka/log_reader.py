"""One consumer over any number of partitions, told where to start: the reading end of every source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from infra.kafka import clients
from infra.kafka.errors import PASSING, OffsetLost, ReadFailed, describe
from infra.kafka.positions import Partition
from schemas.config import KafkaConfig

_LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class Raw(NamedTuple):
    """A message as the cluster gave it."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None


class LogReader:
    """Reads partitions from given offsets, committed records only.

    `positions` says of each partition up to where it was read: past records that were returned, and past the end markers
    of transactions, which are no records.
    """

    def __init__(self, kafka: KafkaConfig, reader: str, starts: Mapping[Partition, int]) -> None:
        self._kafka = kafka
        self.positions: dict[Partition, int] = dict(starts)
        # One lookup for each message instead of string work on its topic.
        self._names = {kafka.topic(p.topic): p.topic for p in starts}
        self._paused: set[Partition] = set()
        self._consumer = clients.consumer(kafka, reader)
        self._consumer.assign([self._place(p, offset) for p, offset in starts.items()])

    def read(self, limit: int, wait_s: float) -> list[Raw]:
        """At most `limit` records, in order within each partition. Waits up to `wait_s` for the first, never for more.

        Raises `OffsetLost` where an offset is not held by the cluster, `ReadFailed` where the cluster refuses.
        """
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(limit - 1, 0.0)] if limit > 1 else [first]
        found = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_error(message, error)
                continue
            partition, offset = self._place_of(message)
            self.positions[partition] = offset + 1
            found.append(Raw(partition, offset, message.key(), message.value()))
        return found

    def _place_of(self, message: Message) -> tuple[Partition, int]:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        # Of a message that is a record or a partition's event, the library always knows these.
        assert topic is not None and number is not None and offset is not None
        return Partition(self._names[topic], number), offset

    def _on_error(self, message: Message, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            partition, end = self._place_of(message)
            self.positions[partition] = max(self.positions[partition], end)
        elif code in _LOST:
            raise OffsetLost(self._lost(message, error))
        elif code in PASSING or error.retriable():
            clients.log.warning("reading from %s: %s", self._kafka.bootstrap_servers, describe(error))
        else:
            where = f"{message.topic()}/{message.partition()}" if message.topic() else self._kafka.bootstrap_servers
            raise ReadFailed(f"reading {where}: {describe(error)}")

    def _lost(self, message: Message, error: KafkaError) -> str:
        partition, _ = self._place_of(message)
        return (
            f"offset {self.positions[partition]} of {partition} (topic {message.topic()}) is not on the cluster: {describe(error)}. "
            f"{self._bounds(partition)}Either retention or deletion took the records this reader had not read, "
            "or the saved state belongs to other topics. Nothing was skipped. To go on, restore the records, or remove the "
            "state directory to begin anew from what is there"
        )

    def _bounds(self, partition: Partition) -> str:
        try:
            low, high = self._consumer.get_watermark_offsets(self._place(partition, 0), timeout=5.0)
        except KafkaException:
            return ""
        return f"The cluster holds offsets {low} to {high}. "

    def _place(self, partition: Partition, offset: int) -> TopicPartition:
        return TopicPartition(self._kafka.topic(partition.topic), partition.number, offset)

    @property
    def paused(self) -> frozenset[Partition]:
        """The partitions that are not read at present."""
        return frozenset(self._paused)

    def pause_only(self, partitions: Iterable[Partition]) -> None:
        """Stop reading exactly these partitions; the others are read (again, from where they were stopped)."""
        wanted = set(partitions)
        if stop := wanted - self._paused:
            self._consumer.pause([self._place(p, 0) for p in stop])
        if go := self._paused - wanted:
            self._consumer.resume([self._place(p, 0) for p in go])
        self._paused = wanted

    def close(self) -> None:
        """Leave the cluster; the reader cannot be used afterwards."""
        self._consumer.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
