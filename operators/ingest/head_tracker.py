"""Which blocks come off and which go on when the node names a new head. Pure: it asks for headers, somebody else fetches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Link(NamedTuple):
    """What linkage needs of a block."""

    number: int
    hash: bytes
    parent: bytes


@dataclass(frozen=True)
class Advance:
    """Take `revert` off, newest first, then put `apply` on, oldest first. Both may be empty but not both."""

    revert: tuple[Link, ...]
    apply: tuple[Link, ...]


@dataclass(frozen=True)
class NeedHeaders:
    """Linkage cannot be told yet: fetch the canonical headers `first`..`last` and ask again with them in front."""

    first: int
    last: int


@dataclass(frozen=True)
class Stale:
    """The head is already part of the chain, or below all of it (a node that still catches up): nothing to do."""


@dataclass(frozen=True)
class TooDeep:
    """The new head's branch leaves the known chain below the oldest block that may be reverted (`floor`, the lowest number that
    must stay)."""

    floor: int
    tip: int


@dataclass(frozen=True)
class Broken:
    """The headers given do not link among themselves: they were read while the chain changed. Read them again."""

    number: int


Plan = Advance | NeedHeaders | Stale | TooDeep | Broken

#: Headers fetched at once below a branch that does not link; reorgs are mostly short.
LOOK_BACK = 8


class HeadTracker:
    """The newest blocks of the log's chain. Immutable: `extended` and `reverted` give new ones."""

    def __init__(self, known: Sequence[Link], depth: int) -> None:
        """`known` is oldest first, linked and not empty; up to `depth` blocks may ever be reverted, so `depth + 1` are kept."""
        if not known:
            raise ValueError("a chain needs at least one block")
        for older, newer in pairwise(known):
            if newer.parent != older.hash or newer.number != older.number + 1:
                raise ValueError(f"block {newer.number} does not follow block {older.number}")
        self._depth = depth
        self._chain = tuple(known[-depth - 1 :])

    @property
    def tip(self) -> Link:
        """The head."""
        return self._chain[-1]

    @property
    def chain(self) -> tuple[Link, ...]:
        """All blocks kept, oldest first."""
        return self._chain

    def at(self, number: int) -> Link | None:
        """The block of a height, None outside what is kept."""
        index = number - self._chain[0].number
        return self._chain[index] if 0 <= index < len(self._chain) else None

    def extended(self, link: Link) -> HeadTracker:
        """With one more block. Raises `ValueError` if it does not follow the head."""
        return HeadTracker((*self._chain, link), self._depth)

    def reverted(self) -> HeadTracker:
        """Without the head. Raises `ValueError` if it is the only block known."""
        return HeadTracker(self._chain[:-1], self._depth)

    def above(self, link: Link) -> tuple[Link, ...]:
        """The blocks above one of the chain, newest first: what has to go when the chain ends there. Empty for a block not held."""
        if not self._holds(link):
            return ()
        return tuple(reversed(self._chain[link.number - self._chain[0].number + 1 :]))

    def plan(self, branch: Sequence[Link]) -> Plan:
        """What to do about a new head. `branch` ends with it, oldest first, and is as long as is known so far."""
        for older, newer in pairwise(branch):
            if newer.parent != older.hash or newer.number != older.number + 1:
                return Broken(newer.number)
        if self._holds(branch[-1]) or branch[-1].number < self._chain[0].number:
            return Stale()
        # What the branch shares with the chain is skipped: fetched headers may overlap it.
        shared = next((i for i in reversed(range(len(branch))) if self._holds(branch[i])), None)
        fresh = tuple(branch if shared is None else branch[shared + 1 :])
        fork = self._fork_below(fresh[0])
        if fork is not None:
            return Advance(tuple(reversed(self._chain[fork + 1 :])), fresh)
        return self._look_below(fresh[0])

    def _holds(self, link: Link) -> bool:
        known = self.at(link.number)
        return known is not None and known.hash == link.hash

    def _fork_below(self, link: Link) -> int | None:
        """The index of the block this one builds on."""
        known = self.at(link.number - 1)
        if known is None or known.hash != link.parent:
            return None
        return link.number - 1 - self._chain[0].number

    def _look_below(self, link: Link) -> Plan:
        floor, tip = self._chain[0].number, self.tip.number
        if link.number > tip + 1:
            return NeedHeaders(tip + 1, link.number - 1)
        if link.number - 1 <= floor:
            return TooDeep(floor, tip)
        return NeedHeaders(max(floor, link.number - LOOK_BACK), link.number - 1)
