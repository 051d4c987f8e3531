"""Gathering by `seq`: an event goes on when its context and the answers of all shards are there.

Every shard answers every event with exactly one message, and messages of one shard keep their order, so events complete in the
order of `seq` whatever the threads, processes and batches did in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

C = TypeVar("C")
A = TypeVar("A")


class GatherError(Exception):
    """A shard answered twice, or events completed out of order: state can no longer be trusted."""


@dataclass
class _Open(Generic[C, A]):
    context: C | None = None
    answers: dict[int, A] = field(default_factory=dict)


class Gather(Generic[C, A]):
    """Collects one context and `shards` answers per seq; yields complete events strictly in order."""

    def __init__(self, shards: int, last_seq: int | None = None) -> None:
        self.shards = shards
        self.last_seq = last_seq
        self._open: dict[int, _Open[C, A]] = {}

    def context(self, seq: int, context: C) -> tuple[C, list[A]] | None:
        """Take an event's context; the complete event if this was the last piece."""
        entry = self._open.setdefault(seq, _Open())
        if entry.context is not None:
            raise GatherError(f"event {seq} arrived twice")
        entry.context = context
        return self._complete(seq, entry)

    def answer(self, seq: int, shard: int, answer: A) -> tuple[C, list[A]] | None:
        """Take a shard's answer; the complete event if this was the last piece."""
        entry = self._open.setdefault(seq, _Open())
        if shard in entry.answers:
            raise GatherError(f"shard {shard} answered event {seq} twice")
        entry.answers[shard] = answer
        return self._complete(seq, entry)

    def idle(self) -> bool:
        """Whether nothing is half gathered, as must be when an epoch closes."""
        return not self._open

    def _complete(self, seq: int, entry: _Open[C, A]) -> tuple[C, list[A]] | None:
        if entry.context is None or len(entry.answers) < self.shards:
            return None
        if self.last_seq is not None and seq != self.last_seq + 1:
            raise GatherError(f"event {seq} completed after event {self.last_seq}")
        del self._open[seq]
        self.last_seq = seq
        return entry.context, [entry.answers[shard] for shard in sorted(entry.answers)]
