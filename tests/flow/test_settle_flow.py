"""The settlement flow in the stream engine: whole streams, crashes, and what comes out after them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from flows import settle
from schemas.blocks import BlockOp
from schemas.decisions import EventKind
from schemas.record import Record
from schemas.settlements import Outcome, SettlementRecord
from tests.flow.settled_world import CONFIG, World
from tests.unit.settlement.world import block_event, decision, ours, submission


def flow_of(
    world: World, out: list[tuple[str, Record]], batch_size: int = 10, aborts: dict[str, int] | None = None
) -> Dataflow:
    def source(name: str, items: Iterable[Any]) -> TestingSource[Any]:
        listed: list[Any] = list(items)
        if aborts and name in aborts:
            listed.insert(aborts[name], TestingSource.ABORT())
        return TestingSource(listed, batch_size)

    return settle.build(
        CONFIG,
        source("events", world.events),
        source("decisions", (("decisions", d) for d in world.decisions)),
        source("submissions", (("submissions", s) for s in world.submissions)),
        TestingSink(out),
    )


def last(out: list[tuple[str, Record]]) -> dict[bytes, SettlementRecord]:
    rows = [record for _, record in out if isinstance(record, SettlementRecord)]
    assert [key for key, _ in out] == [row.decision_id.hex() for row in rows]
    return {row.decision_id: row for row in rows}


def ends(out: list[tuple[str, Record]]) -> dict[bytes, Outcome]:
    return {decision_id: row.outcome for decision_id, row in last(out).items()}


@pytest.mark.parametrize("batch_size", [1, 37, 1000])
def test_every_decision_is_settled_whatever_the_batches(batch_size: int) -> None:
    world, out = World(), []
    run_main(flow_of(world, out, batch_size))
    assert ends(out) == world.expected


def test_two_workers_settle_the_same() -> None:
    world, out = World(), []
    cluster_main(flow_of(world, out), [], 0, worker_count_per_proc=2)
    assert ends(out) == world.expected


def test_records_of_another_chain_are_not_ours() -> None:
    world, out = World(), []
    elsewhere = CONFIG.model_copy(update={"chain": CONFIG.chain.model_copy(update={"id": 5})})
    items = [("decisions", d) for d in world.decisions]
    run_main(settle.build(elsewhere, TestingSource([]), TestingSource(items), TestingSource([]), TestingSink(out)))
    assert out == []


@pytest.mark.parametrize(
    "crash", [{"events": 3}, {"events": 31}, {"decisions": 47}, {"submissions": 20}, {"events": 50, "decisions": 90}]
)
@pytest.mark.parametrize("epoch", [timedelta(0), timedelta(seconds=10)])
def test_after_a_crash_every_decision_is_settled_once(tmp_path: Path, crash: dict[str, int], epoch: timedelta) -> None:
    undisturbed: list[tuple[str, Record]] = []
    run_main(flow_of(World(), undisturbed))

    init_db_dir(tmp_path, 1)
    world, out = World(), []
    flow = flow_of(world, out, aborts=crash)
    for _ in range(len(crash) + 1):
        run_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(str(tmp_path)))
    assert ends(out) == world.expected
    stated, expected = last(out), last(undisturbed)
    for decision_id, row in stated.items():
        same = expected[decision_id]
        assert (row.outcome, row.reason, row.realised_net) == (same.outcome, same.reason, same.realised_net)


def test_a_reorg_across_a_crash_is_restated(tmp_path: Path) -> None:
    mine = decision(5, 101)
    events = [
        block_event(100, seq=0),
        block_event(101, [ours(mine)], seq=1),
        TestingSource.ABORT(),
        block_event(101, seq=2, op=BlockOp.REVERT),
        block_event(101, seq=3, fork=1),
        block_event(102, [ours(mine)], seq=4, fork=1),
    ]
    out: list[tuple[str, Record]] = []
    init_db_dir(tmp_path, 1)
    flow = settle.build(
        CONFIG,
        TestingSource(events),
        TestingSource([("decisions", mine)]),
        TestingSource([("submissions", submission(mine))]),
        TestingSink(out),
    )
    for _ in range(2):
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(tmp_path)))
    row = last(out)[mine.id]
    assert (row.outcome, row.block_number, row.event) == (Outcome.INCLUDED, 102, EventKind.BLOCK)
    assert {r.outcome for _, r in out if isinstance(r, SettlementRecord)} >= {Outcome.REORGED}
