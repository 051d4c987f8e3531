"""The flow's output: an epoch is saved only after every record of it was confirmed by the cluster."""

from __future__ import annotations

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from infra.kafka.writer import CheckedWriter
from schemas.config import KafkaConfig
from schemas.record import Record


class _Partition(StatefulSinkPartition[Record, None]):
    def __init__(self, writer: CheckedWriter) -> None:
        self._writer = writer

    @override
    def write_batch(self, values: list[Record]) -> None:
        for record in values:
            self._writer.send(record)

    @override
    def snapshot(self) -> None:
        # The engine saves an epoch after this returned, so an undelivered record stops the flow before its input counts as read.
        self._writer.flush()

    # No `close`: the last snapshot has flushed everything, and the engine also closes while an error unwinds it, when a second
    # error would take the process down.


class CheckedSink(FixedPartitionedSink[Record, None]):
    """Takes (engine key, record) and writes each record to its topic under the topic table's message key.

    Records leave at once; the confirmations are gathered at the end of the epoch. A record that its topic would not take
    raises `BadRecord(OVERSIZED)`, a failed delivery `WriteFailed`; both stop the flow, whose next start writes the epoch
    anew: at least once, with ids by which repetitions are recognised. One partition: all output in one order.
    """

    def __init__(self, kafka: KafkaConfig, name: str = "sink") -> None:
        self._kafka = kafka
        self._name = name

    @override
    def list_parts(self) -> list[str]:
        return ["records"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        return _Partition(CheckedWriter(self._kafka, self._name))
