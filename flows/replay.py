"""Replay: the search flow over the recorded events again, its decisions compared byte for byte with the recorded ones.

Same flow, same source; what differs is where the output goes: decisions to a file, bundles nowhere (the shadow sink holds no
client). The source starts at the beginning of the log, because state is what the log says since its beginning.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows import search
from flows.deadline import replay_deadline
from infra.kafka.reading import read_records
from infra.kafka.sequenced_source import SequencedSource, Until
from infra.relays.null_sink import ShadowSink
from infra.runtime.child import ChildProcess
from infra.runtime.drain import Drain
from infra.runtime.ports import free_ports
from infra.runtime.run_flow import probe_broker, run_flow
from schemas.codec import BadRecord
from schemas.config import Config, load_config
from schemas.decisions import DecisionRecord
from schemas.record import Record
from schemas.topics import topic
from schemas.types import ZERO_HASH

_FRAME = struct.Struct(">QI")


class ReplayError(Exception):
    """The replay cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Difference:
    """The first event on which recorded and replayed decisions part. Either side is None where it has no decision."""

    seq: int
    recorded: DecisionRecord | None
    replayed: DecisionRecord | None


@dataclass(frozen=True)
class ReplayResult:
    """How many decisions were compared, and how it ended."""

    decisions: int
    equal: int
    different: int
    first_difference: Difference | None


class _FilePartition(StatefulSinkPartition[Record, None]):
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write_batch(self, values: list[Record]) -> None:
        for record in values:
            if isinstance(record, DecisionRecord):
                data = topic(record.TOPIC).codec.encode(record)
                self._file.write(_FRAME.pack(record.seq, len(data)) + data)

    def snapshot(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class DecisionFileSink(FixedPartitionedSink[Record, None]):
    """Writes the decisions among the records to a file, in the flow's order; opportunities are left out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list_parts(self) -> list[str]:
        """One file."""
        return ["decisions"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _FilePartition:
        """Opens the file; nothing is resumed."""
        return _FilePartition(self._path)


def read_decision_file(path: Path) -> Iterator[tuple[int, bytes]]:
    """(seq, record bytes) of a file that `DecisionFileSink` wrote."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        seq, size = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        yield seq, data[at : at + size]
        at += size


def recorded_decisions(config: Config, from_block: int, to_block: int, any_engine: bool = False) -> dict[int, bytes]:
    """The recorded decisions on heads in the range, by seq. A repetition after a crash must be the same record.

    Raises `ReplayError` on one that is not, and where decisions were made under another configuration or (unless `any_engine`)
    by another engine.
    """
    codec = topic(DecisionRecord.TOPIC).codec
    settings = search.decision_settings(config)
    found: dict[int, bytes] = {}
    for position, record in read_records(config.kafka, DecisionRecord.TOPIC):
        if isinstance(record, BadRecord):
            raise ReplayError(f"a recorded decision cannot be read: {position}: {record}")
        if not isinstance(record, DecisionRecord) or record.chain != config.chain.id:
            continue
        if not from_block <= record.head_number <= to_block:
            continue
        same_engine = any_engine or record.engine == settings.engine
        if record.config_digest != settings.config_digest or not same_engine:
            raise ReplayError(
                f"decision of event {record.seq} was made with engine {record.engine!r} and configuration "
                f"{record.config_digest.hex()[:16]}, this is {settings.engine!r} and {settings.config_digest.hex()[:16]}; "
                "replay with the configuration and engine that decided"
            )
        data = codec.encode(record)
        if found.setdefault(record.seq, data) != data:
            raise ReplayError(f"event {record.seq} has two recorded decisions that differ: {position}")
    return found


def replayed_decisions(
    config_path: Path, until_seq: int, processes: int, batch_size: int, engine: str | None = None
) -> dict[int, bytes]:
    """The decisions that the flow makes now, by seq, up to an event; `engine` overrides the configured one."""
    with TemporaryDirectory(prefix="sluice-replay-") as folder:
        out = Path(folder) / "decisions"
        ports = free_ports(processes)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        children = []
        for process in range(processes):
            argv = [sys.executable, "-m", "flows.replay", str(config_path), str(out), str(until_seq), str(batch_size)]
            if engine is not None:
                argv += ["--engine", engine]
            if processes > 1:
                argv += ["--process-id", str(process), "--addresses", ";".join(addresses)]
            children.append(ChildProcess(f"replay-{process}", argv, Path(folder) / f"replay-{process}.log"))
        for child in children:
            child.start()
        for child in children:
            if child.wait(None) != 0:
                tail = child.log_tail(30)
                for other in children:
                    other.kill()
                raise ReplayError(f"the replaying flow failed:\n{tail}")
        return dict(read_decision_file(out)) if out.exists() else {}


def without_engine(decisions: dict[int, bytes]) -> dict[int, bytes]:
    """Decisions with everything blanked that names the engine (and the configuration that chose it) or hashes over it."""
    codec = topic(DecisionRecord.TOPIC).codec
    return {
        seq: codec.encode(
            msgspec.structs.replace(codec.decode(data), id=ZERO_HASH, engine="", config_digest=ZERO_HASH, cancels=())
        )
        for seq, data in decisions.items()
    }


def compare(recorded: dict[int, bytes], replayed: dict[int, bytes]) -> ReplayResult:
    """Byte for byte, by seq, over the recorded events."""
    codec = topic(DecisionRecord.TOPIC).codec
    first: Difference | None = None
    equal = 0
    for seq in sorted(recorded):
        again = replayed.get(seq)
        if again == recorded[seq]:
            equal += 1
        elif first is None:
            first = Difference(seq, codec.decode(recorded[seq]), codec.decode(again) if again else None)
    return ReplayResult(len(recorded), equal, len(recorded) - equal, first)


def run_replay(
    config_path: Path,
    from_block: int = 0,
    to_block: int = 2**63 - 1,
    processes: int = 1,
    batch_size: int | None = None,
    engine: str | None = None,
) -> ReplayResult:
    """Replay the decisions made on heads from `from_block` to `to_block`. Raises `ReplayError`.

    `engine` replays with another engine than the one that decided: what is compared then is the decision, without the engine's
    name and the ids that hash over it.
    """
    config = load_config(config_path)
    probe_broker(config.kafka)
    recorded = recorded_decisions(config, from_block, to_block, any_engine=engine is not None)
    if not recorded:
        raise ReplayError(f"no decision is recorded on heads {from_block} to {to_block}")
    size = batch_size or config.runtime.batch_size
    replayed = replayed_decisions(config_path, max(recorded), processes, size, engine)
    if engine is not None:
        recorded, replayed = without_engine(recorded), without_engine(replayed)
    return compare(recorded, replayed)


def _worker() -> None:
    parser = argparse.ArgumentParser(description="One process of a replaying search flow (started by `sluice replay`).")
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("until_seq", type=int)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("--engine")
    parser.add_argument("--process-id", type=int)
    parser.add_argument("--addresses")
    options = parser.parse_args()
    config = load_config(options.config)
    if options.engine:
        config = config.model_copy(update={"search": config.search.model_copy(update={"engine": options.engine})})
    source = SequencedSource(
        config.kafka,
        config.chain.id,
        "replay",
        batch_size=options.batch_size,
        drain=Drain(),
        until=Until(options.until_seq),
    )
    flow = search.build(config, source, DecisionFileSink(options.out), ShadowSink(), deadline=replay_deadline(config))
    run_flow(
        flow,
        state_dir=None,
        epoch=timedelta(milliseconds=config.runtime.epoch_ms),
        process_id=options.process_id,
        addresses=options.addresses.split(";") if options.addresses else None,
    )


if __name__ == "__main__":
    _worker()
