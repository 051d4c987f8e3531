"""Unsequenced topics in, records out, through the engine; and what the sink does when a delivery fails."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource
from confluent_kafka import KafkaError
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra.kafka import clients
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.checked_source import CheckedSource
from infra.kafka.errors import WriteFailed
from infra.kafka.reading import read_records
from infra.kafka.writer import CheckedWriter
from infra.runtime.drain import Drain
from infra.runtime.run_flow import run_flow
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.ids import with_id
from schemas.opportunities import GOLDEN as OPPORTUNITY
from schemas.opportunities import OpportunityRecord
from schemas.record import Record
from schemas.submissions import GOLDEN as SUBMISSION
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka


def opportunity(seq: int, **changes: object) -> OpportunityRecord:
    return with_id(msgspec.structs.replace(OPPORTUNITY, seq=seq, **changes))  # type: ignore[arg-type]


def write(kafka: KafkaConfig, records: list[Record]) -> None:
    with CheckedWriter(kafka) as writer:
        for record in records:
            writer.send(record)


def read(kafka: KafkaConfig, state: Path | None, topics: list[str], batch_size: int = 100) -> list[tuple[str, Record]]:
    out: list[tuple[str, Record]] = []
    flow = Dataflow("read")
    source = CheckedSource(kafka, topics, "test", batch_size=batch_size, drain=Drain(), until_end=True)
    op.output("out", op.input("in", flow, source), TestingSink(out))
    run_flow(flow, state_dir=state, epoch=timedelta(milliseconds=20))
    return out


def test_records_of_all_partitions_and_topics_once_and_with_recovery(kafka: KafkaConfig, tmp_path: Path) -> None:
    first = [opportunity(i) for i in range(200)]
    write(kafka, [*first, SUBMISSION])
    found = read(kafka, tmp_path, ["opportunities", "submissions"], batch_size=7)
    assert sorted(r.seq for t, r in found if t == "opportunities") == list(range(200))
    assert [r for t, r in found if t == "submissions"] == [SUBMISSION]
    assert read(kafka, tmp_path, ["opportunities", "submissions"]) == []
    write(kafka, [opportunity(i) for i in range(200, 230)])
    assert sorted(r.seq for _, r in read(kafka, tmp_path, ["opportunities", "submissions"])) == list(range(200, 230))


def test_keys_spread_over_partitions_and_keep_their_order(kafka: KafkaConfig) -> None:
    write(kafka, [opportunity(i) for i in range(50)])
    places = [p for p, _ in read_records(kafka, "opportunities")]
    assert {p.partition for p in places} == {0, 1, 2, 3}


def sink_flow(kafka: KafkaConfig, records: list[OpportunityRecord]) -> Dataflow:
    flow = Dataflow("write")
    keyed = op.key_on("key", op.input("in", flow, TestingSource(records, batch_size=1)), lambda r: str(r.seq))
    op.output("out", keyed, CheckedSink(kafka))
    return flow


def limit_messages(kafka: KafkaConfig, topic: str, size: int) -> None:
    """Make the broker refuse what our codec allows: a delivery that fails."""
    admin = clients.admin(kafka)
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic(topic), incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(60)
    # The controller has taken it down by now; the broker hears of it a little later, and only then holds writers to it.
    wait_until("the limit to be in force", lambda: not takes(kafka, topic, size + 1) and takes(kafka, topic, size // 2))


def takes(kafka: KafkaConfig, topic: str, size: int) -> bool:
    """Whether a topic takes a message of so many bytes: tried in a transaction that is rolled back, so nothing of it is ever read."""
    refused: list[KafkaError] = []
    producer = clients.transactional_producer(kafka, f"{kafka.topic_prefix}probe", 60_000)
    producer.init_transactions(60)
    producer.begin_transaction()
    report = lambda error, _: refused.extend([error] if error is not None else [])  # noqa: E731
    producer.produce(kafka.topic(topic), os.urandom(size), on_delivery=report)
    assert producer.flush(60) == 0
    producer.abort_transaction(60)
    assert all(error.code() == KafkaError.MSG_SIZE_TOO_LARGE for error in refused), refused
    return not refused


def test_a_failed_delivery_stops_the_flow_before_its_epoch_is_saved(kafka: KafkaConfig, tmp_path: Path) -> None:
    records = [opportunity(i, detail="x" * (1900 if i == 5 else 10)) for i in range(8)]
    limit_messages(kafka, "opportunities", 1500)
    with pytest.raises(
        WriteFailed, match=f"a record for {kafka.topic('opportunities')} was not delivered: .*MSG_SIZE_TOO_LARGE"
    ):
        run_flow(sink_flow(kafka, records), state_dir=tmp_path, epoch=timedelta(0))
    limit_messages(kafka, "opportunities", 1 << 20)
    run_flow(sink_flow(kafka, records), state_dir=tmp_path, epoch=timedelta(0))
    found = [r for _, r in read_records(kafka, "opportunities")]
    assert {r.seq for r in found if isinstance(r, OpportunityRecord)} == set(range(8))


def test_a_record_too_big_for_its_topic_is_named(kafka: KafkaConfig) -> None:
    huge = opportunity(0, hops=OPPORTUNITY.hops * 10_000)
    with pytest.raises(BadRecord, match=r"oversized: OpportunityRecord of \d+ bytes, at most 1048576 allowed"):
        run_flow(sink_flow(kafka, [huge]), state_dir=None, epoch=timedelta(0))


def test_a_writer_without_its_topic_says_so(bare_kafka: KafkaConfig) -> None:
    config = bare_kafka.model_copy(update={"client": {"topic.metadata.propagation.max.ms": 500}})
    with pytest.raises(WriteFailed, match=r"not delivered.*UNKNOWN_TOPIC"), CheckedWriter(config) as writer:
        writer.send(opportunity(0))
