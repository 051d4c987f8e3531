"""Amplification that an owner moves linearly over time: the same in every Curve pool and in Balancer's stable pools."""

from __future__ import annotations

from typing import NamedTuple


class Ramp(NamedTuple):
    """From `initial` at `start` to `future` at `end` (seconds since the epoch), in the contract's own unit."""

    initial: int
    future: int
    start: int
    end: int

    def at(self, timestamp: int) -> int:
        """The value in a block of this time; steps round towards `initial`."""
        if timestamp >= self.end or self.initial == self.future:
            return self.future
        passed, length = max(timestamp - self.start, 0), self.end - self.start
        if self.future > self.initial:
            return self.initial + (self.future - self.initial) * passed // length
        return self.initial - (self.initial - self.future) * passed // length

    def is_one(self, least: int = 1) -> bool:
        """Whether contracts could hold it: at least `least` at both ends, forward in time where it moves, and 64 bits in all."""
        forward = self.initial == self.future or self.start < self.end
        return min(self.initial, self.future) >= least and min(self) >= 0 and max(self) < 1 << 64 and forward

    def moves_at(self, timestamp: int) -> bool:
        """Whether a later block could see another value than this one."""
        return timestamp < self.end and self.initial != self.future


def fixed(value: int) -> Ramp:
    """An amplification that does not move."""
    return Ramp(value, value, 0, 0)
