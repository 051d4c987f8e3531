"""The sequencer's pen: groups of records that become visible whole or not at all, from one writer at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from infra.kafka import clients
from infra.kafka.errors import CommitUnknown, Fenced, KafkaLayerError, WriteFailed, describe
from infra.kafka.keys import key_of
from infra.runtime import metrics
from schemas.config import KafkaConfig
from schemas.record import Record
from schemas.topics import topic

_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    }
)
# Delivery failures that a new attempt would meet again.
_HOPELESS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
_QUEUE_FULL_WAIT_S = 0.01
_ASK_AGAIN_S = 0.01
_ATTEMPTS = 5


class _Aborted(Exception):
    """A transaction was rolled back; the same records may be written again."""


class TransactionalWriter:
    """Writes groups of records, each as one Kafka transaction.

    Opening one fences every earlier writer with the same `transactional_id`, and returns only when what those had begun is
    settled, so that the log's tail, read after the opening, is the truth to go on from. After `Fenced`, `WriteFailed`
    or `CommitUnknown` the writer is spent: open a new one.
    """

    def __init__(self, kafka: KafkaConfig, transactional_id: str, *, timeout_s: float = 60.0) -> None:
        """`timeout_s` bounds each transaction, and how long a broker may be away during one.

        Raises `WriteFailed` if the cluster does not take the writer within it.
        """
        self._kafka = kafka
        self.transactional_id = transactional_id
        self._timeout_s = timeout_s
        self._spent: str | None = None
        self._failure: KafkaError | None = None
        self._producer = clients.transactional_producer(kafka, transactional_id, int(timeout_s * 1000))
        self._take_over()

    def _take_over(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._producer.init_transactions(max(0.1, deadline - time.monotonic()))
            except KafkaException as exception:
                error = exception.args[0]
                self._raise_if_fenced(error)
                if not error.retriable() or time.monotonic() >= deadline:
                    raise self._end(
                        WriteFailed(f"no transactions as {self.transactional_id!r}: {describe(error)}")
                    ) from None

    def commit(self, records: Sequence[Record]) -> None:
        """Write the records, in this order, as one transaction. When this returns they are committed for good; readers
        see them milliseconds later (`LogLayout.settled_ends` waits for it).

        Raises `BadRecord(OVERSIZED)` before anything is written; `WriteFailed`: none of them is visible; `Fenced`: another
        writer took over, this one must stop; `CommitUnknown`: see there.
        """
        if self._spent is not None:
            raise WriteFailed(f"the writer {self.transactional_id!r} is spent ({self._spent}); open a new one")
        if not records:
            return
        messages = [(self._kafka.topic(r.TOPIC), topic(r.TOPIC).codec.encode(r), key_of(r)) for r in records]
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(0.05, max=2.0),
            retry=retry_if_exception_type(_Aborted),
        )
        try:
            retrying(self._attempt, messages)
        except RetryError as error:
            last = error.last_attempt.exception()
            raise self._end(
                WriteFailed(f"{len(records)} records not written after {_ATTEMPTS} attempts: {last}")
            ) from None
        for record in records:
            metrics.RECORDS_WRITTEN.labels(record.TOPIC).inc()

    def _attempt(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        started = time.perf_counter()
        self._failure = None
        try:
            self._producer.begin_transaction()
            for name, value, key in messages:
                self._produce(name, value, key)
        except KafkaException as exception:
            raise self._rolled_back(exception.args[0]) from None
        self._commit()
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - started)

    def _produce(self, name: str, value: bytes, key: bytes) -> None:
        while True:
            try:
                return self._producer.produce(name, value, key, on_delivery=self._report)
            except BufferError:
                self._producer.poll(_QUEUE_FULL_WAIT_S)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = error

    def _commit(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._producer.commit_transaction(max(0.1, deadline - time.monotonic()))
            except KafkaException as exception:
                error = exception.args[0]
                # The client goes on with a commit that timed out; asking again gives the answer to the same one.
                if error.retriable() and time.monotonic() < deadline:
                    time.sleep(_ASK_AGAIN_S)
                elif error.txn_requires_abort():
                    raise self._rolled_back(error) from None
                else:
                    self._raise_if_fenced(error)
                    raise self._end(
                        CommitUnknown(
                            f"commit of {self.transactional_id!r} without an answer (for at most {self._timeout_s:g} s): {describe(error)}. "
                            "The records may be there or not: open a new writer, read the tail, write what is not there"
                        )
                    ) from None

    def _rolled_back(self, error: KafkaError) -> Exception:
        """Roll the transaction back; what to raise: `_Aborted` where a new attempt makes sense."""
        # The first delivery failure says more than the commit that it made impossible.
        cause = self._failure or error
        self._raise_if_fenced(error)
        self._raise_if_fenced(cause)
        why = describe(cause)
        if error.fatal():
            return self._end(
                WriteFailed(f"transaction of {self.transactional_id!r}: {why}; nothing of it was committed")
            )
        self._abort(why)
        metrics.TRANSACTIONS_ABORTED.inc()
        if not error.txn_requires_abort() or cause.code() in _HOPELESS:
            return self._end(WriteFailed(f"transaction of {self.transactional_id!r}: {why}; nothing of it is visible"))
        return _Aborted(why)

    def _abort(self, why: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._producer.abort_transaction(max(0.1, deadline - time.monotonic()))
            except KafkaException as exception:
                error = exception.args[0]
                self._raise_if_fenced(error)
                if not error.retriable() or time.monotonic() >= deadline:
                    # Never committed, so never visible: the cluster rolls it back when its timeout is over.
                    message = (
                        f"transaction of {self.transactional_id!r}: {why}; its abort failed too: {describe(error)}"
                    )
                    raise self._end(WriteFailed(message)) from None

    def _raise_if_fenced(self, error: KafkaError) -> None:
        if error.code() in _FENCED:
            raise self._end(
                Fenced(
                    f"another writer has taken over {self.transactional_id!r}: {describe(error)}. This one stops; "
                    "whether its last transaction is visible, the log says. Only one sequencer per chain may run"
                )
            )

    def _end(self, error: KafkaLayerError) -> KafkaLayerError:
        self._spent = type(error).__name__
        return error

    def close(self) -> None:
        """Let go of the client. What was committed stays; nothing else is there."""
        self._spent = self._spent or "closed"
        # A producer that was fenced says so again to every call; whoever closes has heard it.
        with contextlib.suppress(KafkaException):
            self._producer.purge()
            self._producer.flush(0)

    def __enter__(self) -> TransactionalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
