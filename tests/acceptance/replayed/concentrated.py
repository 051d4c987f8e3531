"""Pools of concentrated liquidity in a recorded state, which holds the words of the bitmap and the ticks that the blocks looked at.

What lies beyond is unknown, not empty. For the search, a pool therefore ends where the record does: a tick there takes away what liquidity is
left, so nothing is quoted over what is unknown; up to there quotes are the contract's, which stops at the ends of words too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from operators.pools.concentrated_storage import Layout, mapped, signed, slot_key
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.v3_math.tick_math import MAX_TICK
from operators.pools.v3_math.ticks import Ticks
from schemas.reads import Reading, View

_WORD_TICKS = 256
_UINT128 = (1 << 128) - 1
#: token0(), token1(), fee(), tickSpacing(), liquidity(), slot0(), with how many words each answers.
_FACTS = (("0dfe1681", 1), ("d21220a7", 1), ("ddca3f43", 1), ("d0c93a7c", 1), ("1a686502", 1), ("3850c7bd", 7))
OUT_OF_RECORD = "out_of_record"


class Recorded(NamedTuple):
    """A pool with the ticks that are known, and how far they are: from `lowest` to `highest` all but `unknown` (ascending)."""

    pool: V3Pool
    lowest: int
    highest: int
    unknown: tuple[int, ...]


def facts_of(address: bytes) -> Reading[tuple[bytes | None, ...]]:
    """What a pool says of itself; None for an answer of another shape."""
    answers = yield tuple(View(address, bytes.fromhex(selector)) for selector, _ in _FACTS)
    return tuple(
        answer if answer is not None and len(answer) == 32 * words else None
        for answer, (_, words) in zip(answers, _FACTS, strict=True)
    )


def recorded_pool(
    family: type[V3Pool],
    address: bytes,
    facts: Iterable[bytes | None],
    slots: Mapping[bytes, bytes],
    named: Iterable[int] = (),
) -> Recorded | None:
    """A pool from its facts and the recorded slots of its contract, None where it is no pool of the family. `named`: ticks that its logs name.

    Raises `BadState` for a state that none of the family can have.
    """
    if None in (told := tuple(facts)):
        return None
    token0, token1, fee, spacing, liquidity, slot0 = (answer or b"" for answer in told)
    price, tick, observation, _, observations, protocol_fee, _ = (
        int.from_bytes(slot0[at : at + 32], "big", signed=True) for at in range(0, 224, 32)
    )
    tick_spacing = int.from_bytes(spacing, "big", signed=True)
    if not price or not 0 < tick_spacing < 1 << 15:
        return None
    bare = family.from_parts(
        address=address, token0=token0[12:], token1=token1[12:], fee_pips=int.from_bytes(fee, "big"),
        tick_spacing=tick_spacing, sqrt_price=price, tick=tick, liquidity=int.from_bytes(liquidity, "big"),
        protocol_fee=protocol_fee, observation=observation, observations=max(observations, 1),
    )  # fmt: skip
    stored = int.from_bytes(slots.get(slot_key(0), b""), "big")
    if (stored & (1 << 160) - 1, signed(stored >> 160, 24)) != (price, tick):
        return None  # its storage is laid out otherwise, so its ticks are not where they are looked for
    reader = _Storage(bare.layout(), tick_spacing, slots)
    words = reader.words_around(tick)
    found = {at for word in words for at in reader.initialised(word)}
    held = {at: entry for at in found.union(named) if (entry := reader.tick(at)) is not None}
    ticks = [(at, net, gross) for at, (net, gross) in held.items() if gross]
    last = MAX_TICK // tick_spacing * tick_spacing
    lowest = max(words.start * _WORD_TICKS * tick_spacing, -last)
    highest = min((words.stop * _WORD_TICKS - 1) * tick_spacing, last)
    return Recorded(
        msgspec.structs.replace(bare, ticks=Ticks.of(ticks)), lowest, highest, tuple(sorted(found - held.keys()))
    )


def bounded(recorded: Recorded, pool: V3Pool) -> V3Pool:
    """A state of a recorded pool with nothing beyond what is known around its price; refused where nothing is."""
    nothing = msgspec.structs.replace(pool, refusal=OUT_OF_RECORD, ticks=Ticks.of(()))
    place = bisect_right(recorded.unknown, pool.tick)
    low = max((recorded.lowest, *recorded.unknown[place - 1 : place]))
    high = min((recorded.highest, *recorded.unknown[place : place + 1]))
    if not low <= pool.tick < high:
        return nothing
    index = pool.ticks.index
    inside = [
        (index[position], pool.ticks.net(position))
        for position in range(pool.ticks.below(low) + 1, pool.ticks.below(high - 1) + 1)
    ]
    above_low = pool.liquidity - sum(net for tick, net in inside if tick <= pool.tick)
    below_high = above_low + sum(net for _, net in inside)
    closed = [(low, above_low), *inside, (high, -below_high)]
    if above_low < 0 or below_high < 0:
        return nothing
    # The sum of all positions at a tick is of no effect on quotes; it is only never below the net.
    ticks = Ticks.of((tick, net, max(1, abs(net))) for tick, net in closed if net or low < tick < high)
    return msgspec.structs.replace(pool, ticks=ticks)


class _Storage:
    """A pool's slots, as far as they were recorded."""

    def __init__(self, layout: Layout, spacing: int, slots: Mapping[bytes, bytes]) -> None:
        self._layout, self._spacing, self._slots = layout, spacing, slots

    def words_around(self, tick: int) -> range:
        """The words of the bitmap that are known without a gap around a tick; empty where the tick's own is not."""
        # Upwards the contract begins to look at the next multiple of the spacing.
        low = high = tick // self._spacing >> 8
        if self._word(low) is None:
            low = high = tick // self._spacing + 1 >> 8
        while self._word(low - 1) is not None:
            low -= 1
        while self._word(high) is not None:
            high += 1
        return range(low, high)

    def initialised(self, word: int) -> list[int]:
        """The ticks whose bits are set in a word."""
        bits, ticks = self._word(word) or 0, []
        while bits:
            ticks.append((word * _WORD_TICKS + (bits & -bits).bit_length() - 1) * self._spacing)
            bits &= bits - 1
        return ticks

    def tick(self, tick: int) -> tuple[int, int] | None:
        """(net, gross) of a tick, None where it was not recorded."""
        packed = self._slots.get(slot_key(self._layout.tick(tick)[0]))
        if packed is None:
            return None
        value = int.from_bytes(packed, "big")
        return signed(value >> 128, 128), value & _UINT128

    def _word(self, word: int) -> int | None:
        packed = self._slots.get(slot_key(mapped(word, self._layout.bitmap)))
        return None if packed is None else int.from_bytes(packed, "big")
