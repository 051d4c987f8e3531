"""Offsets asked of a cluster whose brokers have just come."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo

from infra.kafka.errors import NotNow, ReadFailed
from infra.kafka.layout import LogLayout
from infra.kafka.positions import Partition
from schemas.config import KafkaConfig

BLOCKS = Partition("blocks", 0)


class Cluster:
    """Answers each question about offsets with the next of what it was given."""

    def __init__(self, *answers: int | KafkaError) -> None:
        self._answers = list(answers)

    @property
    def left(self) -> int:
        return len(self._answers)

    def list_offsets(self, wanted: dict[TopicPartition, Any], **_: object) -> dict[TopicPartition, Future[Any]]:
        answer = self._answers.pop(0)
        future: Future[Any] = Future()
        if isinstance(answer, KafkaError):
            future.set_exception(KafkaException(answer))
        else:
            future.set_result(ListOffsetsResultInfo(answer, -1, -1))
        return dict.fromkeys(wanted, future)


def ends_of(cluster: Cluster, wait_s: float = 60.0) -> int:
    kafka = KafkaConfig(bootstrap_servers="nowhere:1", probe_timeout_s=wait_s)
    return LogLayout(kafka, cast(AdminClient, cluster)).committed_ends([BLOCKS])[BLOCKS]


@pytest.mark.parametrize(
    "code", [KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._TRANSPORT]
)
def test_what_passes_is_asked_again(code: int) -> None:
    cluster = Cluster(KafkaError(code), KafkaError(code), 7)
    assert ends_of(cluster) == 7
    assert not cluster.left


def test_not_for_ever() -> None:
    answers = [KafkaError(KafkaError.UNKNOWN_LEADER_EPOCH)] * 100
    with pytest.raises(NotNow, match=r"offsets of blocks/0: .*UNKNOWN_LEADER_EPOCH"):
        ends_of(Cluster(*answers), wait_s=0.3)


def test_what_does_not_pass_is_said_at_once() -> None:
    cluster = Cluster(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), 7)
    with pytest.raises(ReadFailed, match=r"offsets of blocks/0: .*TOPIC_AUTHORIZATION_FAILED"):
        ends_of(cluster)
    assert cluster.left == 1


def settled_end(cluster: Cluster) -> int:
    kafka = KafkaConfig(bootstrap_servers="nowhere:1")
    return LogLayout(kafka, cast(AdminClient, cluster)).settled_ends([BLOCKS], wait_s=0.0)[BLOCKS]


def test_an_open_transaction_is_looked_at_several_times_however_long_the_answers_took() -> None:
    cluster = Cluster(7, *[3] * 10, 7)
    assert settled_end(cluster) == 7
    assert not cluster.left


def test_one_that_stays_open_is_left_out() -> None:
    assert settled_end(Cluster(7, *[3] * 50)) == 3
