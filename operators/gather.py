"""Gathering by `seq`: an event goes on when its context and the answers of all shards with a part in it are there.

Such a shard answers the event with exactly one message, and messages of one shard keep their order, as contexts do. An event in which
few shards have a part may be complete before an earlier one: it waits, so that events go on in the order of `seq` whatever the threads,
processes and batches did in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

C = TypeVar("C")
A = TypeVar("A")


class GatherError(Exception):
    """A shard answered twice or without being asked, or an event is missing: state can no longer be trusted."""


@dataclass
class _Open(Generic[C, A]):
    context: C | None = None
    expected: int = 0
    answers: dict[int, A] = field(default_factory=dict)


class Gather(Generic[C, A]):
    """Collects one context and its answers per seq; yields complete events strictly in order.

    `last_seq` is that of the last event which was complete; None where there was none: the first context says where it begins.
    """

    def __init__(self, shards: int, last_seq: int | None = None) -> None:
        self.shards = shards
        self.last_seq = last_seq
        self._newest = last_seq
        self._open: dict[int, _Open[C, A]] = {}

    def context(self, seq: int, context: C, expected: int | None = None) -> list[tuple[C, list[A]]]:
        """Take an event's context, with how many shards will answer it (all by default); the events that this completes."""
        entry = self._open.setdefault(seq, _Open())
        if entry.context is not None:
            raise GatherError(f"event {seq} arrived twice")
        if self._newest is None:
            self.last_seq = seq - 1
        elif seq != self._newest + 1:
            raise GatherError(f"event {seq} came after event {self._newest}")
        self._newest = seq
        entry.context, entry.expected = context, self.shards if expected is None else expected
        return self._complete()

    def answer(self, seq: int, shard: int, answer: A) -> list[tuple[C, list[A]]]:
        """Take a shard's answer; the events that this completes."""
        if self.last_seq is not None and seq <= self.last_seq:
            raise GatherError(f"shard {shard} answered event {seq} after it was complete")
        entry = self._open.setdefault(seq, _Open())
        if shard in entry.answers:
            raise GatherError(f"shard {shard} answered event {seq} twice")
        entry.answers[shard] = answer
        return self._complete()

    def idle(self) -> bool:
        """Whether nothing is half gathered, as must be when an epoch closes."""
        return not self._open

    def _complete(self) -> list[tuple[C, list[A]]]:
        done: list[tuple[C, list[A]]] = []
        while self.last_seq is not None:
            entry = self._open.get(self.last_seq + 1)
            if entry is None or entry.context is None or len(entry.answers) < entry.expected:
                break
            self.last_seq += 1
            del self._open[self.last_seq]
            done.append((entry.context, [entry.answers[shard] for shard in sorted(entry.answers)]))
        return done
