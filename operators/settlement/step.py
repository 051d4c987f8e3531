"""The Bytewax step of settlement: three streams into a fixed set of shards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.settlement.core import SettlementSettings, SettlementShard
from operators.settlement.facts import BlockFacts
from schemas.decisions import DecisionRecord, EventKind
from schemas.settlements import SettlementRecord
from schemas.submissions import SubmissionRecord


class Cancel(NamedTuple):
    """A decision that a later one called off, and why."""

    decision_id: bytes
    reason: str


Input = DecisionRecord | SubmissionRecord | BlockFacts | Cancel


class _Logic(StatefulBatchLogic[Input, SettlementRecord, tuple[Any, ...]]):
    def __init__(self, settings: SettlementSettings, state: tuple[Any, ...] | None) -> None:
        self._core = SettlementShard(settings, state)

    def on_batch(self, values: list[Input]) -> tuple[Iterable[SettlementRecord], bool]:
        rows: list[SettlementRecord] = []
        for value in values:
            if isinstance(value, BlockFacts):
                rows += self._core.on_block(value)
            elif isinstance(value, DecisionRecord):
                rows += self._core.on_decision(value)
            elif isinstance(value, SubmissionRecord):
                rows += self._core.on_submission(value)
            else:
                rows += self._core.on_cancel(*value)
        return rows, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._core.snapshot()


def shard_key(decision_id: bytes, shards: int) -> str:
    """The fixed key of a decision's shard."""
    return f"{int.from_bytes(decision_id[:4], 'big') % shards:03d}"


def routed(record: DecisionRecord | SubmissionRecord, shards: int) -> Iterable[tuple[str, Input]]:
    """A record to the shard of its decision, and what a decision calls off to the shards of those."""
    if isinstance(record, SubmissionRecord):
        yield shard_key(record.decision_id, shards), record
        return
    yield shard_key(record.id, shards), record
    reason = "head_reverted" if record.event is EventKind.REVERT else "target_replaced"
    for cancelled in record.cancels:
        yield shard_key(cancelled, shards), Cancel(cancelled, reason)


def settlement_join(
    step_id: str,
    blocks: Stream[BlockFacts],
    records: Stream[DecisionRecord | SubmissionRecord],
    shards: int,
    settings: SettlementSettings,
) -> KeyedStream[SettlementRecord]:
    """Settlement rows, stated and restated."""

    def broadcast(facts: BlockFacts) -> Iterable[tuple[str, Input]]:
        return ((f"{shard:03d}", facts) for shard in range(shards))

    to_all = op.flat_map(f"{step_id}_broadcast", blocks, broadcast)
    to_one = op.flat_map(f"{step_id}_route", records, lambda record: routed(record, shards))
    merged = op.merge(f"{step_id}_merge", to_all, to_one)
    return op.stateful_batch(step_id, merged, lambda state: _Logic(settings, state))
