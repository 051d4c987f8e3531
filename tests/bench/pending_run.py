"""A sequencer and a searcher, each a process of its own, fed with pending transactions and hints at a rate, and what became of each."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.executor import EXPECTED_IDLE, EXPECTED_SLOT, runtime_code
from flows.recorded_block import EXECUTOR, RecordedBlock
from flows.world import ETHER, write_key
from infra.devnet.anvil import Anvil
from infra.devnet.genesis import Account, ReplayBundle, start_block_node
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_events, read_records, tail_state
from infra.runtime.child import ChildProcess
from schemas.config import Config, dump_config
from schemas.decisions import DecisionRecord, EventKind
from schemas.hints import HintRecord
from schemas.pending import PendingRecord
from tests.bench.pending_socket import PendingSocket
from tests.bench.recorded_mempool import BLOCK, Sighting
from tests.chain.hint_server import HintServer

_START_S, _DRAIN_S = 240.0, 240.0
#: How long nothing may come, where not everything does, until nothing more is expected: longer than a process of a busy machine is held up.
_STILL_S = 8.0


@dataclass
class Fate:
    """What became of the sightings of one run; `config` is the file it ran with. `lost` are those of which nothing tells; latencies from first sight to the decision, in ms.

    `memory` has the resident bytes of each process before the feed and the most during it.
    """

    sent: Counter[str]
    announced: Counter[str]
    refused: Counter[str]
    evicted: int
    lost: int
    seconds: float
    latencies: dict[str, list[float]]
    memory: dict[str, tuple[int, int]]
    config: Path
    rejected: Counter[str] = field(default_factory=Counter)


class PendingWorld:
    """A node in a recorded state, and a broker. A context manager; `run` as often as wanted, each on a log of its own."""

    def __init__(self, data: Path, folder: Path, bundle: ReplayBundle, broker: LocalBroker) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._block = RecordedBlock(data / BLOCK, folder / "block", broker=broker)
        self._block.bundle = bundle
        self._owner = write_key(self._block.folder / "keys" / "owner")
        write_key(self._block.folder / "keys" / "relay_identity")
        executor = Account(nonce=1, code=runtime_code(self._owner), storage={EXPECTED_SLOT: EXPECTED_IDLE})
        extra = {self._owner: Account(balance=1000 * ETHER), EXECUTOR: executor}
        self._anvil: Anvil = start_block_node(bundle, folder / "node", extra)

    def __enter__(self) -> PendingWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self._anvil.stop()

    def run(self, feed: Sequence[Sighting], rate: float, max_pending: int = 4096, max_hints: int = 1024) -> Fate:
        """Feed at so many a second. Raises `AssertionError` where the flows do not keep up with the end of it in time."""
        folder = self._folder / uuid.uuid4().hex[:8]
        folder.mkdir()
        with PendingSocket() as socket, HintServer() as hints:
            config = self._config(folder, socket.url, hints.url, max_pending, max_hints)
            path, trace, counted = folder / "sluice.toml", folder / "trace.jsonl", folder / "counted.json"
            path.write_text(dump_config(config))
            ensure_topics(config.kafka)
            commands = {
                "ingest": [sys.executable, "-m", "tests.bench.counted_ingest", path, counted],
                "search": [sys.executable, "-m", "flows.cli.main", "--config", path, "search", "--trace", trace],
            }
            children = {
                name: ChildProcess(name, argv, folder / f"{name}.log").start() for name, argv in commands.items()
            }
            try:
                _until("the pools to be decided on", lambda: _ready(config, children, socket, hints), _START_S)
                with _Memory(children) as memory:
                    started = time.monotonic()
                    before = tail_state(config.kafka, config.chain.id).next_seq
                    _send(feed, rate, socket, hints)
                    wanted = before + len({(each.transaction is None, each.hash) for each in feed})
                    still = _Still(config, children, wanted)
                    _until("everything to be decided on", still, _DRAIN_S)
                    seconds = still.since - started
                statuses = {name: child.stop(30) for name, child in children.items()}
            finally:
                for child in children.values():
                    child.kill()
            assert statuses == {"ingest": 0, "search": 0}, statuses
            return _fate(config, path, feed, json.loads(counted.read_text()), trace, seconds, memory.told)

    def _config(self, folder: Path, ws_url: str, hints_url: str, max_pending: int, max_hints: int) -> Config:
        config = self._block.config(self._owner, self._anvil.http_url, ws_url, "http://127.0.0.1:9")
        bounds = {"hints_url": hints_url, "max_pending": max_pending, "max_hints": max_hints}
        return config.model_copy(
            update={
                "ingest": config.ingest.model_copy(update=bounds),
                "submit": config.submit.model_copy(update={"live": False, "certify": False}),
                "runtime": config.runtime.model_copy(update={"state_dir": folder / "state"}),
            }
        )


def _until(what: str, probe: object, timeout_s: float) -> None:
    assert callable(probe)
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.1)


def _alive(children: dict[str, ChildProcess]) -> None:
    for name, child in children.items():
        assert child.running, f"{name} ended with {child.returncode}:\n{child.log_tail()}"


def _decided(config: Config) -> int:
    return sum(1 for _ in read_records(config.kafka, DecisionRecord.TOPIC))


def _ready(config: Config, children: dict[str, ChildProcess], socket: PendingSocket, hints: HintServer) -> bool:
    _alive(children)
    # The block's event, and one for each pool.
    wanted = 1 + len(config.ingest.pools)
    return bool(socket.followers and hints.listeners and _decided(config) >= wanted)


class _Still:
    """Whether every event has its decision, and all `wanted` events are there or none has come for a while."""

    def __init__(self, config: Config, children: dict[str, ChildProcess], wanted: int) -> None:
        self._config, self._children, self._wanted = config, children, wanted
        self._last = -1
        #: When the last event was seen.
        self.since = time.monotonic()

    def __call__(self) -> bool:
        _alive(self._children)
        events = tail_state(self._config.kafka, self._config.chain.id).next_seq
        if events != self._last:
            self._last, self.since = events, time.monotonic()
        all_or_still = events >= self._wanted or time.monotonic() - self.since >= _STILL_S
        return all_or_still and _decided(self._config) == events


def _send(feed: Sequence[Sighting], rate: float, socket: PendingSocket, hints: HintServer) -> None:
    started = time.monotonic()
    for number, sighting in enumerate(feed):
        # By the schedule, not by the gap: what the sender is late by it catches up.
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        if sighting.transaction is not None:
            socket.publish(sighting.transaction)
        else:
            hints.publish(sighting.hint)


class _Memory:
    """The resident memory of processes while the body runs."""

    def __init__(self, children: dict[str, ChildProcess]) -> None:
        self._pids = {name: child.pid for name, child in children.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: Bytes before, and the most.
        self.told: dict[str, tuple[int, int]] = {}

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self._note()

    def _note(self) -> None:
        for name, pid in self._pids.items():
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            now = int(fields[1]) * 4096
            before, most = self.told.get(name, (now, now))
            self.told[name] = (before, max(most, now))

    def __enter__(self) -> _Memory:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _fate(
    config: Config,
    path: Path,
    feed: Sequence[Sighting],
    counted: dict[str, float],
    trace: Path,
    seconds: float,
    memory: dict[str, tuple[int, int]],
) -> Fate:
    sent = {
        "transactions": {s.hash for s in feed if s.transaction},
        "hints": {s.hash for s in feed if not s.transaction},
    }
    ends = {
        stamp["seq"]: stamp["unix_ns"]
        for stamp in map(json.loads, trace.read_text().splitlines())
        if stamp["stage"] == "decide"
    }
    seen: dict[str, set[bytes]] = {"transactions": set(), "hints": set()}
    latencies: dict[str, list[float]] = {"transactions": [], "hints": []}
    for event in read_events(config.kafka, config.chain.id):
        head = event.parts[0]
        if isinstance(head, PendingRecord | HintRecord):
            what = "transactions" if isinstance(head, PendingRecord) else "hints"
            assert head.hash not in seen[what], f"{head.hash.hex()} was announced twice"
            seen[what].add(head.hash)
            latencies[what].append((ends[event.seq] - head.first_seen_ns) / 1e6)
    refused = Counter({reason: int(count) for reason, count in _labelled(counted, "pending_skipped").items()})
    refused_hints = Counter({reason: int(count) for reason, count in _labelled(counted, "hints_skipped").items()})
    repeated = sum(not s.transaction for s in feed) - len(sent["hints"])
    # A repetition is no sighting of its own; of what else was refused each was told once.
    refused_hints["repeated"] -= repeated
    evicted = int(counted.get("sluice_ingest_pending_evicted_total", 0))
    missing = len(sent["transactions"] - seen["transactions"]) - sum(refused.values())
    missing_hints = len(sent["hints"] - seen["hints"]) - sum(refused_hints.values())
    # A transaction that was evicted may have been announced before.
    lost = max(0, missing - evicted) + max(0, missing_hints)
    rejected: Counter[str] = Counter()
    for _, record in read_records(config.kafka, DecisionRecord.TOPIC):
        if isinstance(record, DecisionRecord) and record.event in (EventKind.PENDING, EventKind.HINT):
            reasons = {count.reason for count in record.rejected} or set(record.reasons) or {"chosen"}
            rejected.update(f"{record.event.value}: {reason}" for reason in reasons)
    return Fate(
        sent=Counter({what: len(hashes) for what, hashes in sent.items()}),
        announced=Counter({what: len(hashes & sent[what]) for what, hashes in seen.items()}),
        refused=+(refused + Counter({f"hint {reason}": count for reason, count in refused_hints.items()})),
        evicted=evicted,
        lost=lost,
        seconds=seconds,
        latencies={what: sorted(values) for what, values in latencies.items()},
        memory=memory,
        config=path,
        rejected=rejected,
    )


def _labelled(counted: dict[str, float], name: str) -> dict[str, float]:
    prefix = f"sluice_ingest_{name}_total:"
    return {key.removeprefix(prefix): value for key, value in counted.items() if key.startswith(prefix) and value}
