"""Running the sequencer: sessions one after the other, until it is drained or cannot go on."""

from __future__ import annotations

import asyncio
import logging

from flows.families import check_families
from flows.ingest.hints import HintIntake
from flows.ingest.session import IDLE_S, MAX_WAIT_S, OnProgress, Session, pause
from infra.chain.keccak import check_backends
from infra.chain.node import Node
from infra.ingest.feeds import Feeds
from infra.kafka.errors import Fenced, KafkaLayerError
from infra.runtime.collector import rare_collections
from infra.runtime.drain import Drain
from schemas.config import Config
from schemas.pending import PendingRecord

log = logging.getLogger("sluice.ingest")


def run_ingest(config: Config, drain: Drain, *, on_progress: OnProgress = None) -> None:
    """Run the sequencer of `config.chain` until drained.

    Raises `ConfigError` for a pool family that there is not, `Fenced` when another sequencer of the chain takes over, `IngestStopped` when it
    cannot go on. A node or broker that is away is waited for.
    """
    check_families(config)
    check_backends()
    # One line per request would drown everything else, and the node's address in it may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with rare_collections():
        asyncio.run(_run(config, drain, on_progress))


async def _run(config: Config, drain: Drain, on_progress: OnProgress) -> None:
    feeds = Feeds(config.chain, pending=config.ingest.pending, max_waiting=config.ingest.max_pending)
    async with Node(config.chain.http_url, config.chain.request_timeout_s) as node:
        feeds.start()
        hints = HintIntake(config, feeds.wake.set)
        hints.start()
        carried: list[PendingRecord] = []
        wait_s = IDLE_S
        try:
            while not drain.is_set():
                session = Session(config, node, feeds, hints, drain, on_progress, carried)
                try:
                    await session.run()
                except Fenced:
                    raise
                except KafkaLayerError as error:
                    log.error("Kafka: %s; trying again in %.1f s", error, wait_s)
                    carried = session.unannounced()
                    wait_s = IDLE_S if session.committed else min(MAX_WAIT_S, 2 * wait_s)
                    await pause(drain, wait_s)
        finally:
            await hints.stop()
            await feeds.stop()
