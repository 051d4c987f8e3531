"""The settings of the local one-node broker."""

from __future__ import annotations

from pathlib import Path

HOST = "127.0.0.1"

# What the broker lets through at most. Topics set their own, smaller limit; a block's witness can be large.
MESSAGE_MAX_BYTES = 32 * 1024 * 1024


def server_properties(data: Path, broker_port: int, controller_port: int) -> dict[str, str]:
    """One node that is broker and controller at once, made for quick starts and small memory."""
    one_copy = {
        # Internal topics want three brokers unless told; there is one.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "share.coordinator.state.topic.min.isr": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
    }
    small = {
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
        # After a crash the controller takes the same broker back only when its old session is over: 9 s unless told.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # A group of one consumer has nobody to wait for.
        "group.initial.rebalance.delay.ms": "0",
    }
    limits = {
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
        # The log is the truth: a topic's retention is decided in the topic table, never by a broker's default.
        "log.retention.ms": "-1",
        # Topics come from the topic table; a misspelt name must be an error, not a new topic.
        "auto.create.topics.enable": "false",
    }
    node = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{broker_port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{broker_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
    }
    return {**node, **one_copy, **small, **limits}


def as_file(properties: dict[str, str]) -> str:
    """Java's properties format. A backslash would start an escape there, so it is doubled."""
    return "".join(f"{key}={value.replace(chr(92), chr(92) * 2)}\n" for key, value in properties.items())
