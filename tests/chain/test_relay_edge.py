"""The edge against a real node and the devnet's builder: what is certified is what the chain then does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from infra.devnet.contracts import call_data
from infra.devnet.devnet import Devnet
from infra.devnet.misbehaviour import Mode
from infra.devnet.node import data, quantity, to_hex
from infra.kafka.reading import read_records
from infra.relays.bundle_sink import BundlePartition, BundleSink
from infra.relays.signing import Signer, keccak
from schemas.config import Config, KafkaConfig
from schemas.decisions import GOLDEN, DecisionRecord, Target
from schemas.ids import with_id
from schemas.opportunities import Strategy
from schemas.record import Record
from schemas.submissions import CertificateKind as Kind
from schemas.submissions import SubmissionRecord
from schemas.submissions import SubmissionStatus as Status
from schemas.types import Wide
from tests.chain.ingest_rig import wait_until

pytestmark = pytest.mark.chain

OWNER_KEY, OWNER = "0x" + "11" * 32, bytes.fromhex("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")
IDENTITY_KEY = "0x" + "22" * 32
GWEI = 10**9
GAS_LIMIT = 150_000
#: What a bundle and one request of it may take, in seconds: longer than node, relay and test together may be held up.
DEADLINE_S, TIMEOUT_S = 60.0, 15.0
#: Of a request that a relay never answers.
SHORT_S = 0.5


@dataclass
class Log:
    records: list[SubmissionRecord] = field(default_factory=list)

    def send(self, record: Record) -> None:
        assert isinstance(record, SubmissionRecord)
        self.records.append(record)

    def flush(self) -> None:
        """All is there."""


@dataclass
class Rig:
    """A devnet whose owner may take tokens that a user grants in the same bundle: ours works behind its target only."""

    devnet: Devnet
    folder: Path
    log: Log = field(default_factory=Log)

    @property
    def token(self) -> bytes:
        return self.devnet.market.tokens[0].address

    def config(self, timeout_s: float = TIMEOUT_S, **submit: Any) -> Config:
        relay = {"name": "dev", "url": self.devnet.server.url, "timeout_s": timeout_s}
        fields = {"live": True, "relays": [relay], "owner_key": f"file:{self.folder}/owner",
                  "relay_identity_key": f"file:{self.folder}/identity", "deadline_s": DEADLINE_S, **submit}  # fmt: skip
        chain = {
            "id": self.devnet.market.chain_id,
            "http_url": self.devnet.anvil.http_url,
            "ws_url": self.devnet.anvil.ws_url,
            "anchor": to_hex(self.devnet.market.weth),
        }
        executor = {"address": to_hex(self.token), "owner": to_hex(OWNER)}
        return Config.model_validate({"chain": chain, "executor": executor, "submit": fields})

    def user_grants(self, amount: int) -> bytes:
        """A user's signed approval of `amount` of a token for the owner: not sent, it is the bundle's target."""
        user, node = self.devnet.market.signers()[0], self.devnet.anvil.node
        nonce = quantity(node.call("eth_getTransactionCount", to_hex(user.address), "latest"))
        payload = call_data("approve(address,uint256)", to_hex(OWNER), amount)
        fees = {"max_fee": 100 * GWEI, "max_priority_fee": GWEI}
        return user.sign(
            chain_id=self.devnet.market.chain_id, nonce=nonce, to=self.token, gas=100_000, payload=payload, **fees
        )

    def decision(self, amount: int, *raws: bytes, gas_used: int = 60_000, gross: int = 10**17) -> DecisionRecord:
        """To take `amount` of the user's token, behind these transactions, in the next block."""
        node = self.devnet.anvil.node
        head, env = self.devnet.builder.head(), self.devnet.builder.next_env()
        user = self.devnet.market.signers()[0]
        assert GOLDEN.chosen is not None
        chosen = msgspec.structs.replace(
            GOLDEN.chosen,
            strategy=Strategy.BACKRUN if raws else Strategy.CYCLE,
            target=keccak(raws[-1]) if raws else b"",
            targets=tuple(Target(hash=keccak(raw), raw=raw) for raw in raws),
            sender=OWNER,
            to=self.token,
            nonce=quantity(node.call("eth_getTransactionCount", to_hex(OWNER), "latest")),
            gas_limit=GAS_LIMIT,
            max_fee=Wide(env.base_fee + 2 * GWEI),
            priority_fee=Wide(2 * GWEI),
            data=data_of("transferFrom(address,address,uint256)", to_hex(user.address), to_hex(OWNER), amount),
            gas_used=gas_used,
            base_fee=env.base_fee,
            gross=Wide(gross),
        )
        return with_id(
            msgspec.structs.replace(
                GOLDEN, chain=self.devnet.market.chain_id, head_number=quantity(head["number"]), head_hash=data(head["hash"]),
                target_block=env.number, chosen=chosen,
            )
        )  # fmt: skip

    def run(self, *decisions: DecisionRecord, **submit: Any) -> list[SubmissionRecord]:
        part = self.partition(**submit)
        part.write_batch(list(decisions))
        part.close()
        records, self.log.records = self.log.records, []
        return records

    def partition(self, **submit: Any) -> BundlePartition:
        return BundleSink(self.config(**submit), lambda: self.log, patience_s=DEADLINE_S).build_part(
            "edge", "edge", None
        )

    def builder_has(self, record: SubmissionRecord) -> bool:
        """Whether the builder holds the bundle for the next block."""
        builder = self.devnet.builder
        return record.bundle_hash in {bundle.hash for bundle in builder.bundles.for_block(builder.next_number())}

    def misbehave(self, mode: Mode, **more: Any) -> None:
        body = {"jsonrpc": "2.0", "id": 1, "method": "dev_misbehave", "params": [{"mode": mode.value, **more}]}
        assert httpx.post(self.devnet.server.url, json=body).status_code == 200


def data_of(signature: str, *values: Any) -> bytes:
    payload = call_data(signature, *values)
    return payload if isinstance(payload, bytes) else data(payload)


@pytest.fixture(scope="module")
def rig(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "owner").write_text(OWNER_KEY)
    (folder / "identity").write_text(IDENTITY_KEY)
    devnet.anvil.node.call("anvil_setBalance", to_hex(OWNER), hex(10**20))
    devnet.builder.build_block()
    yield Rig(devnet, folder)


def test_certified_sent_included_and_gas_exact(rig: Rig) -> None:
    target = rig.user_grants(1000)
    first = rig.decision(1000, target)
    (guess,) = rig.run(first, live=False)
    assert guess.status is Status.DRY_RUN and guess.certificate.kind is Kind.DIFFERS
    gas = guess.certificate.gas_used

    (record,) = rig.run(rig.decision(1000, target, gas_used=gas))
    assert record.certificate.kind is Kind.AGREES, record.certificate.detail
    assert record.status is Status.ACCEPTED and record.http_status == 200
    assert f'"bundleHash": "{to_hex(record.bundle_hash)}"'.replace(" ", "") in record.answer.replace(" ", "")

    built = rig.devnet.builder.build_block()
    (outcome,) = [each for each in built.outcomes if each.bundle_hash == to_hex(record.bundle_hash)]
    assert outcome.included, outcome.detail
    at = built.transactions.index(record.tx_hash)
    assert built.transactions[at - 1] == record.target
    receipt = rig.devnet.anvil.node.call("eth_getTransactionReceipt", to_hex(record.tx_hash))
    assert receipt["status"] == "0x1" and quantity(receipt["gasUsed"]) == gas


def test_without_its_target_it_fails_and_is_not_sent(rig: Rig) -> None:
    (record,) = rig.run(rig.decision(10**24))
    assert record.status is Status.NOT_CERTIFIED and record.certificate.kind is Kind.FAILS
    assert "ours fails" in record.certificate.detail and record.sent_ns == 0


def test_a_target_that_cannot_pay_fails(rig: Rig) -> None:
    user, node = rig.devnet.market.signers()[1], rig.devnet.anvil.node
    nonce = quantity(node.call("eth_getTransactionCount", to_hex(user.address), "latest"))
    fees = {"max_fee": 100 * GWEI, "max_priority_fee": GWEI}
    raw = user.sign(chain_id=rig.devnet.market.chain_id, nonce=nonce, to=OWNER, gas=21_000, value=10**30, **fees)
    (record,) = rig.run(rig.decision(1, raw))
    assert record.status is Status.NOT_CERTIFIED and record.certificate.kind is Kind.FAILS


def test_gas_that_differs_but_pays_is_sent_and_included(rig: Rig) -> None:
    (record,) = rig.run(rig.decision(5, rig.user_grants(5), gas_used=1))
    assert record.status is Status.ACCEPTED and record.certificate.kind is Kind.DIFFERS
    built = rig.devnet.builder.build_block()
    assert record.tx_hash in built.transactions


def test_gas_that_differs_and_does_not_pay_is_not_sent(rig: Rig) -> None:
    (record,) = rig.run(rig.decision(5, rig.user_grants(5), gas_used=1, gross=1000))
    assert record.status is Status.NOT_CERTIFIED and record.certificate.kind is Kind.DIFFERS


def test_expired_when_the_head_has_moved(rig: Rig) -> None:
    made = rig.decision(5, rig.user_grants(5))
    rig.devnet.builder.build_block()
    (record,) = rig.run(made)
    assert record.status is Status.EXPIRED and record.sent_ns == 0


def test_a_head_the_node_forgot_is_unavailable(rig: Rig) -> None:
    made = msgspec.structs.replace(rig.decision(5, rig.user_grants(5)), head_hash=b"\x77" * 32)
    (record,) = rig.run(made, live=False)
    assert record.certificate.kind is Kind.UNAVAILABLE and record.certificate.detail.startswith("head_unknown")


def test_cancelled_in_time_is_not_included(rig: Rig) -> None:
    made = rig.decision(7, rig.user_grants(7))
    void = with_id(
        msgspec.structs.replace(GOLDEN, chain=made.chain, seq=99, chosen=None, cancels=(made.id,), target_block=0)
    )
    part = rig.partition()
    part.write_batch([made])
    part.snapshot()
    part.write_batch([void])
    part.close()
    (sent, cancelled), rig.log.records = rig.log.records, []
    assert (sent.status, cancelled.status) == (Status.ACCEPTED, Status.CANCELLED)
    assert to_hex(sent.bundle_hash) in cancelled.answer
    assert sent.tx_hash not in rig.devnet.builder.build_block().transactions


def test_sent_twice_it_is_one_bundle(rig: Rig) -> None:
    made = rig.decision(9, rig.user_grants(9))
    first, second = *rig.run(made), *rig.run(made)
    assert first.id == second.id and first.status is second.status is Status.ACCEPTED
    built = rig.devnet.builder.build_block()
    assert built.transactions.count(first.tx_hash) == 1
    assert len([each for each in built.outcomes if each.bundle_hash == to_hex(first.bundle_hash)]) == 1


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        (Mode.RATE_LIMIT, None, Status.RETRYABLE),
        (Mode.SERVER_ERROR, None, Status.AMBIGUOUS),
        (Mode.DROP, None, Status.AMBIGUOUS),
        (Mode.TIMEOUT, None, Status.AMBIGUOUS),
        (Mode.WRONG_SHAPE, 1, Status.AMBIGUOUS),
        (Mode.SERVER_ERROR, 1, Status.ACCEPTED),
        (Mode.DROP, 1, Status.ACCEPTED),
    ],
)
def test_the_dev_relay_misbehaves(rig: Rig, mode: Mode, count: int | None, expected: Status) -> None:
    rig.misbehave(mode, **({"count": count} if count else {}))
    started = time.monotonic()
    try:
        silent = {"timeout_s": SHORT_S} if mode is Mode.TIMEOUT else {}
        (record,) = rig.run(rig.decision(3, rig.user_grants(3)), certify=False, **silent)
    finally:
        rig.devnet.server.misbehaviour.set(None)
    assert record.status is expected, record.answer
    assert time.monotonic() - started < DEADLINE_S
    if mode is Mode.TIMEOUT:
        # It acts on what it does not answer, at the latest when it has got round to it.
        wait_until("the bundle", lambda: rig.builder_has(record))
        # Why an answer that never came is not a refusal: the relay had taken the bundle.
        assert record.tx_hash in rig.devnet.builder.build_block().transactions


def test_a_wrong_signature_is_told_from_a_wrong_bundle(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Signer.relay_header
    monkeypatch.setattr(Signer, "relay_header", lambda self, body: honest(self, body + b" "))
    (record,) = rig.run(rig.decision(3, rig.user_grants(3)), certify=False)
    assert record.status is Status.UNAUTHORISED and record.http_status == 403


@pytest.mark.kafka
def test_records_arrive_in_kafka_before_the_epoch_is_saved(rig: Rig, kafka: KafkaConfig) -> None:
    made = rig.decision(3, rig.user_grants(3))
    part = BundleSink(rig.config().model_copy(update={"kafka": kafka}), patience_s=DEADLINE_S).build_part(
        "edge", "edge", None
    )
    part.write_batch([made])
    _, unfinished, _ = part.snapshot()
    found = [record for _, record in read_records(kafka, "submissions")]
    assert unfinished == () and len(found) == 1
    (record,) = found
    assert isinstance(record, SubmissionRecord) and record.decision_id == made.id and record.status is Status.ACCEPTED
    assert rig.devnet.builder.build_block().transactions[-1:] == (record.tx_hash,)
    part.close()
