"""What can go wrong between us and the cluster. Every message names the place and the way out."""

from __future__ import annotations

from confluent_kafka import KafkaError

#: What goes by itself while brokers come, go or change places: the client reconnects, and asked again the cluster answers.
PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)


class KafkaLayerError(Exception):
    """The base of all errors of the connector layer."""


class TopicMissing(KafkaLayerError):
    """A topic of the table is not on the cluster."""


class TopicsDiffer(KafkaLayerError):
    """Topics of the cluster are not laid out as the topic table says."""


class OffsetLost(KafkaLayerError):
    """A saved or wanted position is outside what the cluster holds: retention took it, or it is another cluster's."""


class StateMismatch(KafkaLayerError):
    """A saved position does not fit the topics it is resumed on."""


class ReadFailed(KafkaLayerError):
    """The cluster refused to serve a topic."""


class NotNow(ReadFailed):
    """The cluster cannot serve a topic at present; asked again it may."""


class MissingSequence(KafkaLayerError):
    """A sequence number is in none of the topics although all of them were read past the place where it should be."""


class ConflictingParts(KafkaLayerError):
    """Two different records claim to be the same part of the same event."""


class WriteFailed(KafkaLayerError):
    """Records were not written: the cluster, or the client after its deadline, said no. Nothing of a transaction is visible."""


class CommitUnknown(KafkaLayerError):
    """A transaction's fate is unknown: the cluster did not answer its commit in time.

    Its records may be there or not. Writing them again now could double them. The way out: open a new writer with the
    same transactional id (which makes the cluster settle the old transaction one way or the other), read the tail of
    the log, and write what is not there.
    """


class Fenced(KafkaLayerError):
    """Another writer with the same transactional id has taken over; this one must stop."""


def describe(error: KafkaError) -> str:
    """One line about an error of the client library."""
    return f"{error.str()} ({error.name()}, {error.code()})"
