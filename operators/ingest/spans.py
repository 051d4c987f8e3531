"""Which range of blocks to ask for next: providers bound ranges, results and time, each in words of its own."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Blocks of the first range, and how many ranges must go well after a refusal before a longer one is tried.
START = 2_000
_CALM = 4

#: "this block range should work: [0x1, 0x2]", as several providers say it.
_SUGGESTED = re.compile(r"\[\s*(0x[0-9a-f]+)\s*,\s*(0x[0-9a-f]+)\s*\]", re.I)
#: "max block range: 5000", "limited to a 10,000 range", "up to a 2K block range"; not "10000 results".
_ABOUT_BLOCKS = re.compile(r"block|range|distance", re.I)
_NUMBER = re.compile(r"(?<![\w.])(\d[\d,_]*)(k)?\b(?!\s*(?:results|logs))", re.I)
#: Below this a number in a message is hardly a limit.
_LEAST_BOUND = 10


class Span(NamedTuple):
    """Blocks `first` to `last`, both of them."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many blocks."""
        return self.last - self.first + 1


class Spans:
    """A range of blocks taken in parts whose length follows what the node says to them."""

    def __init__(self, first: int, last: int, size: int = START) -> None:
        """Nothing is to be done where `last` is below `first`."""
        self.first, self.last = first, last
        self._next = first
        self._size = size
        self._most: int | None = None
        self._refused = False
        self._calm = 0

    @property
    def next(self) -> Span | None:
        """What to ask for now; None when all is taken."""
        if self._next > self.last:
            return None
        return Span(self._next, min(self.last, self._next + self._size - 1))

    def taken(self, span: Span) -> None:
        """The node answered."""
        self._next = span.last + 1
        self._calm += 1
        if not self._refused:
            self._size *= 2
        elif self._calm >= _CALM:
            self._size += self._size // 2 or 1
            self._calm = 0
        if self._most is not None:
            self._size = min(self._size, self._most)

    def refused(self, span: Span, said: str) -> bool:
        """The node refused; the next span is shorter. False when it is not: a single block was too much already."""
        if span.length == 1:
            return False
        self._refused, self._calm = True, 0
        suggested = suggested_in(said, span)
        bound = bound_in(said, span)
        if suggested is not None:
            self._size = suggested
        elif bound is not None:
            self._most = self._size = bound
        else:
            self._size = span.length // 2
        return True


def suggested_in(said: str, span: Span) -> int | None:
    """How many blocks from the span's first on a node's message says would work."""
    found = _SUGGESTED.search(said)
    if found is None:
        return None
    first, last = (int(text, 16) for text in found.groups())
    return last - first + 1 if first == span.first and first <= last < span.last else None


def bound_in(said: str, span: Span) -> int | None:
    """The longest range that a node's message says it takes, in blocks: the largest number in it that the span exceeds. A number of
    something else only makes the ranges shorter than they need be."""
    if not _ABOUT_BLOCKS.search(said):
        return None
    told = (int(re.sub(r"\D", "", n)) * (1000 if k else 1) for n, k in _NUMBER.findall(_SUGGESTED.sub("", said)))
    return max((number for number in told if _LEAST_BOUND <= number < span.length), default=None)
