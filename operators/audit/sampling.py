"""Which opportunities are audited: decided by their ids alone, so that every run over the same log takes the same ones."""

from __future__ import annotations

_WORD = 1 << 64


def threshold(rate: float) -> int:
    """The part of the 64-bit numbers that a rate in [0, 1] takes."""
    return round(rate * _WORD)


def sampled(opportunity_id: bytes, below: int) -> bool:
    """Whether an opportunity is in the sample that `below = threshold(rate)` describes.

    Ids are content hashes, so their first 64 bits are as good as drawn; the sample of a higher rate holds that of a lower one.
    """
    return int.from_bytes(opportunity_id[:8], "big") < below
