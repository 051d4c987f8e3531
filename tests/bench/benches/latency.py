"""From a head's (or a pending transaction's) arrival to the signed bundle, split by stage.

Arrival is the sequencer's first-seen stamp; `ingest` is everything from there until the search flow's source hands the event on:
what the node is asked for the event (logs, receipts, traces), the Kafka transaction, the way through the broker. The other stages
are those of the search flow; `sign` ends when the bundle is signed, before it is certified and sent. Only events that led to a
bundle are counted. Everything is real: node, Kafka, processes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.table import Table

from flows.demo import run_traffic, settle_all
from flows.recorded_block import RecordedBlock
from flows.world import World
from infra.kafka.reading import read_events, read_records
from infra.runtime.stages import TRACE_VARIABLE
from schemas.blocks import BlockRecord
from schemas.config import Config, load_config
from schemas.decisions import EventKind
from schemas.pending import PendingRecord
from schemas.submissions import SubmissionRecord
from tests.acceptance.files import replay_bundles
from tests.bench.result import Result, Settings, percentile

STAGES = ("ingest", "graph", "search", "simulate", "decide", "sign")
SHARES = (0.5, 0.9, 0.99)
#: A recorded block counts as full from so many transactions on.
FULL_BLOCK = 200

Split = dict[str, float]


def run(settings: Settings) -> Result:
    """Measure on the devnet, and on a recorded block of 200 transactions and more if there is recorded data."""
    result = Result()
    shutil.rmtree(settings.folder, ignore_errors=True)
    blocks = 15 if settings.quick else 60
    _report(result, "devnet", _on_devnet(settings.folder.resolve() / "devnet", blocks))
    path = _full_block(settings.data)
    if path is None:
        result.notes.append(
            f"no recorded block of {FULL_BLOCK} transactions and more with V2 pools under {settings.data}: left out"
        )
    else:
        _report(result, f"recorded block {path.name}", _on_recorded_block(path, settings.folder.resolve() / "block"))
    return result


def _on_devnet(folder: Path, blocks: int) -> dict[EventKind, list[Split]]:
    trace = folder / "trace.jsonl"
    os.environ[TRACE_VARIABLE] = str(trace)
    with World(folder).start() as world:
        world.start_flows()
        run_traffic(world, blocks, 1.0, lambda block: None)
        settle_all(world)
        world.flows.stop()
        return measure(world.config, trace)


def _on_recorded_block(path: Path, folder: Path) -> dict[EventKind, list[Split]]:
    trace = folder / "trace.jsonl"
    os.environ[TRACE_VARIABLE] = str(trace)
    with RecordedBlock(path, folder) as block:
        block.run()
        return measure(load_config(block.config_path), trace, bundles_only=False)


def _full_block(data: Path) -> Path | None:
    best: tuple[int, Path] | None = None
    for path, bundle in replay_bundles(data):
        if len(bundle["blocks"]) != 1 or bundle["fork"] in ("MuirGlacier", "Berlin"):
            continue
        transactions = len(bundle["blocks"][0]["transactions"])
        pools = sum(truth["kind"] == "v2" for truth in bundle["pool_truth"].values())
        if transactions >= FULL_BLOCK and pools and (best is None or pools > best[0]):
            best = (pools, path)
    return best[1] if best else None


def measure(config: Config, trace: Path, bundles_only: bool = True) -> dict[EventKind, list[Split]]:
    """The stages of each event in milliseconds, by kind of event. Without `bundles_only` events without a bundle count up to
    their decision, with nothing under `sign`."""
    arrived: dict[int, tuple[EventKind, int]] = {}
    for event in read_events(config.kafka, config.chain.id):
        head = event.parts[0]
        if isinstance(head, BlockRecord | PendingRecord) and event.kind is not EventKind.REVERT:
            arrived[event.seq] = (event.kind, head.first_seen_ns)
    stamps: dict[int, dict[str, int]] = defaultdict(dict)
    for line in trace.read_text().splitlines():
        stamp = json.loads(line)
        stamps[stamp["seq"]].setdefault(stamp["stage"], stamp["unix_ns"])
    signed: dict[int, int] = {}
    for _, record in read_records(config.kafka, SubmissionRecord.TOPIC):
        if isinstance(record, SubmissionRecord) and record.signed_ns:
            signed[record.seq] = min(record.signed_ns, signed.get(record.seq, record.signed_ns))
    found: dict[EventKind, list[Split]] = defaultdict(list)
    for seq, (kind, first_seen) in arrived.items():
        if seq in signed or (not bundles_only and "decide" in stamps[seq]):
            found[kind].append(_split(first_seen, stamps[seq], signed.get(seq)))
    return found


def _split(first_seen: int, stamps: Mapping[str, int], signed: int | None) -> Split:
    ends = [stamps["source"], *(stamps[stage] for stage in STAGES[1:-1])]
    ends.append(signed if signed is not None else ends[-1])
    starts = [first_seen, *ends[:-1]]
    split = {stage: (end - start) / 1e6 for stage, start, end in zip(STAGES, starts, ends, strict=True)}
    split["total"] = (ends[-1] - first_seen) / 1e6
    return split


def _report(result: Result, where: str, found: Mapping[EventKind, list[Split]]) -> None:
    for kind in (EventKind.BLOCK, EventKind.PENDING):
        splits = found.get(kind, [])
        if not splits:
            result.notes.append(f"{where}: no {kind.value} event to measure")
            continue
        table = Table(title=f"{where}: {len(splits)} {kind.value} events, milliseconds", title_justify="left")
        table.add_column("stage")
        for share in SHARES:
            table.add_column(f"p{share * 100:g}", justify="right")
        numbers = {stage: _percentiles(split[stage] for split in splits) for stage in (*STAGES, "total")}
        for stage, values in numbers.items():
            table.add_row(stage, *(f"{value:.2f}" for value in values), end_section=stage == STAGES[-1])
        result.tables.append(table)
        names = [f"p{share * 100:g}" for share in SHARES]
        result.numbers[f"{where}: {kind.value}"] = {
            "events": len(splits),
            **{stage: dict(zip(names, values, strict=True)) for stage, values in numbers.items()},
        }


def _percentiles(values: Iterable[float]) -> list[float]:
    ordered = sorted(values)
    return [percentile(ordered, share) for share in SHARES]
