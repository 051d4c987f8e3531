"""Carries out a family's readings without a node: from a table of answers, or from anything that answers one read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from schemas.reads import Read, Reading, Slot

T = TypeVar("T")

#: What a chain answers to one read: None where a call failed.
Answer = Callable[[Read], bytes | None]


def carry_out(reading: Reading[T], answer: Answer) -> T:
    """The reading's result. What the reading raises goes through."""
    try:
        reads = next(reading)
        while True:
            reads = reading.send(tuple(answer(read) for read in reads))
    except StopIteration as end:
        result: T = end.value
        return result


def table(answers: Mapping[Read, bytes | None]) -> Answer:
    """Answers from a table; what is not in it is an account that is not there: calls fail, slots are zero, code is empty."""

    def answer(read: Read) -> bytes | None:
        if read in answers:
            return answers[read]
        return None if hasattr(read, "data") else bytes(32) if isinstance(read, Slot) else b""

    return answer
