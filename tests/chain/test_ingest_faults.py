"""Nodes that cannot trace, lie, or are away, and a broker that is away: nothing wrong is ever written, nothing is lost."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from flows.ingest import IngestStopped, session
from infra.devnet.devnet import Devnet
from infra.devnet.node import to_hex
from infra.ingest import call_reads
from infra.ingest.feeds import Feeds
from infra.kafka.broker import LocalBroker
from operators.ingest.untraced import TRY_EVERY
from operators.pools.records import pool_of
from schemas.blocks import BlockRecord
from schemas.config import KafkaConfig
from schemas.decisions import EventKind
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from schemas.receipts import ReceiptsRecord
from schemas.witness import WitnessRecord
from tests.chain.bending_proxy import Bend, BendingProxy, without
from tests.chain.ingest_rig import Rig, wait_until

pytestmark = [pytest.mark.chain, pytest.mark.kafka]


def behind(rig: Rig, proxy: BendingProxy) -> Rig:
    chain = rig.config.chain.model_copy(update={"http_url": proxy.url})
    rig.config = rig.config.model_copy(update={"chain": chain})
    return rig


def test_a_node_without_tracing_and_lists_serves_what_it_can_and_all_when_it_traces_again(
    devnet: Devnet, kafka: KafkaConfig
) -> None:
    with BendingProxy(devnet.anvil.http_url, without("debug_", "eth_createAccessList")) as proxy:
        rig = behind(Rig(devnet, kafka), proxy)
        with rig.started() as running:
            rig.send_as_owner(rig.executor, b"\x01\x02\x03\x04")
            rig.traffic()
            wait_until("pending", lambda: running.pending > 0)
            rig.block(traffic=False)
            rig.caught_up(running)
            events = rig.events()
            proxy.bend = None
            traces_again(rig, len(devnet.market.pairs))
    rig.assert_is_chain(events)
    pools = [p for e in events if (p := e.part(PoolRecord)) is not None]
    assert len(pools) == len(devnet.market.pairs) and {p.refusal for p in pools} == {"untraceable"}
    states = [pool_of(p) for p in pools]
    assert all(s.refusal == "untraceable" for s in states) and any(s.reserve0 for s in states)
    pending = [e for e in events if e.kind is EventKind.PENDING]
    assert pending and all(len(e.parts) == 1 for e in pending)
    last = next(e for e in reversed(events) if e.kind is EventKind.BLOCK)
    (watched,) = last.part(ReceiptsRecord).watched
    assert watched.native is None
    # State is read instead of traced.
    accounts = {a.address: a for a in last.part(WitnessRecord).accounts}
    told = [
        a for e in events if (w := e.part(WitnessRecord)) for a in w.accounts if a.address == rig.executor and a.slots
    ]
    at = to_hex(last.part(BlockRecord).hash)
    slot = rig.node.call("eth_getStorageAt", to_hex(rig.executor), "0x0", at)
    assert to_hex(told[-1].slots[32:64]) == slot
    balance = int(rig.node.call("eth_getBalance", to_hex(rig.owner.address), at), 16)
    assert int.from_bytes(accounts[rig.owner.address].balance, "big") == balance


def test_a_node_without_tracing_tells_by_access_lists_what_transactions_and_pools_read(
    devnet: Devnet, kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_reads, "AGAIN_S", 0.1)
    pools = len(devnet.market.pairs)
    with BendingProxy(devnet.anvil.http_url, without("debug_")) as proxy:
        rig = behind(Rig(devnet, kafka), proxy)
        with rig.started() as running:
            # It regains its traces, and loses them again.
            for source, bend in (("list", proxy.bend), ("trace", None), ("list", proxy.bend)):
                proxy.bend = bend
                time.sleep(2 * call_reads.AGAIN_S)
                told, sent = told_by(source), rig.traffic()
                wait_until("a witness of theirs", lambda sent=sent: sent & witnessed(rig))  # type: ignore[misc]
                assert told_by(source) > told
                rig.block(traffic=False)
                rig.caught_up(running)
    events = rig.events()
    rig.assert_is_chain(events)
    admitted = [p for e in events if (p := e.part(PoolRecord)) is not None]
    assert len(admitted) == pools and {p.refusal for p in admitted} == {""} and all(p.needs for p in admitted)


def told_by(source: str) -> float:
    return REGISTRY.get_sample_value("sluice_ingest_reads_told_total", {"source": source}) or 0.0


def witnessed(rig: Rig) -> set[bytes]:
    """The pending transactions that were told with what they read."""
    return {p.hash for e in rig.events() if (p := e.part(PendingRecord)) is not None and e.part(WitnessRecord)}


def traces_again(rig: Rig, pools: int) -> None:
    """Each pool is admitted anew, once, without anybody asking for it; and what is pending is told with what it reads."""
    for _ in range(TRY_EVERY + 1):
        rig.block(traffic=False)

    def records() -> list[PoolRecord]:
        return [p for e in rig.events() if (p := e.part(PoolRecord)) is not None]

    wait_until("the pools", lambda: len(records()) == 2 * pools)
    assert {p.refusal for p in records()[pools:]} == {""}
    assert len({p.address for p in records()[pools:]}) == pools
    rig.traffic()
    wait_until("a witness", lambda: [e for e in rig.events() if e.kind is EventKind.PENDING][-1].part(WitnessRecord))


def lose_a_receipt(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"result": answer["result"][1:]} if method == "eth_getBlockReceipts" else answer


def lose_a_log(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    if method == "eth_getBlockReceipts":
        busy = next((r for r in answer["result"] if r["logs"]), None)
        if busy:
            del busy["logs"][0]
    return answer


def lose_a_trace(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"result": answer["result"][1:]} if method == "debug_traceBlockByHash" else answer


def another_block(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    if method == "eth_getBlockByHash":
        answer["result"]["hash"] = "0x" + "77" * 32
    return answer


LIES: tuple[tuple[Bend, str], ...] = (
    (lose_a_receipt, "receipt_count"),
    (lose_a_log, "log_mismatch"),
    (lose_a_trace, "trace_count"),
    (another_block, "wrong_block"),
)


def test_a_lying_node_stops_the_sequencer_and_nothing_of_it_is_written(
    devnet: Devnet, kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before it stops it asks five times, after twice the time each.
    monkeypatch.setattr(session, "IDLE_S", 0.02)
    with BendingProxy(devnet.anvil.http_url) as proxy:
        rig = behind(Rig(devnet, kafka, pending=False), proxy)
        for bend, reason in LIES:
            with rig.started() as running:
                rig.caught_up(running)
                height = rig.height
                proxy.bend = bend
                rig.block()
                assert rig.node.call("eth_getBlockByNumber", "latest", False)["transactions"]
                running.wait_ended()
                assert isinstance(running.error, IngestStopped) and reason in str(running.error)
                running.error = None
            assert rig.logged_chain(rig.events())[-1].number == height
            proxy.bend = None
        # An honest node later: the log goes on where it was.
        with rig.ingest() as running:
            rig.caught_up(running)
    rig.assert_is_chain(rig.events())


def test_a_node_that_is_away_is_waited_for(devnet: Devnet, kafka: KafkaConfig) -> None:
    with BendingProxy(devnet.anvil.http_url) as proxy:
        rig = behind(Rig(devnet, kafka), proxy)
        with rig.started() as running:
            proxy.down = True
            for _ in range(3):
                rig.block()
            wait_until("retries", lambda: proxy.refused >= 6)
            assert running.alive
            proxy.down = False
            rig.caught_up(running)
    events = rig.events()
    rig.assert_is_chain(events)


def test_a_node_of_another_chain_is_refused(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka)
    rig.config = rig.config.model_copy(update={"chain": rig.config.chain.model_copy(update={"id": 5})})
    with rig.ingest() as running:
        running.wait_ended()
        assert isinstance(running.error, IngestStopped) and "chain 31337" in str(running.error)
        running.error = None


def test_the_broker_stopped_and_started_under_traffic(devnet: Devnet, kafka: KafkaConfig, broker: LocalBroker) -> None:
    rig = Rig(devnet, kafka)
    with rig.started() as running:
        rig.block()
        rig.caught_up(running)
        broker.kill()
        for _ in range(4):
            rig.block()
        broker.start()
        rig.block()
        wait_until("the head", lambda: running.block == rig.height, timeout=60)
    events = rig.events()
    rig.assert_is_chain(events)
    assert all(e.kind is not EventKind.REVERT for e in events)


def test_an_old_answer_does_not_hide_a_head_announced_meanwhile(
    devnet: Devnet, kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bent = threading.Event()
    ask_if_silent = Feeds.ask_if_silent

    def ask_once(feeds: Feeds) -> None:
        """The watchdog asks for one head: the block has to come by what was announced, however long that takes."""
        if not bent.is_set():
            ask_if_silent(feeds)

    monkeypatch.setattr(Feeds, "ask_if_silent", ask_once)
    with BendingProxy(devnet.anvil.http_url) as proxy:
        rig = behind(Rig(devnet, kafka, silent_after_s=1.0), proxy)

        def slow_and_old(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
            if method == "eth_getBlockByNumber" and params[0] == "latest" and not bent.is_set():
                bent.set()
                rig.block()
                time.sleep(0.5)
            return answer

        with rig.started() as running:
            proxy.bend = slow_and_old
            # The watchdog asks for the head, and while the answer is under way the next block is announced.
            assert bent.wait(60)
            wait_until("the head", lambda: running.block == rig.height)
    rig.assert_is_chain(rig.events())
