"""A small flow from the sequenced source to the checked sink, as a function and as a program to be killed.

Each event becomes one opportunity record whose id follows from the event, so a reader can tell what was written, and how often.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow

from infra.kafka.checked_sink import CheckedSink
from infra.kafka.reading import read_records
from infra.kafka.sequenced_source import SequencedSource, Until
from infra.runtime.drain import Drain
from infra.runtime.run_flow import run_flow
from schemas.codec import BadRecord
from schemas.config import KafkaConfig
from schemas.event import Event
from schemas.ids import with_id
from schemas.opportunities import GOLDEN, OpportunityRecord

Seen = Callable[[Event], None]


def answer(event: Event) -> OpportunityRecord:
    """The record written for an event."""
    return with_id(msgspec.structs.replace(GOLDEN, chain=event.chain, seq=event.seq, detail=event.kind.value))


def copy_flow(
    kafka: KafkaConfig,
    drain: Drain,
    *,
    batch_size: int = 100,
    until: Until | None = None,
    seen: Seen | None = None,
    gap_timeout_s: float = 30.0,
) -> Dataflow:
    """Events of chain 1 in, their answers out; `seen` is called with each event and may raise."""

    def step(event: Event) -> tuple[str, OpportunityRecord]:
        if seen is not None:
            seen(event)
        return str(event.seq % 3), answer(event)

    flow = Dataflow("copy")
    source = SequencedSource(
        kafka, 1, "copy", batch_size=batch_size, drain=drain, until=until, gap_timeout_s=gap_timeout_s
    )
    op.output("out", op.map("answer", op.input("in", flow, source), step), CheckedSink(kafka))
    return flow


def run_copy(
    kafka: KafkaConfig, state: Path | None, *, epoch_ms: int = 50, drain: Drain | None = None, **how: object
) -> None:
    """Run the flow here until it ends."""
    flow = copy_flow(kafka, drain or Drain(), **how)  # type: ignore[arg-type]
    run_flow(flow, state_dir=state, epoch=timedelta(milliseconds=epoch_ms))


def answered(kafka: KafkaConfig) -> Counter[int]:
    """How often each event was answered, by number."""
    found: Counter[int] = Counter()
    for _, record in read_records(kafka, "opportunities"):
        assert not isinstance(record, BadRecord)
        assert isinstance(record, OpportunityRecord)
        assert with_id(record) == record
        found[record.seq] += 1
    return found


def main(argument: str) -> None:
    """Run until a signal; the argument is JSON. `hold_at` names an event with which the flow waits for the signal."""
    how = json.loads(argument)
    drain = Drain()
    drain.install_signal_handlers()
    hold_at = how.get("hold_at")

    def seen(event: Event) -> None:
        # In the middle of the log until somebody asks for the end. Not `drain.wait`: the handler that ends it runs on this thread.
        while event.seq == hold_at and not drain.is_set():
            time.sleep(0.01)

    flow = copy_flow(KafkaConfig(**how["kafka"]), drain, batch_size=how.get("batch_size", 10), seen=seen)
    run_flow(
        flow,
        state_dir=Path(how["state"]),
        epoch=timedelta(milliseconds=50),
        process_id=how.get("process_id"),
        addresses=how.get("addresses"),
    )


if __name__ == "__main__":
    main(sys.argv[1])
