"""How many logs, and which, the log has of a pool: what a list of the chain's logs is held to."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from schemas.logs import Log

_MODULUS = 1 << 256


class Tally(NamedTuple):
    """A number of logs and the sum of their hashes modulo 2**256, so that an earlier tally can be taken off a later one.

    The hash is of what a log says, not of where it stands: one that arrived with the wrong block is still the same log.
    """

    logs: int = 0
    total: int = 0

    def plus(self, log: Log) -> Tally:
        """With one more log."""
        return Tally(self.logs + 1, (self.total + _digest(log)) % _MODULUS)

    def since(self, earlier: Tally) -> Tally:
        """What was added after an earlier tally."""
        return Tally(self.logs - earlier.logs, (self.total - earlier.total) % _MODULUS)


def tally_of(logs: Iterable[Log]) -> Tally:
    """The tally of a list."""
    tally = Tally()
    for log in logs:
        tally = tally.plus(log)
    return tally


def _digest(log: Log) -> int:
    parts = (log.address, *log.topics, log.data)
    return int.from_bytes(blake2b(b"".join(parts), digest_size=32, salt=bytes([len(log.topics)])).digest(), "big")


class Compared(StrEnum):
    """Our logs of a pool against the chain's over the same blocks."""

    EQUAL = "equal"
    #: The chain has logs that we lack.
    MISSING = "missing"
    #: We have logs that the chain lacks.
    EXTRA = "extra"
    #: The node does not tell.
    UNKNOWN = "unknown"


def compare(ours: Tally, chain: Tally | None) -> Compared:
    """How two tallies differ; None is a node that does not tell."""
    if chain is None:
        return Compared.UNKNOWN
    if ours == chain:
        return Compared.EQUAL
    # As many, but others: one of each is missing, which is the graver.
    return Compared.MISSING if chain.logs >= ours.logs else Compared.EXTRA
