"""Hints from a live stream in the log: each once, whatever the stream and the sequencer do in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from infra.devnet.devnet import Devnet
from schemas.config import KafkaConfig
from schemas.decisions import EventKind
from schemas.hints import HintRecord
from tests.chain.hint_server import HintServer
from tests.chain.ingest_rig import Ingest, Rig, wait_until

pytestmark = [pytest.mark.chain, pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def server() -> Iterator[HintServer]:
    with HintServer() as running:
        yield running


@pytest.fixture
def rig(devnet: Devnet, kafka: KafkaConfig, server: HintServer) -> Rig:
    return Rig(devnet, kafka, hints_url=server.url)


def event(number: int, **more: object) -> bytes:
    return json.dumps({"hash": "0x" + number.to_bytes(32, "big").hex(), "logs": None, "txs": None, **more}).encode()


def logged(rig: Rig) -> list[int]:
    """The numbers of the hints in the log, in order; each is an event of its own."""
    hints = [e for e in rig.events() if e.kind is EventKind.HINT]
    assert all(len(e.parts) == 1 for e in hints)
    return [int.from_bytes(record.hash, "big") for e in hints if (record := e.part(HintRecord)) is not None]


def connected(server: HintServer, running: Ingest, times: int) -> None:
    wait_until("the stream", lambda: server.connections >= times and server.listeners == 1)
    assert running.error is None


def skipped(reason: str) -> float:
    return REGISTRY.get_sample_value("sluice_ingest_hints_skipped_total", {"reason": reason}) or 0.0


def test_hints_are_written_once_and_bad_ones_counted(rig: Rig, server: HintServer) -> None:
    malformed, oversized, repeated = skipped("malformed"), skipped("oversized"), skipped("repeated")
    with rig.started() as running:
        connected(server, running, 1)
        for body in (event(1), event(2), b"not json", event(1), event(3, gasUsed=-1), b"x" * 300_000, event(4)):
            server.publish(body)
        wait_until("the hints", lambda: logged(rig) == [1, 2, 4])
    found = [skipped("malformed") - malformed, skipped("oversized") - oversized, skipped("repeated") - repeated]
    assert found == [2, 1, 1]


def test_a_stream_that_breaks_is_connected_to_again_and_the_gap_counted(rig: Rig, server: HintServer) -> None:
    gaps = REGISTRY.get_sample_value("sluice_ingest_hint_gaps_total") or 0.0
    with rig.started() as running:
        connected(server, running, 1)
        server.publish(event(1))
        wait_until("the first", lambda: logged(rig) == [1])
        server.down = True
        server.drop()
        height = rig.height
        rig.block()
        # Everything else goes on without the stream.
        wait_until("a block", lambda: running.block > height)
        server.down = False
        connected(server, running, 2)
        server.publish(event(1))
        server.publish(event(2))
        wait_until("the next", lambda: logged(rig) == [1, 2])
    assert REGISTRY.get_sample_value("sluice_ingest_hint_gaps_total") == gaps + 1


def test_a_sequencer_that_starts_again_knows_what_it_wrote(rig: Rig, server: HintServer) -> None:
    with rig.started() as running:
        connected(server, running, 1)
        server.publish(event(1))
        wait_until("the hint", lambda: logged(rig) == [1])
    with rig.started() as running:
        connected(server, running, 2)
        server.publish(event(1))
        server.publish(event(2))
        wait_until("the new one", lambda: logged(rig) == [1, 2])
