"""Pools whose reading contradicted itself: a node may answer so once, in the middle of a new head, and another block tells."""

from __future__ import annotations

#: Readings at later blocks that are given to a pool before its contradiction is taken for the pool's own.
TRIES = 3


class Doubts:
    """Which pools are to be read again, and from which block on."""

    def __init__(self) -> None:
        # Readings that contradicted themselves so far, and the first block at which the next is worth while.
        self._pools: dict[bytes, tuple[int, int]] = {}

    def due(self, address: bytes, number: int) -> bool:
        """Whether a pool may be read at this block: at once, or at a later one than it was doubted at."""
        return number >= self._pools.get(address, (0, 0))[1]

    def doubt(self, address: bytes, number: int) -> None:
        """A reading at this block contradicted itself. It is the pool's own contradiction where all others did as well."""
        seen = self._pools.pop(address, (0, 0))[0] + 1
        if seen <= TRIES:
            self._pools[address] = (seen, number + 1)

    def __contains__(self, address: bytes) -> bool:
        """Whether the pool is to be read again before its contradiction is believed."""
        return address in self._pools

    def sound(self, address: bytes) -> None:
        """The pool was read without a contradiction."""
        self._pools.pop(address, None)

    def reverted(self, number: int) -> None:
        """This block and what is above it were taken off: whoever was read there may be read at what comes in its place."""
        self._pools = {address: (seen, min(first, number)) for address, (seen, first) in self._pools.items()}
