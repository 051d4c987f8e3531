"""The signed transactions that were pending lately: an opportunity names what it follows by hash, a judge needs the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

#: Transactions kept, the oldest go first. A sender's earlier transactions wait as long as the search keeps them pending; 4,096 of the usual
#: 200 to 600 bytes come to a megabyte or two of snapshot.
CAPACITY = 4096


class RecentTargets:
    """Bytes by hash, of the last `capacity` transactions."""

    def __init__(self, capacity: int = CAPACITY, state: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._capacity = capacity
        self._raw: dict[bytes, bytes] = dict(state)

    def put(self, tx_hash: bytes, raw: bytes) -> None:
        """Keep a transaction; one that is announced again counts as new."""
        self._raw.pop(tx_hash, None)
        self._raw[tx_hash] = raw
        while len(self._raw) > self._capacity:
            del self._raw[next(iter(self._raw))]

    def all_of(self, hashes: Sequence[bytes]) -> tuple[bytes, ...] | None:
        """The bytes of all of them in order; None if one is not known any more."""
        found = [self._raw[h] for h in hashes if h in self._raw]
        return tuple(found) if len(found) == len(hashes) else None

    def snapshot(self) -> tuple[Any, ...]:
        """Plain data, oldest first."""
        return tuple(self._raw.items())
