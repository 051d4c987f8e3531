"""Where the contracts of concentrated liquidity keep a pool, and reading all of its ticks from there."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from operators.pools.v3_math.tick_math import MAX_TICK
from operators.simulation.hashes import keccak
from schemas.reads import Reading, Slot

_WORD = 1 << 256


class Layout(NamedTuple):
    """Where a contract keeps a pool, as slot numbers: `fixed` are read by every swap; both mappings; how many slots a tick takes."""

    fixed: tuple[int, ...]
    ticks: int
    bitmap: int
    tick_slots: int

    def words(self, lowest: int, highest: int) -> list[int]:
        """The slots of these words of the bitmap."""
        return [mapped(word, self.bitmap) for word in range(lowest, highest + 1)]

    def tick(self, tick: int) -> range:
        """The slots of a tick: the first holds its gross liquidity in the low half, the net in the high one."""
        start = mapped(tick, self.ticks)
        return range(start, start + self.tick_slots)


def slot_key(number: int) -> bytes:
    """A slot as the chain names it."""
    return (number % _WORD).to_bytes(32, "big")


def mapped(key: int, slot: int) -> int:
    """The slot of an integer key in a Solidity mapping."""
    return int.from_bytes(keccak((key % _WORD).to_bytes(32, "big") + slot_key(slot)), "big")


def signed(value: int, bits: int) -> int:
    """The low bits of a word as a signed integer."""
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def read_ticks(holder: bytes, layout: Layout, tick_spacing: int) -> Reading[list[tuple[int, int, int]]]:
    """(tick, net, gross) of every initialised tick: all words of the bitmap, then the ticks of the bits that are set.

    From storage rather than by the contract's views: a spacing of 1 has 6,932 words, and slots of one contract come by the thousand a request.
    """
    last = MAX_TICK // tick_spacing
    lowest = -last >> 8
    answers = yield tuple(Slot(holder, key) for key in _word_keys(layout, lowest, last >> 8))
    ticks = []
    for word, answer in enumerate(answers, lowest):
        bits = int.from_bytes(answer or b"", "big")
        while bits:
            ticks.append((word * 256 + (bits & -bits).bit_length() - 1) * tick_spacing)
            bits &= bits - 1
    if not ticks:
        return []
    answers = yield tuple(Slot(holder, slot_key(layout.tick(tick)[0])) for tick in ticks)
    held = (int.from_bytes(answer or b"", "big") for answer in answers)
    return [
        (tick, signed(packed >> 128, 128), packed & (1 << 128) - 1) for tick, packed in zip(ticks, held, strict=True)
    ]


# The same for all pools of one contract layout and spacing, and a spacing of 1 has thousands; few, because each pool of V4 is a layout.
@lru_cache(maxsize=16)
def _word_keys(layout: Layout, lowest: int, highest: int) -> tuple[bytes, ...]:
    return tuple(map(slot_key, layout.words(lowest, highest)))
