"""The local broker: a real Kafka that comes up, goes away cleanly, comes back after a crash, and never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka import run_folders
from infra.kafka.broker import LocalBroker, answers, new_cluster_id
from infra.kafka.broker_settings import MESSAGE_MAX_BYTES, as_file
from infra.runtime.child import ChildError
from infra.toolchain import layout

pytestmark = pytest.mark.kafka


def create_topic(broker: LocalBroker, name: str, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(20)


def produce(broker: LocalBroker, topic: str, values: list[bytes], **config: object) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True, **config})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def read_all(broker: LocalBroker, topic: str, count: int) -> list[bytes]:
    settings = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": "reader",
        "fetch.message.max.bytes": MESSAGE_MAX_BYTES,
    }
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.5):
            assert message.error() is None
            found.append(message.value())
    consumer.close()
    return found


def test_unknown_topics_are_not_made_up(broker: LocalBroker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "message.timeout.ms": 3000})
    errors: list[object] = []
    producer.produce("misspelt", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)
    assert errors and errors[0] is not None


def test_large_messages_pass_where_the_topic_allows_them(broker: LocalBroker) -> None:
    create_topic(broker, "large", **{"max.message.bytes": str(MESSAGE_MAX_BYTES)})
    value = os.urandom(8 * 1024 * 1024)
    produce(broker, "large", [value], **{"message.max.bytes": MESSAGE_MAX_BYTES})
    assert read_all(broker, "large", 1) == [value]


def test_transactions_and_their_fence(broker: LocalBroker) -> None:
    create_topic(broker, "atomic")
    settings = {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "one", "linger.ms": 0}
    first, second = Producer(settings), Producer(settings)
    first.init_transactions(20)
    first.begin_transaction()
    first.produce("atomic", b"whole")
    first.commit_transaction(20)
    second.init_transactions(20)
    with pytest.raises(KafkaException) as caught:
        first.begin_transaction()
        first.produce("atomic", b"late")
        first.commit_transaction(20)
    assert caught.value.args[0].fatal()
    assert read_all(broker, "atomic", 1) == [b"whole"]


@pytest.mark.slow
def test_stop_kill_and_restart_keep_address_and_data(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "kafka") as own:
        address = own.bootstrap_servers
        create_topic(own, "kept")
        produce(own, "kept", [b"1", b"2"])
        assert own.stop() in (0, 143, -signal.SIGTERM)
        assert not own.running and not answers(address, timeout=0.5)
        own.restart()
        produce(own, "kept", [b"3"])
        own.kill()
        assert not own.running
        own.start()
        assert own.bootstrap_servers == address
        assert read_all(own, "kept", 3) == [b"1", b"2", b"3"]
    assert (tmp_path / "kafka" / "data").exists(), "a folder that was given is kept"


@pytest.mark.slow
def test_an_idempotent_producer_survives_a_crash_of_the_broker(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "kafka") as own:
        create_topic(own, "through")
        producer = Producer(
            {"bootstrap.servers": own.bootstrap_servers, "enable.idempotence": True, "acks": "all", "linger.ms": 1}
        )
        expected = [str(number).encode() for number in range(4000)]
        for number, value in enumerate(expected):
            producer.produce("through", value)
            if number == 2000:
                producer.poll(0.05)
                own.kill()
                own.start()
        assert producer.flush(60) == 0
        assert read_all(own, "through", len(expected)) == expected


def test_failure_tells_the_end_of_the_log(tmp_path: Path) -> None:
    own = LocalBroker(tmp_path / "kafka")
    (tmp_path / "kafka" / "data").mkdir()
    (tmp_path / "kafka" / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=someone-else\n")
    with pytest.raises(ChildError, match=r"(?s)Kafka broker ended with .* before it was ready.*node.id"):
        own.start()
    assert not own.running


PARENT = """
import time
from infra.kafka.broker import LocalBroker
broker = LocalBroker().start()
print(broker.pid, broker.folder, flush=True)
time.sleep(120)
"""


def gone(pid: int) -> bool:
    """Whether the process has ended. It may do so between two questions, and nobody may be there to collect it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
def test_no_orphan_and_no_litter_after_the_parent_is_killed() -> None:
    environment = dict(os.environ, PYTHONPATH=str(layout.ROOT))
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert not gone(int(pid))
        # From the parent's death on, any broker that starts on this machine may sweep it.
        assert Path(folder).exists()
        parent.kill()
    deadline = time.monotonic() + 60
    while not gone(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(int(pid))
    run_folders.sweep(layout.RUN)
    assert not Path(folder).exists(), "the next broker sweeps what the dead process left"


def test_cluster_ids_are_in_kafkas_form() -> None:
    ids = {new_cluster_id() for _ in range(500)}
    assert len(ids) == 500 and all(len(text) == 22 and not text.startswith("-") for text in ids)


def test_properties_escape_backslashes() -> None:
    assert as_file({"log.dirs": "a\\b"}) == "log.dirs=a\\\\b\n"
