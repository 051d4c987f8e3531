"""Places in the log."""

from __future__ import annotations

from typing import NamedTuple


class Partition(NamedTuple):
    """One partition of one topic; `topic` is the table's name, without the deployment's prefix."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class Position(NamedTuple):
    """One record's place."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"
