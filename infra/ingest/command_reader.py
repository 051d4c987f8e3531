"""The topic of commands, read from where the last sequenced one left off."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from infra.kafka import clients
from infra.kafka.checked_reader import decode
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.errors import ReadFailed, describe
from infra.kafka.positions import Position
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.control import CommandRecord

_LIMIT = 256
_TIMEOUT_S = 10.0
_WAIT_S = 0.1
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
    """Commands of one chain. The place is kept as the consumer group's offset, written after the commands were sequenced: a crash in
    between makes commands come again, never go missing."""

    def __init__(self, kafka: KafkaConfig, chain: int) -> None:
        """Raises `ReadFailed` where the topic does not answer."""
        self._chain = chain
        self._topic = kafka.topic(CommandRecord.TOPIC)
        self._reader = f"ingest.{chain}.commands"
        self._consumer: Consumer = clients.consumer(kafka, self._reader)
        self._dead_letters = DeadLetters(kafka, self._reader)
        self._position = self._start()
        self._consumer.assign([TopicPartition(self._topic, 0, self._position)])

    def _start(self) -> int:
        place = TopicPartition(self._topic, 0)
        # A broker that has just come up is still looking for the group's coordinator.
        retrying = Retrying(
            retry=retry_if_exception(_passing), stop=stop_after_delay(_TIMEOUT_S), wait=wait_fixed(_WAIT_S), reraise=True
        )
        try:
            (saved,) = retrying(self._consumer.committed, [place], timeout=_TIMEOUT_S)
            low, self._end = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise ReadFailed(f"reading {self._topic}: {describe(error.args[0])}") from None
        # Commands are kept for days only; what expired while nobody ran was never obeyed and is not obeyed now.
        return max(low, saved.offset)

    def waiting(self, wait_s: float = 0.0) -> list[CommandRecord]:
        """Commands of the chain that are there now, oldest first; waits up to `wait_s` for the first. Unreadable ones go to the dead
        letters."""
        out = []
        for message in self._consumer.consume(_LIMIT, wait_s):
            error = message.error()
            if error is None:
                self._position = message.offset() + 1
                if (command := self._decoded(message)) is not None:
                    out.append(command)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._position = max(self._position, message.offset())
            elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                raise ReadFailed(f"reading {self._topic} from {self._position}: {describe(error)}")
        return out

    def _decoded(self, message: Message) -> CommandRecord | None:
        try:
            record = decode(CommandRecord.TOPIC, message.value())
        except BadRecord as bad:
            place = Position(CommandRecord.TOPIC, message.partition(), message.offset())
            self._dead_letters.put(place, bad, message.key(), message.value())
            return None
        return record if isinstance(record, CommandRecord) and record.chain == self._chain else None

    def backlog(self) -> list[CommandRecord]:
        """What was there already: to be compared with the log before anything is sequenced. Raises `ReadFailed`."""
        deadline = time.monotonic() + _TIMEOUT_S
        out: list[CommandRecord] = []
        while self._position < self._end:
            out += self.waiting(_WAIT_S)
            if time.monotonic() > deadline and self._position < self._end:
                raise ReadFailed(f"reading {self._topic}: no answer within {_TIMEOUT_S:g} s")
        return out

    def done(self) -> None:
        """Everything read so far is sequenced: keep the place."""
        self._dead_letters.flush()
        self._consumer.commit(offsets=[TopicPartition(self._topic, 0, self._position)], asynchronous=True)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
