"""The three flows as child processes of this one, started as a user starts them, and the questions one asks while they run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.kafka.reading import read_records, tail_state
from infra.runtime.child import ChildProcess
from schemas.codec import BadRecord
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord

#: In the order of the data.
FLOWS = ("ingest", "search", "settle")


class FlowDied(RuntimeError):
    """A flow ended by itself, or something did not come in time; the message carries the end of the logs."""


class Inconsistent(RuntimeError):
    """Two records that must be the same are not: a promise is broken."""


class FlowProcesses:
    """ingest, search and settle of one configuration file."""

    def __init__(self, config_path: Path, logs: Path, search_processes: int = 1) -> None:
        """`search_processes`: over how many processes the search flow is spread."""
        self._logs = logs
        self._argv = [sys.executable, "-m", "flows.cli.main", "--config", str(config_path)]
        self._search_processes = search_processes
        self.children: dict[str, ChildProcess] = {}

    def start(self, names: Iterable[str] = FLOWS) -> None:
        """Start flows by name; each logs to a file of its own."""
        for name in names:
            if name not in self.children:
                more = ["--processes", str(self._search_processes)] if name == "search" else []
                self.children[name] = ChildProcess(name, [*self._argv, name, *more], self._logs / f"{name}.log")
            self.children[name].start()

    def check(self) -> None:
        """Raises `FlowDied` for a flow that ended by itself."""
        for name, child in self.children.items():
            if not child.running:
                raise FlowDied(f"the {name} flow ended with status {child.returncode}:\n{child.log_tail(30)}")

    def wait(self, ready: Callable[[], bool], timeout_s: float, what: str, check: bool = True) -> None:
        """Wait for a condition; raises `FlowDied` naming what did not come, or which flow died meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if check:
                self.check()
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {name}\n{child.log_tail(10)}" for name, child in self.children.items())
                raise FlowDied(f"waited {timeout_s:.0f} s for {what}\n{tails}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Drain the flows (SIGTERM), in the order of the data."""
        for name in FLOWS:
            if name in self.children:
                self.children[name].stop(timeout=30)
        self.children.clear()

    def kill(self) -> None:
        """End what still runs, at once."""
        for child in self.children.values():
            child.kill()
        self.children.clear()

    @staticmethod
    def decisions(config: Config) -> dict[int, DecisionRecord]:
        """The recorded decisions by seq. Raises `Inconsistent` where an event has two that differ."""
        found: dict[int, DecisionRecord] = {}
        for _, record in read_records(config.kafka, DecisionRecord.TOPIC):
            if isinstance(record, DecisionRecord) and found.setdefault(record.seq, record) != record:
                raise Inconsistent(f"event {record.seq} has two decisions that differ")
        return found

    @staticmethod
    def settlements(config: Config) -> dict[bytes, SettlementRecord]:
        """The last settlement row of each decision."""
        found: dict[bytes, SettlementRecord] = {}
        for _, record in read_records(config.kafka, SettlementRecord.TOPIC):
            if isinstance(record, BadRecord):
                raise Inconsistent(f"a settlement cannot be read: {record}")
            assert isinstance(record, SettlementRecord)
            found[record.decision_id] = record
        return found

    @classmethod
    def waits_for_a_block(cls, config: Config, head: bytes) -> bool:
        """Whether every event up to this block's has a decision, and all that is open are bundles that the relays have: nothing but a block will settle them."""
        decisions = cls.decisions(config)
        if not _decided(config, decisions, head):
            return False
        rows = cls.settlements(config)
        sent = {getattr(record, "decision_id", b"") for _, record in read_records(config.kafka, SubmissionRecord.TOPIC)}
        unsettled = [decision for decision in decisions.values() if decision.id not in rows]
        return bool(unsettled) and all(decision.chosen and decision.id in sent for decision in unsettled)

    @classmethod
    def settled(cls, config: Config, head: bytes | None = None) -> bool:
        """Whether every event has a decision, that of the block `head` among them if one is named, and every decision a settlement."""
        decisions = cls.decisions(config)
        if not _decided(config, decisions, head):
            return False
        rows = cls.settlements(config)
        return all(decision.id in rows for decision in decisions.values())


def _decided(config: Config, decisions: dict[int, DecisionRecord], head: bytes | None) -> bool:
    """Whether every event in the log has its decision, and the last one was made on `head` if one is named."""
    if len(decisions) < tail_state(config.kafka, config.chain.id).next_seq:
        return False
    return head is None or (bool(decisions) and decisions[max(decisions)].head_hash == head)
