"""The sink with a node and relays that are real servers, and with the engine itself."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main
from prometheus_client import REGISTRY

from infra.relays.bundle import build_bundle, replacement_uuid
from infra.relays.bundle_sink import SNAPSHOT_PATIENCE_S, BundlePartition, BundleSink
from schemas.codec import BadRecord
from schemas.config import Config, ConfigError
from schemas.decisions import DecisionRecord
from schemas.record import Record
from schemas.submissions import CertificateKind as Kind
from schemas.submissions import SubmissionRecord
from schemas.submissions import SubmissionStatus as Status
from schemas.topics import topic
from tests.unit.relays.misbehaving_server import Behave, Seen, Server, says, serving
from tests.unit.relays.samples import IDENTITY_KEY, OWNER, OWNER_KEY, decision, nothing_chosen, secret, signer
from tests.unit.relays.test_certificate import BLOCK, FEES, TARGET_OK, block, ours

NODE: dict[str, Any] = {"eth_getBlockByHash": BLOCK, "eth_feeHistory": FEES, "eth_simulateV1": block(TARGET_OK, ours())}
HASH = build_bundle(decision(), signer()).hash


@dataclass
class Log:
    """A writer that keeps what it is given, and can be told to fail."""

    records: list[SubmissionRecord] = field(default_factory=list)
    flushed: int = 0
    threads: set[int] = field(default_factory=set)
    fail: bool = False

    def send(self, record: Record) -> None:
        assert isinstance(record, SubmissionRecord)
        self.threads.add(threading.get_ident())
        if self.fail:
            raise OSError("the broker is gone")
        topic("submissions").codec.encode(record)
        self.records.append(record)

    def flush(self) -> None:
        self.threads.add(threading.get_ident())
        if self.fail:
            raise OSError("the broker is gone")
        self.flushed = len(self.records)

    def __call__(self) -> Log:
        return self


@dataclass
class World:
    """A node, relays, and a configuration that names them."""

    config: Callable[..., Config]
    node: Server
    node_says: dict[str, Any]
    relay: Server
    relay_says: list[Behave]
    log: Log


def accepted(bundle_hash: bytes = HASH) -> Behave:
    return says({"jsonrpc": "2.0", "id": "123", "result": {"bundleHash": "0x" + bundle_hash.hex()}})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    head = decision().head_number
    node_says: dict[str, Any] = {**NODE, "eth_blockNumber": hex(head)}
    relay_says = [accepted()]

    def node_script(seen: Seen) -> Behave:
        answer = node_says[seen.call["method"]]
        if callable(answer):
            return answer()
        return answer if isinstance(answer, Behave) else says({"jsonrpc": "2.0", "id": 1, "result": answer})

    owner_key, identity = secret(tmp_path, OWNER_KEY, "owner"), secret(tmp_path, IDENTITY_KEY, "identity")
    with serving(script=node_script) as node, serving(script=lambda _: relay_says[0]) as relay:

        def config(relay_timeout_s: float = 30.0, node_timeout_s: float = 30.0, **submit: Any) -> Config:
            # Patient, so that a busy machine does not change what a test means.
            fields = {
                "live": True, "relays": [{"name": "dev", "url": relay.url, "timeout_s": relay_timeout_s}],
                "owner_key": owner_key.ref, "relay_identity_key": identity.ref, "deadline_s": 120.0, **submit,
            }  # fmt: skip
            return Config.model_validate({
                "chain": {
                    "id": 1, "http_url": node.url, "ws_url": "ws://none", "anchor": "0x" + "c0" * 20,
                    "request_timeout_s": node_timeout_s,
                },
                "executor": {"address": "0x" + "0b" * 20, "owner": "0x" + OWNER.hex()},
                "submit": {name: value for name, value in fields.items() if value is not None},
            })  # fmt: skip

        yield World(config, node, node_says, relay, relay_says, Log())


def partition(world: World, state: Any = None, patience_s: float = 60.0, **submit: Any) -> BundlePartition:
    """Patient, so that a busy machine does not change what a test means."""
    sink = BundleSink(world.config(**submit), world.log, patience_s=patience_s)
    return sink.build_part("out", "edge", state)


def run(world: World, *decisions: DecisionRecord, **submit: Any) -> list[SubmissionRecord]:
    part = partition(world, **submit)
    part.write_batch(list(decisions))
    part.close()
    assert world.log.flushed == len(world.log.records)
    return world.log.records


def test_live(world: World) -> None:
    made = decision()
    (record,) = run(world, made)
    assert record.status is Status.ACCEPTED and record.live and record.relay == "dev" and record.http_status == 200
    assert record.decision_id == made.id and record.seq == made.seq and record.target_block == made.target_block
    assert record.bundle_hash == HASH and record.tx_hash == build_bundle(made, signer()).ours.hash
    assert made.chosen is not None and record.target == made.chosen.target and record.tx_fee_cap == made.chosen.max_fee
    assert record.certificate.kind is Kind.AGREES and record.certificate.gas_used == made.chosen.gas_used
    assert 0 < record.decided_ns <= record.signed_ns <= record.sent_ns <= record.answered_ns
    (seen,) = world.relay.seen
    sent = seen.call["params"][0]
    assert (
        sent["replacementUuid"] == replacement_uuid(made.id)
        and sent["txs"][0] == "0x" + made.chosen.targets[0].raw.hex()
    )
    assert json.dumps(sent["txs"][1])[3:-1] not in str(record)


def test_dry_run_contacts_no_relay(world: World) -> None:
    (record,) = run(world, decision(), live=False)
    assert record.status is Status.DRY_RUN and not record.live and record.relay == "dry-run"
    assert record.tx_hash and record.signed_ns and record.certificate.kind is Kind.AGREES
    assert record.sent_ns == record.answered_ns == record.http_status == 0
    assert world.relay.seen == []


def test_dry_run_without_keys_relays_or_certificate(world: World) -> None:
    (record,) = run(world, decision(), live=False, relays=(), owner_key=None, relay_identity_key=None, certify=False)
    assert record.status is Status.DRY_RUN and record.bundle_hash == record.tx_hash == b"" and record.signed_ns == 0
    assert record.certificate.kind is Kind.SKIPPED
    assert world.relay.seen == world.node.seen == []


def test_nothing_chosen_writes_nothing(world: World) -> None:
    assert run(world, nothing_chosen()) == []
    assert world.relay.seen == world.node.seen == []


def test_each_relay_has_its_record(world: World) -> None:
    with serving(says({"error": "unable to decode txs"}, 400)) as other:
        urls = {"dev": world.relay.url, "titan": other.url}
        relays = [{"name": name, "url": url, "timeout_s": 30.0} for name, url in urls.items()]
        records = run(world, decision(), relays=relays)
    assert {r.relay: r.status for r in records} == {"dev": Status.ACCEPTED, "titan": Status.REJECTED}
    assert len({r.id for r in records}) == 2
    assert world.relay.seen[0].body == other.seen[0].body


def test_expired(world: World) -> None:
    made = decision()
    world.node_says["eth_blockNumber"] = hex(made.target_block)
    (record,) = run(world, made)
    assert record.status is Status.EXPIRED and record.sent_ns == 0 and record.bundle_hash == HASH
    assert world.relay.seen == []


def test_not_certified(world: World) -> None:
    world.node_says["eth_simulateV1"] = block(TARGET_OK, ours(30_000, "0x0"))
    (record,) = run(world, decision())
    assert record.status is Status.NOT_CERTIFIED and record.certificate.kind is Kind.FAILS and world.relay.seen == []


def test_gas_that_differs_is_sent_while_it_pays(world: World) -> None:
    world.node_says["eth_simulateV1"] = block(TARGET_OK, ours(decision().chosen.gas_used + 5))  # type: ignore[union-attr]
    (record,) = run(world, decision())
    assert record.status is Status.ACCEPTED and record.certificate.gas_difference == 5


@pytest.mark.parametrize(
    ("trouble", "patience_s"), [(Behave(status=500), 30.0), (Behave(drop=True), 30.0), (Behave(delay_s=120.0), 0.4)]
)
def test_a_node_in_trouble_does_not_stop_a_bundle(world: World, trouble: Behave, patience_s: float) -> None:
    for method in world.node_says:
        world.node_says[method] = trouble
    (record,) = run(world, decision(), node_timeout_s=patience_s)
    assert (
        record.status is Status.ACCEPTED and record.certificate.kind is Kind.UNAVAILABLE and record.certificate.detail
    )


def test_what_later_decisions_show_to_be_past_is_not_sent_without_a_node_either(world: World) -> None:
    for method in world.node_says:
        world.node_says[method] = Behave(drop=True)
    old, new = decision(), decision(seq=10)
    late = msgspec.structs.replace(nothing_chosen(), head_number=old.target_block)
    assert [record.status for record in run(world, old, late)] == [Status.EXPIRED]
    assert world.relay.seen == []
    # A head that was taken off again: what is decided on its parent is not past.
    world.log.records.clear()
    assert [record.status for record in run(world, late, new)] == [Status.ACCEPTED]


def test_without_certificate_the_head_is_still_looked_at(world: World) -> None:
    (record,) = run(world, decision(), certify=False)
    assert record.certificate.kind is Kind.SKIPPED and record.status is Status.ACCEPTED
    assert [seen.call["method"] for seen in world.node.seen] == ["eth_blockNumber"]


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (says({"error": "unable to decode txs"}, 400), Status.REJECTED),
        (says({"error": {"code": -32025, "message": "invalid flashbots signature"}}), Status.UNAUTHORISED),
        (Behave(status=429), Status.RETRYABLE),
        (Behave(b"<html>"), Status.AMBIGUOUS),
        (Behave(drop=True), Status.AMBIGUOUS),
    ],
)
def test_what_the_relay_says_is_recorded(world: World, behaviour: Behave, status: Status) -> None:
    world.relay_says[0] = behaviour
    (record,) = run(world, decision())
    assert record.status is status and record.answer and record.sent_ns


def test_that_the_relay_says_nothing_is_recorded_in_time(world: World) -> None:
    world.relay_says[0] = Behave(delay_s=120.0)
    started = time.monotonic()
    (record,) = run(world, decision(), relay_timeout_s=0.4)
    assert record.status is Status.AMBIGUOUS and record.answer and record.sent_ns
    assert time.monotonic() - started < 60.0


def test_another_hash_than_ours_is_an_alarm(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("sluice_relay_hash_mismatches_total", {"relay": "dev"}) or 0.0

    before = count()
    run(world, decision())
    assert count() == before
    world.relay_says[0] = accepted(b"\x99" * 32)
    world.log.records.clear()
    (record,) = run(world, decision())
    assert count() == before + 1 and "99" * 32 in caplog.text and HASH.hex() in caplog.text
    assert record.status is Status.ACCEPTED and record.bundle_hash == HASH and "99" * 32 in record.answer


@pytest.mark.parametrize("live", [True, False])
def test_a_decision_that_cannot_be_a_bundle_is_recorded_and_the_rest_goes_on(world: World, live: bool) -> None:
    bad, good = decision(target=b"\x01" * 32), decision(seq=10)
    records = {record.decision_id: record for record in run(world, bad, good, live=live)}
    assert records[bad.id].status is Status.NOT_CERTIFIED
    assert records[bad.id].certificate.method == "build" and "target_mismatch" in records[bad.id].certificate.detail
    assert records[good.id].status is (Status.ACCEPTED if live else Status.DRY_RUN)


def test_the_owners_key_must_be_the_owners(world: World, tmp_path: Path) -> None:
    stranger = secret(tmp_path, "0x" + "44" * 32, "stranger")
    with pytest.raises(ConfigError, match=r"executor\.owner"):
        partition(world, owner_key=stranger.ref)
    same = secret(tmp_path, OWNER_KEY, "same")
    with pytest.raises(ConfigError, match="must hold no funds"):
        partition(world, relay_identity_key=same.ref)


# -------------------------------------------------------------------- cancelling


def test_cancel(world: World) -> None:
    made = decision()
    part = partition(world)
    part.write_batch([made])
    part.snapshot()
    world.relay_says[0] = says({"jsonrpc": "2.0", "id": 1, "result": ["0x" + HASH.hex()]})
    part.write_batch([nothing_chosen(made.id)])
    part.close()
    sent, cancelled = world.log.records
    assert (sent.status, cancelled.status) == (Status.ACCEPTED, Status.CANCELLED)
    assert (
        cancelled.decision_id == made.id and cancelled.seq == made.seq and cancelled.target_block == made.target_block
    )
    assert cancelled.bundle_hash == b"" and cancelled.id != sent.id
    assert world.relay.seen[1].call == {
        "jsonrpc": "2.0", "id": 1, "method": "eth_cancelBundle", "params": [{"replacementUuid": replacement_uuid(made.id)}],
    }  # fmt: skip


def test_a_cancel_does_not_overtake_its_bundle(world: World) -> None:
    made = decision()
    world.relay_says[0] = Behave(accepted().body, delay_s=0.2)
    part = partition(world)
    part.write_batch([made])
    world.relay.await_requests(1)
    part.write_batch([nothing_chosen(made.id)])
    part.close()
    assert [seen.call["method"] for seen in world.relay.seen] == ["eth_sendBundle", "eth_cancelBundle"]
    assert world.relay.seen[1].at - world.relay.seen[0].at >= 0.2
    assert [record.status for record in world.log.records] == [Status.ACCEPTED, Status.CANCELLED]


def test_what_is_cancelled_before_it_is_sent_is_not_sent(world: World) -> None:
    made, both_decided = decision(), threading.Event()

    def certificate() -> Behave:
        assert both_decided.wait(60.0)
        return says({"result": block(TARGET_OK, ours())})

    world.node_says["eth_simulateV1"] = certificate
    part = partition(world)
    part.write_batch([made, nothing_chosen(made.id)])
    both_decided.set()
    part.close()
    records = world.log.records
    assert [seen.call["method"] for seen in world.relay.seen] == ["eth_cancelBundle"]
    assert [record.status for record in records] == [Status.CANCELLED, Status.CANCELLED]
    assert records[0].bundle_hash == HASH and records[0].sent_ns == 0


def test_a_cancel_that_is_not_confirmed_is_not_called_cancelled(world: World) -> None:
    world.relay_says[0] = Behave(status=500)
    (record,) = run(world, nothing_chosen(b"\x77" * 32))
    assert record.status is Status.AMBIGUOUS and record.decision_id == b"\x77" * 32 and record.target_block == 0


def test_a_dry_run_cancels_nothing(world: World) -> None:
    assert run(world, nothing_chosen(b"\x77" * 32), live=False) == []
    assert world.relay.seen == []


# -------------------------------------------------------------------- delivery


def test_a_repetition_has_the_same_ids(world: World) -> None:
    made = decision()
    run(world, made)
    world.relay_says[0] = Behave(status=429)
    run(world, made)
    first, second = world.log.records
    assert first.id == second.id and first.status is not second.status
    assert world.relay.seen[0].body == world.relay.seen[1].body


def test_an_epoch_waits_for_what_is_quick(world: World) -> None:
    part = partition(world)
    part.write_batch([decision(seq=n) for n in range(5)])
    _, unfinished, remembered = part.snapshot()
    assert unfinished == () and len(remembered) == 5
    assert world.log.flushed == len(world.log.records) == 5
    part.close()
    assert len(world.log.threads) == 1 and threading.get_ident() not in world.log.threads


def test_a_slow_relay_does_not_hold_the_flow_and_nothing_is_lost(world: World) -> None:
    made = decision()
    world.relay_says[0] = Behave(accepted().body, delay_s=120.0)
    part = partition(world, patience_s=SNAPSHOT_PATIENCE_S, relay_timeout_s=120.0)
    started = time.monotonic()
    part.write_batch([made])
    state = part.snapshot()
    assert time.monotonic() - started < 30.0
    assert [topic("decisions").codec.decode(data) for data in state[1]] == [made] and world.log.records == []
    # Here the process dies, its request with the relay (which would answer a later one at once); the next gets the state.
    world.relay.await_requests(1)
    world.relay_says[0] = accepted()
    again = partition(world, state)
    again.close()
    (record,) = world.log.records
    assert record.status is Status.ACCEPTED and record.decision_id == made.id
    assert len({seen.body for seen in world.relay.seen}) == 1


def test_the_state_survives_and_a_later_version_is_refused(world: World) -> None:
    made = decision()
    part = partition(world)
    part.write_batch([made])
    state = part.snapshot()
    part.close()
    world.relay_says[0] = says({"result": 200, "error": None})
    again = partition(world, state)
    again.write_batch([nothing_chosen(made.id)])
    again.close()
    assert world.log.records[-1].target_block == made.target_block
    with pytest.raises(ConfigError, match="version 2"):
        partition(world, (2, (), ()))


def test_memory_is_bounded(world: World) -> None:
    part = partition(world, live=False, certify=False)
    for n in range(200):
        part.write_batch([msgspec.structs.replace(decision(seq=n, target_block=1001 + n), head_number=1000 + n)])
    state = part.snapshot()
    part.close()
    assert 60 <= len(state[2]) <= 70


def test_a_record_that_is_not_delivered_stops_the_flow(world: World) -> None:
    part = partition(world)
    world.log.fail = True
    part.write_batch([decision()])
    with pytest.raises(OSError, match="the broker is gone"):
        part.snapshot()
    # The engine closes what it unwinds, and aborts the whole process if closing fails on top of that.
    part.close()


def test_many_at_once(world: World) -> None:
    made = [decision(seq=n) for n in range(300)]
    part = partition(world, certify=False, live=False)
    part.write_batch(made)
    part.close()
    assert Counter(record.decision_id for record in world.log.records) == Counter(each.id for each in made)


def test_in_the_engine_with_recovery(world: World, tmp_path: Path) -> None:
    made = [decision(seq=n) for n in range(6)]
    items: list[Any] = [*made[:3], TestingSource.ABORT(), *made[3:]]
    store = tmp_path / "recovery"
    store.mkdir()
    init_db_dir(store, 1)

    def flow() -> Dataflow:
        dataflow = Dataflow("search")
        stream = op.input("in", dataflow, source)
        op.output("edge", op.key_on("key", stream, lambda _: "1"), BundleSink(world.config(), world.log))
        return dataflow

    source = TestingSource(items)
    run_main(flow(), epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store)))
    run_main(flow(), epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store)))
    assert {record.decision_id for record in world.log.records} == {each.id for each in made}
    assert {record.status for record in world.log.records} == {Status.ACCEPTED}
    ids = {(record.decision_id, record.id) for record in world.log.records}
    assert len(ids) == len(made)


def test_garbage_in_the_saved_state_is_an_error(world: World) -> None:
    with pytest.raises(BadRecord):
        partition(world, (1, (b"junk",), ()))
