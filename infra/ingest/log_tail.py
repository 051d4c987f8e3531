"""What the sequencer reads back from its own log when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from infra.kafka.reading import read_records, tail_records, tail_state
from schemas.blocks import BlockRecord
from schemas.config import KafkaConfig
from schemas.control import ControlRecord
from schemas.hints import HintRecord
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from schemas.tokens import TokenRecord

#: More than the deepest reorg's reverts and applies together.
BLOCKS = 256
#: Hints of the log that are known again after a start.
HINTS = 4096


@dataclass(frozen=True)
class LogTail:
    """The end of a chain's log, each list oldest first. `pools`, `control` and `tokens` are whole."""

    next_seq: int
    blocks: list[BlockRecord]
    pools: list[PoolRecord]
    pending: list[PendingRecord]
    hints: list[HintRecord]
    control: list[ControlRecord]
    tokens: list[TokenRecord]


def read_log_tail(kafka: KafkaConfig, chain: int, max_pending: int) -> LogTail:
    """The tail. Read it after the writer was opened: only then has every earlier writer's last transaction ended."""
    state = tail_state(kafka, chain)
    return LogTail(
        next_seq=state.next_seq,
        blocks=[r for r in tail_records(kafka, BlockRecord.TOPIC, BLOCKS, chain) if isinstance(r, BlockRecord)],
        pools=[r for _, r in read_records(kafka, PoolRecord.TOPIC) if isinstance(r, PoolRecord) and r.chain == chain],
        pending=[
            r for r in tail_records(kafka, PendingRecord.TOPIC, max_pending, chain) if isinstance(r, PendingRecord)
        ],
        hints=[r for r in tail_records(kafka, HintRecord.TOPIC, HINTS, chain) if isinstance(r, HintRecord)],
        control=[
            r for _, r in read_records(kafka, ControlRecord.TOPIC) if isinstance(r, ControlRecord) and r.chain == chain
        ],
        tokens=[
            r for _, r in read_records(kafka, TokenRecord.TOPIC) if isinstance(r, TokenRecord) and r.chain == chain
        ],
    )
