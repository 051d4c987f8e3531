"""The topic table: the one place that says which topics exist, how they are keyed, kept and laid out.

`sluice topics` creates them from here, checks a cluster against it, and prints it as documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas import (
    audits,
    blocks,
    control,
    dead_letter,
    decisions,
    findings,
    hints,
    logs,
    opportunities,
    pending,
    pools,
    receipts,
    settlements,
    submissions,
    tokens,
    witness,
)
from schemas.codec import Codec
from schemas.record import Record, Sequenced

MIB = 1 << 20
DAY_MS = 24 * 60 * 60 * 1000
FOREVER = -1


class Cleanup(StrEnum):
    """Kafka's cleanup policies, as far as we use them."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True)
class Topic:
    """One row: `name` without the deployment's prefix, `retention_ms` (-1: for ever), `key` in words, `golden` a sample."""

    name: str
    record: type[Record]
    golden: Record
    partitions: int
    cleanup: Cleanup
    retention_ms: int
    max_bytes: int
    key: str
    purpose: str

    @property
    def version(self) -> int:
        """The wire version of its records."""
        return self.record.VERSION

    @property
    def sequenced(self) -> bool:
        """Whether the sequencer stamps its records."""
        return issubclass(self.record, Sequenced)

    @property
    def codec(self) -> Codec[Any]:
        """Encoder and decoder of its records."""
        return _codecs[self.name]

    def kafka_config(self) -> dict[str, str]:
        """Topic-level broker settings. The broker's limit leaves room for key, headers and batch framing, so that an
        oversized value is refused by our own codec with a reason, not by a broker with a code."""
        return {
            "cleanup.policy": self.cleanup.value,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_bytes + MIB),
        }


def _row(
    module: Any, partitions: int, cleanup: Cleanup, retention_ms: int, max_bytes: int, key: str, purpose: str,
    golden: Record | None = None,
) -> Topic:  # fmt: skip
    sample = golden or module.GOLDEN
    record = type(sample)
    return Topic(record.TOPIC, record, sample, partitions, cleanup, retention_ms, max_bytes, key, purpose)


# Sequenced topics are kept for ever by default: they are the truth that a replay and a new flow start from.
TOPICS: tuple[Topic, ...] = (
    _row(blocks, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "chain id", "headers applied and reverted"),
    _row(logs, 1, Cleanup.DELETE, FOREVER, 8 * MIB, "chain id", "pool and factory logs of a block"),
    _row(receipts, 1, Cleanup.DELETE, FOREVER, 8 * MIB, "chain id", "receipts of a block; full facts of our transactions"),
    _row(pending, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "chain id", "transactions before they are mined"),
    _row(hints, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "chain id", "what private order flow tells of its transactions"),
    _row(pools, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "chain id", "pools admitted, refused and suspended"),
    _row(witness, 1, Cleanup.DELETE, FOREVER, 16 * MIB, "chain id", "state that simulations read"),
    _row(control, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "chain id", "commands and feedback, sequenced"),
    _row(control, 1, Cleanup.DELETE, 7 * DAY_MS, 1 * MIB, "chain id", "commands asked for, not yet sequenced",
         golden=control.GOLDEN_COMMAND),
    _row(opportunities, 4, Cleanup.DELETE, 30 * DAY_MS, 1 * MIB, "opportunity id", "routes found and their verdicts"),
    _row(decisions, 4, Cleanup.DELETE, FOREVER, 1 * MIB, "decision id", "one decision per event"),
    _row(submissions, 4, Cleanup.DELETE, FOREVER, 1 * MIB, "decision id", "bundles given to relays, with answers"),
    _row(settlements, 4, Cleanup.COMPACT, FOREVER, 1 * MIB, "decision id", "the end of every decision"),
    _row(audits, 4, Cleanup.DELETE, 30 * DAY_MS, 1 * MIB, "opportunity id", "what a node makes of a sample of opportunities"),
    _row(tokens, 1, Cleanup.COMPACT, FOREVER, 1 * MIB, "chain id/token", "what each token does when it is moved, with the evidence"),
    _row(findings, 1, Cleanup.DELETE, FOREVER, 1 * MIB, "pool", "pools whose state was not the chain's"),
    _row(dead_letter, 1, Cleanup.DELETE, 90 * DAY_MS, 24 * MIB, "topic/partition/offset", "records that could not be read"),
)  # fmt: skip

_codecs: dict[str, Codec[Any]] = {t.name: Codec(t.record, t.max_bytes) for t in TOPICS}
BY_NAME: dict[str, Topic] = {t.name: t for t in TOPICS}
SEQUENCED: tuple[Topic, ...] = tuple(t for t in TOPICS if t.sequenced)


def topic(name: str) -> Topic:
    """The row of a topic. Raises `KeyError` naming the known ones."""
    try:
        return BY_NAME[name]
    except KeyError:
        raise KeyError(f"unknown topic {name!r}; known: {', '.join(BY_NAME)}") from None
