"""The live settlement flow: its sources, its sink and its saved state, around `flows.settle`."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from flows import settle
from flows.backlog import AfterBacklog, Backlog, BacklogSource
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.sequenced_source import SequencedSource
from infra.runtime.drain import Drain
from infra.runtime.run_flow import probe_broker, run_flow
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.submissions import SubmissionRecord

log = logging.getLogger("sluice.settle")


def run_settle(
    config: Config,
    drain: Drain,
    *,
    process_id: int | None = None,
    addresses: list[str] | None = None,
    run_folder: Path | None = None,
) -> None:
    """Run the flow until drained; one process of several if `process_id`, `addresses` and `run_folder` are given.

    `run_folder` is a folder of this run that its processes share. Raises what stopped the flow: `BrokerUnreachable`, an
    error of the connectors.
    """
    probe_broker(config.kafka)
    log.info("settling chain %d", config.chain.id)
    with TemporaryDirectory(prefix="sluice-settle-") as own_folder:
        _run(config, drain, process_id, addresses, run_folder or Path(own_folder))
    log.info("settle: drained")


def _run(config: Config, drain: Drain, process_id: int | None, addresses: list[str] | None, run_folder: Path) -> None:
    kafka, size = config.kafka, config.runtime.batch_size
    topics = (DecisionRecord.TOPIC, SubmissionRecord.TOPIC)
    backlog = Backlog(run_folder, topics)
    decisions, submissions = (
        BacklogSource(kafka, topic, "settle", batch_size=size, drain=drain, backlog=backlog) for topic in topics
    )
    events = SequencedSource(kafka, config.chain.id, "settle", batch_size=size, drain=drain)
    flow = settle.build(
        config, AfterBacklog(events, backlog, drain), decisions, submissions, CheckedSink(kafka, "settle")
    )
    run_flow(
        flow,
        state_dir=config.runtime.state_dir / "settle",
        epoch=timedelta(milliseconds=config.runtime.epoch_ms),
        process_id=process_id,
        addresses=addresses,
        layout={
            "chain": config.chain.id,
            "topic_prefix": kafka.topic_prefix,
            "settle.shards": config.settle.shards,
            "settle.history_blocks": config.settle.history_blocks,
        },
    )
