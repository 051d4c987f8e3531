"""Logs decoded and dispatched (T6), and a whole block from the node's answer into the graph, beside eth_abi and web3.

Per log all start from the same bytes. Ours ends with the pool's new state, theirs with the numbers.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
from rich import box
from rich.table import Table

import schemas.blocks
from infra.chain.answers import ReceiptAnswer
from infra.chain.receipts import Mined, check_receipts, plain_receipts
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from operators.ingest.log_sources import LogSources
from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.pools.uniswap_v3 import SWAP_TOPIC
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from tests.bench.block_case import LOGS, TRANSACTIONS, BlockCase, made_up_case, recorded_case
from tests.bench.log_decoders import agree, by_eth_abi, by_web3, dispatched
from tests.bench.result import Result, Settings
from tests.bench.timing import Timing, Work, in_turn

#: The targets: microseconds a log, milliseconds a block.
LOG_US, BLOCK_MS = 0.25, 1.0
#: Our runs of a block in each round; a rival takes longer and has one.
_RUNS = 8
STAGES = ("parsed, checked", "decoded", "dispatched", "applied")


class _Response(msgspec.Struct):
    result: list[ReceiptAnswer] | None


def run(settings: Settings) -> Result:
    """Measure the made-up block, and a recorded one where there is one."""
    result = Result()
    result.notes.append(
        f"The machine is shared: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start. Times are of the processor, which "
        "other people's work changes less than the clock's; ratios are worth more than times."
    )
    recorded = recorded_case(settings.data)
    if recorded is None:
        result.notes.append("the recorded blocks (../shared/data) are not here: left out")
    for case in filter(None, (made_up_case(), recorded)):
        _logs(case, result, 3 if settings.quick else 9)
        _block(case, result, 4 if settings.quick else 15)
    return result


# ---------------------------------------------------------------- a log


def _logs(case: BlockCase, result: Result, rounds: int) -> None:
    of_pools = case.of_pools()
    assert agree(of_pools, case.pools), "eth_abi reads other numbers"
    table = Table(
        title=f"{case.name}: µs a log, target {LOG_US}; of its logs {len(of_pools)} are pools'", box=box.SIMPLE
    )
    for column in ("", "logs", "sluice", "eth_abi", "ratio", "web3", "ratio"):
        table.add_column(column, justify="right")
    numbers: dict[str, Any] = {}
    kinds = {
        "all": list(case.logs),
        "of no pool": [log for log in case.logs if log not in of_pools],
        "Sync": [log for log in of_pools if log.topics[0] == SYNC_TOPIC],
        "Swap (V3)": [log for log in of_pools if log.topics[0] == SWAP_TOPIC],
    }
    for name, logs in kinds.items():
        if not logs:
            continue
        works: dict[str, Work] = {
            "sluice": dispatched(logs, case.pools),
            "eth_abi": by_eth_abi(logs),
            "web3": by_web3(logs),
        }
        found = in_turn({who: (work, len(logs)) for who, work in works.items()}, rounds)
        ours = found["sluice"].cpu
        ratios = {who: found[who].cpu / ours for who in ("eth_abi", "web3")}
        table.add_row(
            name, str(len(logs)), f"{ours * 1e6:.3f}", f"{found['eth_abi'].cpu * 1e6:.2f}", f"{ratios['eth_abi']:.1f}",
            f"{found['web3'].cpu * 1e6:.1f}", f"{ratios['web3']:.0f}",
        )  # fmt: skip
        numbers[name] = {"logs": len(logs), "us": {who: one.numbers() for who, one in found.items()}, "ratios": ratios}
    result.tables.append(table)
    result.numbers.setdefault("logs", {})[case.name] = numbers


# ---------------------------------------------------------------- a block


def _block(case: BlockCase, result: Result, rounds: int) -> None:
    sluice, rivals = _Stages(case), {"eth_abi": _by_rival(case, by_eth_abi), "web3": _by_rival(case, by_web3)}
    wall: dict[str, list[float]] = {name: [] for name in (*STAGES, "whole", *rivals)}
    cpu: dict[str, list[float]] = {name: [] for name in wall}
    for _ in range(rounds):
        for name, (seconds, busy) in (stage for _ in range(_RUNS) for stage in sluice.once().items()):
            wall[name].append(seconds)
            cpu[name].append(busy)
        for name, work in rivals.items():
            start, before = time.perf_counter(), time.process_time()
            work()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - before)
    found = {name: Timing.of(wall[name], cpu[name]) for name in wall}
    transactions = len(case.header.tx_hashes or ())
    table = Table(
        title=f"{case.name}: ms a block of {transactions} transactions and {len(case.logs)} logs, {len(case.pools)} pools tracked; target {BLOCK_MS} of "
        f"{TRANSACTIONS} and {LOGS}",
        box=box.SIMPLE,
    )
    for column in ("", "processor", "clock", "least"):
        table.add_column(column, justify="right")
    for name, timing in found.items():
        table.add_row(name, *(f"{seconds * 1e3:.3f}" for seconds in (timing.cpu, timing.median, timing.low)))
    result.tables.append(table)
    result.numbers.setdefault("block", {})[case.name] = {
        "transactions": transactions,
        "logs": len(case.logs),
        "ms": {name: timing.numbers(1e3) for name, timing in found.items()},
        "ratios": {name: found[name].cpu / found["whole"].cpu for name in rivals},
    }


class _Stages:
    """A block's way from the node's answer into the graph, from the same states in each round."""

    def __init__(self, case: BlockCase) -> None:
        self._case = case
        self._snapshots = case.shards()
        self._sources = LogSources()
        for pool in case.pools:
            self._sources.put(pool.address, pool.log_sources)

    def once(self) -> dict[str, tuple[float, float]]:
        """Seconds by the clock and of the processor, by stage."""
        shards = [GraphShard(snapshot) for snapshot in self._snapshots]
        for shard, (_, message) in zip(shards, fan_out(_event(0, bytes(32), ()), len(shards)), strict=True):
            shard.apply(message)  # a resumed shard tells all that it holds with its first answer
        case, sources = self._case, self._sources
        marks = [_now()]
        mined = _mined(case)
        marks.append(_now())
        logs = tuple([log for log in mined.logs_of(sources, sources.topics) if sources.wants(log)])
        marks.append(_now())
        messages = [message for _, message in fan_out(_event(1, case.header.hash, logs), len(shards))]
        marks.append(_now())
        answers = [shard.apply(message) for shard, message in zip(shards, messages, strict=True)]
        marks.append(_now())
        assert not any(answer.faults for answer in answers) and any(answer.pools for answer in answers)
        spans = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(marks)]
        whole = (marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1])
        return dict(zip((*STAGES, "whole"), (*spans, whole), strict=True))


def _mined(case: BlockCase) -> Mined:
    """As `mined_in` reads the answer."""
    plain = plain_receipts(case.header, case.body)
    return plain or check_receipts(case.header, msgspec.json.decode(case.body, type=_Response).result or ())


def _event(number: int, block_hash: bytes, logs: tuple[Log, ...]) -> Event:
    header = msgspec.structs.replace(schemas.blocks.GOLDEN, number=number, hash=block_hash)
    return Event(1, number, EventKind.BLOCK, (header, LogsRecord(1, number, 1, 2, block_hash, logs)))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _by_rival(case: BlockCase, decoder: Callable[[list[Log]], Work]) -> Work:
    """JSON read, and the pools' events decoded from bytes: no check of anything, no state, and no hex."""
    events = decoder(case.of_pools())

    def work() -> None:
        json.loads(case.body)
        events()

    return work
