"""What the transactional writer makes of each kind of answer, with a scripted client; the broker's own answers are in tests/kafka."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.kafka import clients
from infra.kafka.errors import CommitUnknown, Fenced, WriteFailed
from infra.kafka.transactional import TransactionalWriter
from schemas.blocks import GOLDEN as BLOCK
from schemas.config import KafkaConfig


class _Client:
    """Answers calls by name from a script; calls without an entry succeed."""

    def __init__(self, **script: list[KafkaError | None]) -> None:
        self.script = script
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: object, **kwargs: object) -> None:
            self.calls.append(name)
            answers = self.script.get(name, [])
            answer = answers[0] if len(answers) == 1 else answers.pop(0) if answers else None
            if answer is not None:
                raise KafkaException(answer)

        return call


def open_writer(monkeypatch: pytest.MonkeyPatch, client: _Client, timeout_s: float = 0.05) -> TransactionalWriter:
    monkeypatch.setattr(clients, "transactional_producer", lambda *args: client)
    return TransactionalWriter(KafkaConfig(), "ingest.1", timeout_s=timeout_s)


RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "no answer", False, True, False)
ABORTABLE = KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING, "lost", False, False, True)
FENCED = KafkaError(KafkaError._FENCED, "newer instance", True, False, False)
FATAL = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "not allowed", True, False, False)


def test_a_commit_is_asked_for_again_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(commit_transaction=[RETRIABLE, RETRIABLE, None])
    open_writer(monkeypatch, client, timeout_s=10).commit([BLOCK])
    # One transaction: the records were handed over once.
    assert client.calls.count("produce") == 1
    assert client.calls.count("commit_transaction") == 3


def test_a_commit_that_never_answers_is_unknown_and_ends_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(commit_transaction=[RETRIABLE])
    writer = open_writer(monkeypatch, client)
    with pytest.raises(CommitUnknown, match="may be there or not: open a new writer, read the tail"):
        writer.commit([BLOCK])
    assert "abort_transaction" not in client.calls
    with pytest.raises(WriteFailed, match=r"spent \(CommitUnknown\)"):
        writer.commit([BLOCK])
    assert client.calls.count("produce") == 1


def test_an_aborted_transaction_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(commit_transaction=[ABORTABLE, None])
    open_writer(monkeypatch, client).commit([BLOCK, BLOCK])
    assert client.calls[1:] == [
        "begin_transaction", "produce", "produce", "commit_transaction", "abort_transaction",
        "begin_transaction", "produce", "produce", "commit_transaction",
    ]  # fmt: skip


def test_attempts_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(commit_transaction=[ABORTABLE])
    with pytest.raises(WriteFailed, match="1 records not written after 5 attempts: lost"):
        open_writer(monkeypatch, client).commit([BLOCK])
    assert client.calls.count("abort_transaction") == client.calls.count("commit_transaction") == 5


@pytest.mark.parametrize("call", ["begin_transaction", "produce", "commit_transaction"])
def test_fenced_wherever_it_shows(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    with pytest.raises(Fenced, match=r"another writer has taken over 'ingest.1'"):
        open_writer(monkeypatch, _Client(**{call: [FENCED]})).commit([BLOCK])


def test_fenced_while_rolling_back(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(commit_transaction=[ABORTABLE], abort_transaction=[FENCED])
    with pytest.raises(Fenced):
        open_writer(monkeypatch, client).commit([BLOCK])


@pytest.mark.parametrize(("call", "raised"), [("produce", WriteFailed), ("commit_transaction", CommitUnknown)])
def test_a_fatal_answer_ends_the_writer(monkeypatch: pytest.MonkeyPatch, call: str, raised: type[Exception]) -> None:
    writer = open_writer(monkeypatch, _Client(**{call: [FATAL]}))
    with pytest.raises(raised, match="not allowed"):
        writer.commit([BLOCK])
    with pytest.raises(WriteFailed, match="spent"):
        writer.commit([BLOCK])


def test_a_cluster_that_takes_no_transactions_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WriteFailed, match=r"no transactions as 'ingest.1'"):
        open_writer(monkeypatch, _Client(init_transactions=[RETRIABLE]))


def test_nothing_to_write_is_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client()
    open_writer(monkeypatch, client).commit([])
    assert client.calls == ["init_transactions"]
