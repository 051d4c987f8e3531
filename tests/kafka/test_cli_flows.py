"""The command line against a real broker: topics, settlement as a process, the search flow as a dry run, the report."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.processes import FlowProcesses
from infra.kafka.reading import read_records
from infra.kafka.transactional import TransactionalWriter
from infra.kafka.writer import CheckedWriter
from infra.runtime.child import ChildProcess
from schemas.codec import BadRecord
from schemas.config import Config, KafkaConfig, dump_config
from schemas.control import CommandRecord
from schemas.decisions import DecisionRecord
from schemas.settlements import SettlementRecord
from schemas.topics import TOPICS
from tests.flow.settled_world import CONFIG, World

pytestmark = pytest.mark.kafka

PROGRAM = [sys.executable, "-m", "flows.cli.main"]
#: More blocks than settlement remembers: who reads them before the decisions settles nothing right.
LONG_TAIL = 150


@pytest.fixture
def config(kafka: KafkaConfig, tmp_path: Path) -> Config:
    runtime = CONFIG.runtime.model_copy(update={"state_dir": tmp_path / "state", "epoch_ms": 100, "batch_size": 16})
    return CONFIG.model_copy(update={"kafka": kafka, "runtime": runtime})


@pytest.fixture
def config_file(config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "sluice.toml"
    path.write_text(dump_config(config))
    return path


def call(config_file: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*PROGRAM, "-c", str(config_file), *arguments], capture_output=True, text=True, timeout=180)
    assert done.returncode == code, done.stderr
    return done


def ask(config_file: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = call(config_file, *arguments, "--json", code=code)
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def write_events(config: Config, world: World) -> None:
    writer = TransactionalWriter(config.kafka, f"{config.kafka.topic_prefix}test")
    for start in range(0, len(world.events), 50):
        writer.commit([part for event in world.events[start : start + 50] for part in event.parts])
    writer.close()


def write_records(config: Config, world: World) -> None:
    with CheckedWriter(config.kafka) as writer:
        for record in (*world.decisions, *world.submissions):
            writer.send(record)


def wait_for(ready: Callable[[], bool], child: ChildProcess, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert child.running, child.log_tail(40)
        assert time.monotonic() < deadline, child.log_tail(10)[:2000]
        time.sleep(0.1)


def settled(config: Config, world: World) -> bool:
    rows = FlowProcesses.settlements(config)
    return {decision_id: row.outcome for decision_id, row in rows.items()} == world.expected


def workers_of(parent: Any) -> list[Any]:
    """The processes of a flow that this one (psutil's) has started; one that ends while it is looked at is none."""
    found = []
    for process in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if "--process-id" in " ".join(process.cmdline()) else []
    return found


def start(config_file: Path, tmp_path: Path, *arguments: str) -> ChildProcess:
    argv = [*PROGRAM, "-c", str(config_file), *arguments]
    return ChildProcess(arguments[0], argv, tmp_path / f"{arguments[0]}.log").start()


# ---------------------------------------------------------------- settle and report


@pytest.mark.parametrize("processes", ["1", "2"])
def test_settlement_catches_up_with_a_long_log_and_drains(
    config: Config, config_file: Path, tmp_path: Path, processes: str
) -> None:
    world = World(tail=LONG_TAIL)
    write_events(config, world)
    write_records(config, world)
    with start(config_file, tmp_path, "settle", "--processes", processes) as child:
        wait_for(lambda: settled(config, world), child)
        assert child.stop(timeout=90) == 0, child.log_tail(40)
    # Nothing was ever said that had to be taken back: no row says less than what was known from the start.
    rows = [r for _, r in read_records(config.kafka, SettlementRecord.TOPIC) if isinstance(r, SettlementRecord)]
    assert {row.revision for row in rows} == {0}

    report = ask(config_file, "report", "--parquet", str(tmp_path / "parquet"))
    assert report["outcomes"] == dict(Counter(outcome.value for outcome in world.expected.values()))
    assert (report["blocks"], report["events"]) == (len(world.events), len(world.events))
    assert report["decisions"] == len(world.decisions)
    assert (
        report["bundles_included"] == report["included_exact"] == sum(o == "Included" for o in world.expected.values())
    )
    assert report["realised_net_wei"] == report["predicted_net_wei"] > 0
    assert sorted(p.name for p in (tmp_path / "parquet").iterdir()) == ["decisions.parquet", "settlements.parquet"]
    shown = call(config_file, "report")
    assert "Bundles on chain" in shown.stdout
    assert shown.stderr == ""


def test_settlement_killed_again_and_again_settles_every_decision(
    config: Config, config_file: Path, tmp_path: Path
) -> None:
    world = World(tail=LONG_TAIL)
    half = len(world.decisions) // 2
    write_events(config, world)
    early = World()
    early.decisions, early.submissions = world.decisions[:half], world.submissions[: len(world.submissions) // 2]
    write_records(config, early)
    child = start(config_file, tmp_path, "settle")
    for _ in range(4):
        time.sleep(1.2)
        child.kill()
        child.start()
    write_records(config, world)  # the first half a second time, too
    with child:
        wait_for(lambda: settled(config, world), child)
        assert child.stop(timeout=90) == 0, child.log_tail(40)


def test_all_processes_die_with_the_one_that_started_them(config_file: Path, tmp_path: Path) -> None:
    child = start(config_file, tmp_path, "settle", "--processes", "2")
    parent = psutil.Process(child.pid)
    wait_for(lambda: len(workers_of(parent)) == 2, child)
    running = workers_of(parent)
    parent.kill()
    child.wait(60)
    gone, alive = psutil.wait_procs(running, timeout=60)
    assert len(gone) == 2 and not alive


def test_a_process_that_dies_ends_the_flow_with_its_reason(config_file: Path, tmp_path: Path) -> None:
    child = start(config_file, tmp_path, "settle", "--processes", "2")
    parent = psutil.Process(child.pid)
    wait_for(lambda: len(workers_of(parent)) == 2, child)
    time.sleep(1)
    workers_of(parent)[0].kill()
    assert child.wait(90) == 1
    assert "ended with status" in child.log_tail(40)


# ---------------------------------------------------------------- search


@pytest.mark.parametrize("processes", ["1", "2"])
def test_search_is_a_dry_run_that_decides_every_event(
    config: Config, config_file: Path, tmp_path: Path, processes: str
) -> None:
    world = World()
    write_events(config, world)
    trace = tmp_path / "trace.jsonl"
    with start(config_file, tmp_path, "search", "--processes", processes, "--trace", str(trace)) as child:
        wait_for(lambda: len(FlowProcesses.decisions(config)) == len(world.events), child)
        assert child.stop(timeout=90) == 0, child.log_tail(40)
    logs = child.log_tail(200) + "".join(p.read_text() for p in (tmp_path / "state" / "logs").glob("*.log"))
    assert "dry run: nothing is sent" in logs
    stamps = [json.loads(line) for line in trace.read_text().splitlines()]
    for stage in ("source", "graph", "search", "simulate", "decide"):
        assert {s["seq"] for s in stamps if s["stage"] == stage} >= set(range(len(world.events))), stage


# ---------------------------------------------------------------- topics, control, show, dead letters


def test_topics_are_created_and_checked(bare_kafka: KafkaConfig, config: Config, tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text(dump_config(config.model_copy(update={"kafka": bare_kafka})))
    missing = ask(path, "topics", "check", code=1)
    assert missing["equal"] is False and len(missing["differences"]) == len(TOPICS)
    assert len(ask(path, "topics", "create")["created"]) == len(TOPICS)
    again = ask(path, "topics", "create")
    assert (again["created"], len(again["present"])) == ([], len(TOPICS))
    assert ask(path, "topics", "check") == {"equal": True, "differences": []}


def test_a_flow_without_topics_says_how_to_get_them(bare_kafka: KafkaConfig, config: Config, tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text(dump_config(config.model_copy(update={"kafka": bare_kafka})))
    done = call(path, "settle", code=1)
    assert "sluice topics" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_are_written_and_shown(config: Config, config_file: Path) -> None:
    ask(config_file, "control", "pause", "--until-block", "7", "--reason", "maintenance")
    ask(config_file, "control", "cooldown", "0x" + "AB" * 20, "--until-block", "9")
    call(config_file, "control", "resume")
    found = [r for _, r in read_records(config.kafka, CommandRecord.TOPIC) if isinstance(r, CommandRecord)]
    assert [(r.command.value, r.subject, r.until_block) for r in found] == [
        ("pause", "", 7), ("cooldown", "0x" + "ab" * 20, 9), ("resume", "", 0),
    ]  # fmt: skip
    lines = [
        json.loads(line)
        for line in call(config_file, "show", "commands", "--from", "1", "--limit", "1").stdout.splitlines()
    ]
    assert [(line["offset"], line["record"]["command"]) for line in lines] == [(1, "cooldown")]
    assert len(ask(config_file, "show", "commands", "--from", "-2")["records"]) == 2


def test_show_follows_until_it_is_stopped(config: Config, config_file: Path, tmp_path: Path) -> None:
    child = start(config_file, tmp_path, "show", "decisions", "--follow")
    world = World()
    write_records(config, world)
    wait_for(lambda: child.log_path.read_text().count("\n") >= len(world.decisions), child)
    child.signal(signal.SIGINT)
    assert child.wait(60) == 0


def test_unreadable_records_are_listed_once(config: Config, config_file: Path, tmp_path: Path) -> None:
    from infra.kafka import clients

    producer = clients.producer(config.kafka, "vandal")
    producer.produce(config.kafka.topic(DecisionRecord.TOPIC), b"{garbage", b"key")
    assert producer.flush(60) == 0
    world = World()
    write_events(config, world)
    write_records(config, world)
    with start(config_file, tmp_path, "settle") as child:
        wait_for(lambda: settled(config, world), child)
        child.stop(timeout=90)
    letters = ask(config_file, "dead-letters")
    assert (letters["count"], letters["reasons"]) == (1, {"not_a_record": 1})
    assert letters["records"][0]["topic"] == DecisionRecord.TOPIC
    assert letters["records"][0]["reader"].startswith("settle")
    unreadable = [
        json.loads(x) for x in call(config_file, "show", "decisions").stdout.splitlines() if "unreadable" in x
    ]
    assert [x["unreadable"]["reason"] for x in unreadable] == ["not_a_record"]
    assert any(isinstance(r, BadRecord) for _, r in read_records(config.kafka, DecisionRecord.TOPIC))
