"""The client against a real HTTP server that misbehaves in every way."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest

from infra.relays.bundle import build_bundle, send_body
from infra.relays.dialects import Dialect, dialect
from infra.relays.pace import Pace
from infra.relays.relay_client import MAX_ATTEMPTS, RelayClient, Reply
from schemas.config import RelayConfig
from schemas.submissions import SubmissionStatus as Status
from tests.unit.relays.misbehaving_server import Behave, refusing, says, serving
from tests.unit.relays.samples import IDENTITY_KEY, OWNER_KEY, decision, signer

HASH = "0x" + "ab" * 32
ACCEPTED = says({"jsonrpc": "2.0", "id": "123", "result": {"bundleHash": HASH}})
FAST = Dialect.model_validate({**dialect("flashbots").model_dump(), "requests_per_second": 1000.0})
IDENTITY = signer(IDENTITY_KEY)
BUNDLE = build_bundle(decision(), signer())
BODY = send_body(BUNDLE, FAST)
#: Longer than any server here takes to answer that answers at all.
NEVER_S = 120.0
#: For what has to end by its time: the short one mostly does, and costs little. Where the machine itself stood still for so long, nothing was
#: shown, and the long one shows it.
SHORT_THEN_LONG_S = (0.5, 8.0)


def ask(
    url: str, *, timeout_s: float = 30.0, deadline_s: float = 60.0, speech: Dialect = FAST, times: int = 1
) -> list[Reply]:
    """Patient, so that a busy machine does not change what a test means."""

    async def run() -> list[Reply]:
        client = RelayClient(RelayConfig(name="dev", url=url, timeout_s=timeout_s), IDENTITY, speech)
        try:
            deadline = asyncio.get_running_loop().time() + deadline_s
            return [await client.send(BODY, deadline) for _ in range(times)]
        finally:
            await client.close()

    return asyncio.run(run())


def one(url: str, **more: float) -> Reply:
    (reply,) = ask(url, **more)  # type: ignore[arg-type]
    return reply


def test_accepted_with_the_very_bytes_and_their_signature() -> None:
    with serving(ACCEPTED) as server:
        reply = one(server.url)
    assert reply.answer.status is Status.ACCEPTED and reply.answer.bundle_hash == bytes.fromhex(HASH[2:])
    assert reply.http_status == 200 and json.loads(reply.text)["result"]["bundleHash"] == HASH and reply.attempts == 1
    assert 0 < reply.sent_ns <= reply.answered_ns
    (seen,) = server.seen
    assert seen.body == BODY
    assert seen.headers["X-Flashbots-Signature"] == IDENTITY.relay_header(BODY)
    assert seen.headers["Content-Type"] == "application/json"


def test_the_connection_is_kept() -> None:
    with serving(ACCEPTED) as server:
        ask(server.url, times=3)
    assert len(server.seen) == 3 and len({request.connection for request in server.seen}) == 1


@pytest.mark.parametrize(
    ("first", "attempts"),
    [
        (Behave(status=429, body=b"slow down"), 2),
        (Behave(status=503), 2),
        (Behave(status=500), 2),
        (says({"error": {"code": -32603, "message": "internal"}}), 2),
        (Behave(drop=True), 2),
    ],
)
def test_a_second_attempt_sends_the_same_bytes(first: Behave, attempts: int) -> None:
    with serving(first, ACCEPTED) as server:
        reply = one(server.url)
    assert reply.answer.status is Status.ACCEPTED and reply.attempts == attempts
    assert {request.body for request in server.seen} == {BODY}
    assert len({request.headers["X-Flashbots-Signature"] for request in server.seen}) == 1


def test_a_second_attempt_after_no_answer_sends_the_same_bytes() -> None:
    for timeout_s in SHORT_THEN_LONG_S:
        with serving(Behave(ACCEPTED.body, delay_s=NEVER_S), ACCEPTED) as server:
            reply = one(server.url, timeout_s=timeout_s)
        assert {request.body for request in server.seen} <= {BODY}
        if reply.attempts == len(server.seen) == 2:
            break
    assert reply.answer.status is Status.ACCEPTED and reply.attempts == len(server.seen) == 2
    assert len({request.headers["X-Flashbots-Signature"] for request in server.seen}) == 1


@pytest.mark.parametrize(
    ("behaviour", "status", "attempts"),
    [
        (Behave(status=429), Status.RETRYABLE, MAX_ATTEMPTS),
        (Behave(status=503), Status.RETRYABLE, MAX_ATTEMPTS),
        (Behave(status=500), Status.AMBIGUOUS, MAX_ATTEMPTS),
        (Behave(status=502, body=b"<html>"), Status.AMBIGUOUS, MAX_ATTEMPTS),
        (Behave(drop=True), Status.AMBIGUOUS, MAX_ATTEMPTS),
        (Behave(b"<html>fine</html>"), Status.AMBIGUOUS, 1),
        (Behave(b""), Status.AMBIGUOUS, 1),
        (Behave(b"[" * 60_000), Status.AMBIGUOUS, 1),
        (Behave(b'{"result":"' + b"x" * 200_000 + b'"}'), Status.AMBIGUOUS, 1),
        (Behave(b"\x1f\x8b nonsense", headers={"Content-Encoding": "gzip"}), Status.AMBIGUOUS, 1),
        (says({"error": "unable to decode txs"}, 400), Status.REJECTED, 1),
        (says({"error": "error in signature check 0x00"}, 403), Status.UNAUTHORISED, 1),
        (says({"error": {"code": -32025, "message": "invalid flashbots signature"}}), Status.UNAUTHORISED, 1),
        (Behave(status=307, headers={"Location": "http://127.0.0.1:1/"}), Status.REJECTED, 1),
    ],
)
def test_lasting_misbehaviour(behaviour: Behave, status: Status, attempts: int) -> None:
    with serving(behaviour) as server:
        reply = one(server.url)
    assert reply.answer.status is status
    assert reply.attempts == attempts == len(server.seen)
    assert reply.sent_ns and reply.answered_ns


@pytest.mark.parametrize("behaviour", [Behave(delay_s=NEVER_S), Behave(ACCEPTED.body + b" " * 2000, drip_s=0.05)])
def test_a_slow_relay_is_ambiguous_and_the_deadline_holds(behaviour: Behave) -> None:
    """Neither the client's timeout nor the relay ends it: both take longer than a minute."""
    for deadline_s in SHORT_THEN_LONG_S:
        started = time.monotonic()
        with serving(behaviour) as server:
            reply = one(server.url, timeout_s=NEVER_S, deadline_s=deadline_s)
        assert time.monotonic() - started < deadline_s + 30.0
        if server.seen:
            break
    assert reply.answer.status is Status.AMBIGUOUS
    assert "no answer" in reply.answer.detail or "without answer" in reply.answer.detail


def test_ambiguous_stays_so_whatever_a_later_attempt_is_told() -> None:
    for later in (
        Behave(status=429),
        says({"error": "already known"}, 400),
        says({"error": "error in signature check"}, 403),
    ):
        with serving(Behave(status=504), later) as server:
            reply = one(server.url)
        assert reply.answer.status is Status.AMBIGUOUS and "after an attempt without answer" in reply.answer.detail


def test_nobody_listens() -> None:
    with refusing() as url:
        reply = one(url)
    # Never sent, so it is certain that nobody has it.
    assert reply.answer.status is Status.RETRYABLE and "not sent" in reply.text and reply.http_status == 0


@pytest.mark.parametrize("url", ["http://", "ftp://relay", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    assert one(url).answer.status in (Status.REJECTED, Status.RETRYABLE)


def test_retry_after_is_obeyed_or_not_awaited() -> None:
    with serving(Behave(status=429, headers={"Retry-After": "1"}), ACCEPTED) as server:
        reply = one(server.url)
    assert reply.answer.status is Status.ACCEPTED and server.seen[1].at - server.seen[0].at >= 1.0
    with serving(Behave(status=429, headers={"Retry-After": "600"}), ACCEPTED) as server:
        reply = one(server.url)
    assert reply.answer.status is Status.RETRYABLE and len(server.seen) == 1


def test_a_429_holds_back_other_requests_too() -> None:
    with serving(Behave(status=429, headers={"Retry-After": "600"})) as server:
        first, second = ask(server.url, times=2)
    assert (first.attempts, second.attempts) == (1, 0) and len(server.seen) == 1
    assert second.answer.status is Status.RETRYABLE and second.sent_ns == second.answered_ns == 0


def test_no_signature_where_the_relay_wants_none() -> None:
    with serving(ACCEPTED) as server:
        ask(server.url, speech=dialect("beaverbuild"))
    assert "X-Flashbots-Signature" not in server.seen[0].headers


def test_proxies_and_credentials_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing() as nobody, serving(ACCEPTED) as server:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, nobody)
        assert one(server.url).answer.status is Status.ACCEPTED


def test_logs_show_neither_keys_nor_transactions_nor_addresses_of_providers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving(script=lambda seen: Behave(seen.body, 400)) as server:
        reply = one(server.url + "/provider-access-key")
    shown = caplog.text + repr(reply)
    assert BUNDLE.ours.raw.hex() not in shown and OWNER_KEY[2:] not in shown and IDENTITY_KEY[2:] not in shown
    assert BUNDLE.ours.raw.hex() not in reply.text and "characters of hex" in reply.text
    assert "HTTP Request" not in caplog.text


def test_pace_bounds_the_rate_and_lets_a_burst_through() -> None:
    pace = Pace(10.0, burst=3)
    waits = [pace.reserve(100.0) for _ in range(6)]
    assert waits == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.2, 0.3])
    # After a rest the burst is there again, and no more than it.
    assert [pace.reserve(200.0) for _ in range(4)] == pytest.approx([0.0, 0.0, 0.0, 0.1])


def test_pace_after_a_hold() -> None:
    pace = Pace(10.0, burst=1)
    pace.hold(5.0)
    assert pace.reserve(1.0) == pytest.approx(4.0)
    assert pace.reserve(1.0) == pytest.approx(4.1)


def test_the_rate_holds_on_the_wire() -> None:
    slow = Dialect.model_validate({**FAST.model_dump(), "requests_per_second": 20.0})
    with serving(ACCEPTED) as server:
        # From before the first was sent, not from its arrival: where that is late, those behind it may be a burst again.
        started = time.monotonic()
        ask(server.url, speech=slow, times=12)
    assert len(server.seen) == 12 and server.seen[-1].at - started >= 4 * 0.05
