"""Where the log's partitions are, begin and end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ListOffsetsResultInfo, OffsetSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.kafka.errors import PASSING, NotNow, ReadFailed, TopicMissing, describe
from infra.kafka.positions import Partition
from schemas.config import KafkaConfig

_Offsets = dict[TopicPartition, "Future[ListOffsetsResultInfo]"]
#: How long an open transaction is waited for where the ends of the log are asked for; ours take milliseconds, and one that is open for
#: longer has most likely lost its writer.
_OPEN_WAIT_S = 5.0
_LOOK_AGAIN_S = 0.005
#: How often is looked at least, however long one answer takes: a broker that stands still does not end its transactions meanwhile.
_LEAST_LOOKS = 20
#: How long after the cluster said "not now" it is asked again.
_ASK_AGAIN_S = 0.1


class PendingOffsets:
    """Offsets that were asked for; `result` waits for them."""

    def __init__(self, kafka: KafkaConfig, futures: _Offsets) -> None:
        self._kafka = kafka
        self._futures = futures

    @property
    def ready(self) -> bool:
        """Whether `result` would answer at once."""
        return all(f.done() for f in self._futures.values())

    def result(self) -> dict[Partition, int]:
        """The offsets. Raises `ReadFailed`, or `NotNow`, naming the partition whose offset the cluster would not tell."""
        found = {}
        for place, future in self._futures.items():
            name = place.topic.removeprefix(self._kafka.topic_prefix)
            try:
                found[Partition(name, place.partition)] = future.result().offset
            except KafkaException as error:
                kind = NotNow if error.args[0].code() in PASSING else ReadFailed
                raise kind(f"offsets of {name}/{place.partition}: {describe(error.args[0])}") from None
        return found


class LogLayout:
    """Asks the cluster about the partitions of our topics."""

    def __init__(self, kafka: KafkaConfig, admin: AdminClient) -> None:
        self._kafka = kafka
        self._admin = admin

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """All partitions of the topics, sorted. Raises `TopicMissing`."""
        wanted = list(topics)
        metadata = self._metadata()
        missing = [self._kafka.topic(t) for t in wanted if self._kafka.topic(t) not in metadata.topics]
        if missing:
            raise TopicMissing(
                f"no topic {', '.join(missing)} on {self._kafka.bootstrap_servers}; `sluice topics` creates them from the topic table"
            )
        return sorted(Partition(t, p) for t in wanted for p in metadata.topics[self._kafka.topic(t)].partitions)

    def cluster_id(self) -> str:
        """The cluster's own id: offsets mean nothing on another one."""
        return str(self._metadata().cluster_id)

    def _metadata(self) -> ClusterMetadata:
        try:
            return self._admin.list_topics(timeout=self._kafka.probe_timeout_s)
        except KafkaException as error:
            raise ReadFailed(f"topics of {self._kafka.bootstrap_servers}: {describe(error.args[0])}") from None

    def lows(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The first offset still held of each partition."""
        return self._told(partitions, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)

    def committed_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The position behind the last record that no open transaction holds back."""
        return self._told(partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)

    def written_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The position behind the last record, open transactions included."""
        return self._told(partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def settled_ends(self, partitions: Iterable[Partition], wait_s: float = _OPEN_WAIT_S) -> dict[Partition, int]:
        """`committed_ends` once the transactions that were open at the call have ended; those of `wait_s` seconds and more are left out.

        A broker acknowledges a commit before the partitions show it (KIP-98: the markers are written afterwards), so whoever asks for
        the ends right behind a commit would otherwise miss what was just written.
        """
        wanted = list(partitions)
        written, deadline = self.written_ends(wanted), time.monotonic() + wait_s
        ends, looks = self.committed_ends(wanted), 1
        while not reached(ends, written) and (looks < _LEAST_LOOKS or time.monotonic() < deadline):
            time.sleep(_LOOK_AGAIN_S)
            ends, looks = self.committed_ends(wanted), looks + 1
        return ends

    def ask_ends(self, partitions: Iterable[Partition]) -> PendingOffsets:
        """`written_ends` without waiting."""
        return self._ask(partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def since(self, partitions: Iterable[Partition], unix_ms: int) -> dict[Partition, int]:
        """The first offset of each partition whose record was written at this time or later; its end where there is none."""
        wanted = list(partitions)
        found = self._told(wanted, OffsetSpec.for_timestamp(unix_ms), IsolationLevel.READ_UNCOMMITTED)
        ends = self.written_ends(wanted)
        return {partition: offset if offset >= 0 else ends[partition] for partition, offset in found.items()}

    def _told(self, partitions: Iterable[Partition], spec: OffsetSpec, level: IsolationLevel) -> dict[Partition, int]:
        """The answer, asked for again where a broker that has just come does not know its partitions' leaders yet."""
        wanted = list(partitions)
        retrying = Retrying(
            retry=retry_if_exception_type(NotNow),
            stop=stop_after_delay(self._kafka.probe_timeout_s),
            wait=wait_fixed(_ASK_AGAIN_S),
            reraise=True,
        )
        return retrying(lambda: self._ask(wanted, spec, level).result())

    def _ask(self, partitions: Iterable[Partition], spec: OffsetSpec, level: IsolationLevel) -> PendingOffsets:
        wanted = {TopicPartition(self._kafka.topic(p.topic), p.number): spec for p in partitions}
        futures = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=self._kafka.probe_timeout_s)
        return PendingOffsets(self._kafka, futures)


def reached(positions: Mapping[Partition, int], ends: Mapping[Partition, int]) -> bool:
    """Whether every partition was read to its end."""
    return all(positions[p] >= end for p, end in ends.items())
