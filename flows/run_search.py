"""The live search flow: its sources, its sinks and its saved state, around `flows.search`."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from flows import search
from flows.deadline import live_deadline
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.sequenced_source import SequencedSource
from infra.relays.bundle_sink import BundleSink
from infra.runtime.compiled_code import is_compiled
from infra.runtime.drain import Drain
from infra.runtime.metrics import serve_metrics
from infra.runtime.run_flow import probe_broker, run_flow
from infra.runtime.search_metrics import DecisionCounter
from infra.runtime.stages import StageClock, StampedSource
from operators.search.tables import warm_up
from operators.simulation.engines import describe
from schemas.config import Config

log = logging.getLogger("sluice.search")


def mode(config: Config) -> str:
    """What this run does with bundles, in words: said at each start, so that nobody sends by accident."""
    submit = config.submit
    certified = "certified on the node" if submit.certify else "not certified"
    if submit.live:
        relays = ", ".join(relay.name for relay in submit.relays)
        return f"LIVE: bundles are signed, {certified}, and sent to {relays}"
    signed = "signed" if submit.owner_key else "not signed (no submit.owner_key)"
    return f"dry run: nothing is sent; bundles are {signed}, {certified}. submit.live = true sends"


def run_search(
    config: Config,
    drain: Drain,
    *,
    process_id: int | None = None,
    addresses: list[str] | None = None,
    trace: Path | None = None,
) -> None:
    """Run the flow until drained; one process of several if `process_id` and `addresses` are given.

    `trace`: a file for the stamps of the stages. Raises what stopped the flow: `BrokerUnreachable`, `ConfigError`, an error of
    the connectors.
    """
    probe_broker(config.kafka)
    log.info("search on chain %d, %s", config.chain.id, mode(config))
    log.info("%s", describe(config.search.engine))
    if not is_compiled():
        log.info("compiling the search, once for these sources: about ten seconds")
    warm_up()
    if (port := serve_metrics(_port(config, process_id))) is not None:
        log.info("metrics on http://127.0.0.1:%d/metrics", port)
    clock = StageClock(trace)
    source = SequencedSource(config.kafka, config.chain.id, "search", batch_size=config.runtime.batch_size, drain=drain)
    flow = search.build(
        config,
        StampedSource(source, clock),
        CheckedSink(config.kafka, "search"),
        BundleSink(config),
        observe=clock,
        deadline=live_deadline(config),
        count=DecisionCounter(),
    )
    try:
        run_flow(
            flow,
            state_dir=config.runtime.state_dir / "search",
            epoch=timedelta(milliseconds=config.runtime.epoch_ms),
            process_id=process_id,
            addresses=addresses,
            layout={
                "chain": config.chain.id,
                "topic_prefix": config.kafka.topic_prefix,
                "search.shards": config.search.shards,
                "search.simulation_shards": config.search.simulation_shards,
            },
        )
    finally:
        clock.close()
    log.info("search: drained")


def _port(config: Config, process_id: int | None) -> int | None:
    """The metrics port of a process: the configured one, and those after it for further processes."""
    port = config.runtime.metrics_port
    return port + process_id if port and process_id else port
