"""The tripwire flow: the log's pools held against the chain, a rotating sample a block.

It follows the same events as the search flow with a graph of its own, and acts through the log alone: a finding on `findings`, and a command by
which the sequencer suspends the pool. So decisions and their replay never depend on when it looked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from flows.tripwire_checks import Checker
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.sequenced_source import SequencedSource
from infra.runtime.drain import Drain
from infra.runtime.metrics import serve_metrics
from infra.runtime.run_flow import probe_broker, run_flow
from operators.tripwire.messages import Sample, TakenOff
from operators.tripwire.step import watch
from operators.tripwire.watch import WatchSettings
from schemas.config import Config
from schemas.event import Event
from schemas.record import Record

log = logging.getLogger("sluice.tripwire")

FLOW_ID = "tripwire"
#: One node is asked, by one asker.
_KEY = "chain"

Messages = Sequence[Sample | TakenOff]
MakeChecker = Callable[[tuple[Any, ...] | None], Checker]


class _Checks(StatefulBatchLogic[Sample | TakenOff, Record, tuple[Any, ...]]):
    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def on_batch(self, values: list[Sample | TakenOff]) -> tuple[Iterable[Record], bool]:
        return self._checker.check(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._checker.snapshot()


def watch_settings(config: Config) -> WatchSettings:
    """What the shards take from the configuration."""
    return WatchSettings(
        delay=config.tripwire.delay_blocks,
        least=-(-config.tripwire.min_sample // config.search.shards),
        block_seconds=config.chain.block_seconds,
        journal_depth=config.ingest.reorg_depth,
    )


def build(
    config: Config, source: Source[Event], sink: Sink[tuple[str, Record]], make_checker: MakeChecker | None = None
) -> Dataflow:
    """The flow. `sink` takes findings and commands; `make_checker` makes the one who asks the chain, from its saved state."""

    def checker(state: tuple[Any, ...] | None) -> Checker:
        return Checker(config, state)

    make = make_checker or checker
    flow = Dataflow(FLOW_ID)
    events = op.input("events", flow, source)
    samples = watch("watch", events, config.search.shards, watch_settings(config))
    asked = op.key_on("to_checker", op.key_rm("samples", samples), lambda _: _KEY)
    findings = op.stateful_batch("check", asked, lambda state: _Checks(make(state)))
    op.output("findings", findings, sink)
    return flow


def run_tripwire(config: Config, drain: Drain) -> None:
    """Run the flow until drained. Raises what stopped it: `BrokerUnreachable`, an error of the connectors."""
    probe_broker(config.kafka)
    settings = config.tripwire
    log.info(
        "tripwire on chain %d: at least %d pools a block, all of them within a day, %d blocks behind the head",
        config.chain.id, settings.min_sample, settings.delay_blocks,
    )  # fmt: skip
    if (port := serve_metrics(settings.metrics_port)) is not None:
        log.info("metrics on http://127.0.0.1:%d/metrics", port)
    # One request per line would drown everything else, and the node's address in it may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    kafka = config.kafka
    source = SequencedSource(kafka, config.chain.id, "tripwire", batch_size=config.runtime.batch_size, drain=drain)
    run_flow(
        build(config, source, CheckedSink(kafka, "tripwire")),
        state_dir=config.runtime.state_dir / "tripwire",
        epoch=timedelta(milliseconds=config.runtime.epoch_ms),
        layout={
            "chain": config.chain.id,
            "topic_prefix": kafka.topic_prefix,
            "search.shards": config.search.shards,
            "tripwire.delay_blocks": settings.delay_blocks,
        },
    )
    log.info("tripwire: drained")
