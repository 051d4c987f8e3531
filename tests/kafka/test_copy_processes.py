"""The flow as processes of its own: signals drain it, `kill -9` costs nothing, two processes do as one."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from infra.kafka.transactional import TransactionalWriter
from infra.runtime.child import ChildProcess
from infra.runtime.ports import free_ports
from schemas.config import KafkaConfig
from tests.kafka.copy_flow import answered
from tests.kafka.traffic import in_groups, write_events
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[2]


def copier(kafka: KafkaConfig, folder: Path, name: str = "copy", **how: object) -> ChildProcess:
    argument = json.dumps({"kafka": kafka.model_dump(mode="json"), "state": str(folder / "state"), **how})
    child = ChildProcess(
        name, [sys.executable, "-m", "tests.kafka.copy_flow", argument], folder / f"{name}.log", cwd=ROOT
    )
    return child.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(kafka: KafkaConfig, tmp_path: Path, number: signal.Signals) -> None:
    write_events(kafka, 1, range(500))
    with copier(kafka, tmp_path, hold_at=300) as child:
        wait_until("answers", lambda: len(answered(kafka)) >= 50)
        child.signal(number)
        assert child.wait(60) == 0, child.log_tail()
    before = answered(kafka)
    assert sorted(before) == list(range(len(before)))
    assert len(before) < 500
    with copier(kafka, tmp_path) as child:
        wait_until("the other answers", lambda: len(answered(kafka)) == 500)
        child.signal(number)
        assert child.wait(60) == 0, child.log_tail()
    assert answered(kafka) == dict.fromkeys(range(500), 1)


def test_two_processes_drain_together_and_do_as_one(kafka: KafkaConfig, tmp_path: Path) -> None:
    write_events(kafka, 1, range(300))
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    pair = [copier(kafka, tmp_path, f"copy{i}", process_id=i, addresses=addresses) for i in range(2)]
    try:
        wait_until("all answers", lambda: len(answered(kafka)) == 300)
        for child in pair:
            child.signal(signal.SIGTERM)
        assert [child.wait(60) for child in pair] == [0, 0], pair[0].log_tail() + pair[1].log_tail()
    finally:
        for child in pair:
            child.kill()
    assert answered(kafka) == dict.fromkeys(range(300), 1)


@pytest.mark.chaos
def test_kill_9_under_traffic_loses_nothing(kafka: KafkaConfig, tmp_path: Path) -> None:
    chance = random.Random(20)
    stop, written = threading.Event(), [0]

    def traffic() -> None:
        with TransactionalWriter(kafka, "traffic") as writer:
            while not stop.is_set():
                for records in in_groups(1, range(written[0], written[0] + 3), 3):
                    writer.commit(records)
                written[0] += 3
                time.sleep(0.01)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for _ in range(4):
            before = len(answered(kafka))
            with copier(kafka, tmp_path) as child:
                wait_until("an answer", lambda before=before: len(answered(kafka)) > before)  # type: ignore[misc]
                time.sleep(chance.random())
                child.kill()
    finally:
        stop.set()
        thread.join()
    with copier(kafka, tmp_path) as child:
        # Events that only this process can answer show that it is up, and takes signals.
        write_events(kafka, 1, range(written[0], written[0] + 3))
        written[0] += 3
        wait_until("all answers", lambda: len(answered(kafka)) == written[0])
        child.signal(signal.SIGTERM)
        assert child.wait(60) == 0, child.log_tail()
    found = answered(kafka)
    assert sorted(found) == list(range(written[0]))
    assert sum(found.values()) < 2 * written[0]
