"""The topic of commands, read from where the last sequenced one left off."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from infra.kafka import clients
from infra.kafka.checked_reader import CheckedReader
from infra.kafka.errors import ReadFailed, describe
from infra.kafka.positions import Partition
from schemas.config import KafkaConfig
from schemas.control import CommandRecord

_LIMIT = 256
_TIMEOUT_S = 10.0
_WAIT_S = 0.1
_PARTITION = Partition(CommandRecord.TOPIC, 0)
_NO_COORDINATOR_YET = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._WAIT_COORD,
    }
)


def _passing(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _NO_COORDINATOR_YET


class CommandReader:
    """Commands of one chain. The place is kept as a consumer group's offset, written after the commands were sequenced: a crash in
    between makes commands come again, never go missing."""

    def __init__(self, kafka: KafkaConfig, chain: int) -> None:
        """Raises `ReadFailed` where the topic does not answer."""
        self._chain = chain
        self._topic = kafka.topic(CommandRecord.TOPIC)
        reader = f"ingest.{chain}.commands"
        #: Reads nothing: it keeps the group's offset.
        self._keeper = clients.consumer(kafka, reader)
        try:
            start, self._end = self._bounds()
            self._reader = CheckedReader(kafka, reader, {_PARTITION: start})
        except BaseException:
            self._keeper.close()
            raise

    def _bounds(self) -> tuple[int, int]:
        """Where to start, and the end as of now."""
        place = TopicPartition(self._topic, 0)
        # A broker that has just come up is still looking for the group's coordinator.
        retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=stop_after_delay(_TIMEOUT_S),
            wait=wait_fixed(_WAIT_S),
            reraise=True,
        )
        try:
            (saved,) = retrying(self._keeper.committed, [place], timeout=_TIMEOUT_S)
            low, high = self._keeper.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise ReadFailed(f"reading {self._topic}: {describe(error.args[0])}") from None
        # Commands are kept for days only; what expired while nobody ran was never obeyed and is not obeyed now.
        return max(low, saved.offset), high

    def waiting(self, wait_s: float = 0.0) -> list[CommandRecord]:
        """Commands of the chain that are there now, oldest first; waits up to `wait_s` for the first. Unreadable ones go to the dead
        letters. Raises `OffsetLost`, `ReadFailed`."""
        found = self._reader.read(_LIMIT, wait_s)
        return [record for _, record, _ in found if isinstance(record, CommandRecord) and record.chain == self._chain]

    def backlog(self) -> list[CommandRecord]:
        """What was there already: to be compared with the log before anything is sequenced. Raises `ReadFailed`."""
        deadline = time.monotonic() + _TIMEOUT_S
        out: list[CommandRecord] = []
        while self._position < self._end:
            out += self.waiting(_WAIT_S)
            if time.monotonic() > deadline and self._position < self._end:
                raise ReadFailed(f"reading {self._topic}: no answer within {_TIMEOUT_S:g} s")
        return out

    @property
    def _position(self) -> int:
        return self._reader.log.positions[_PARTITION]

    def done(self) -> None:
        """Everything read so far is sequenced: keep the place."""
        self._reader.flush_dead_letters()
        self._keeper.commit(offsets=[TopicPartition(self._topic, 0, self._position)], asynchronous=True)

    def close(self) -> None:
        """Leave the cluster."""
        try:
            self._reader.close()
        finally:
            self._keeper.close()
