"""The initialised ticks of a pool: an immutable sorted map from tick to its liquidity.

A swap changes no tick, so all states between two liquidity events share one object. A liquidity event copies two flat blocks of memory
(36 bytes a tick), which for the few hundred ticks of a large pool costs less than walking a tree would. What the contract keeps in
bitmap words follows from it: a word is 256 neighbouring multiples of the tick spacing.

What is worked out from the ticks alone (their digest, the liquidity between them, what lies beyond each) is kept with them, and the same
ticks unpacked twice are one object as long as somebody holds it: between two liquidity events that work is done once.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from hashlib import blake2b
from itertools import accumulate, pairwise
from math import gcd
from operator import lt
from struct import Struct
from typing import NamedTuple
from weakref import WeakValueDictionary

from operators.pools.v3_math.tick_math import MAX_TICK, MIN_TICK

INT128_MAX = (1 << 127) - 1
UINT128_MAX = (1 << 128) - 1

_ENTRY = 32
#: Net and gross in halves: a snapshot of many pools is read back much faster so.
_ENTRIES = Struct(">qQQQ")


class TickLiquidity(NamedTuple):
    """What a tick holds: `net` is added to the pool's liquidity when the price crosses upwards and taken off downwards; `gross` is the
    sum of all positions that end or begin here."""

    net: int
    gross: int


class Beyond(NamedTuple):
    """For each tick: what a swap over all that lies beyond it takes in (fee included) and pays, without the stops at words' ends."""

    amounts_in: list[int]
    amounts_out: list[int]


class TickError(ValueError):
    """Liquidity that a tick cannot hold, or that was never there."""


class Ticks:
    """Initialised ticks, ascending. Never changed after it is made; equal where the ticks are."""

    __slots__ = ("__weakref__", "_digest", "_held", "_liquidity", "_packed", "beyond", "index")

    def __init__(self, index: array[int], held: bytes) -> None:
        """`index`: the ticks; `held`: 32 bytes each, net (int128) and gross (uint128), big-endian. Use `of` or `unpack`."""
        self.index = index
        self._held = held
        self._digest: bytes | None = None
        self._packed: tuple[bytes, bytes] | None = None
        self._liquidity: list[int] | None = None
        #: Where `ranges.beyond` keeps what it worked out.
        self.beyond: dict[tuple[bool, int, int], Beyond] = {}

    @classmethod
    def of(cls, ticks: Iterable[tuple[int, int, int]]) -> Ticks:
        """From (tick, net, gross) in any order. Raises `TickError` for a tick that is there twice or holds what none can."""
        ordered = sorted(ticks)
        if ordered and not -(1 << 31) <= ordered[0][0] <= ordered[-1][0] < 1 << 31:
            raise TickError(f"ticks from {ordered[0][0]} to {ordered[-1][0]}")
        index = array("i", [tick for tick, _, _ in ordered])
        for entry in ordered:
            _check(*entry)
        held = b"".join(_pack(net, gross) for _, net, gross in ordered)
        return cls(index, held)._ascending()

    @classmethod
    def unpack(cls, index: bytes, held: bytes) -> Ticks:
        """Inverse of `pack`. Raises `TickError`."""
        if (known := _unpacked.get((index, held))) is not None:
            return known
        if len(index) % 4 or len(held) != len(index) * (_ENTRY // 4):
            raise TickError(f"{len(index)} bytes of ticks with {len(held)} bytes of liquidity")
        ticks = array("i", index)
        if sys.byteorder == "little":
            ticks.byteswap()
        made = cls(ticks, held)._ascending()
        for position, (high, low, gross_high, gross_low) in enumerate(_ENTRIES.iter_unpack(held)):
            net, gross = high << 64 | low, gross_high << 64 | gross_low
            if not (gross and -gross <= net <= gross):
                _check(ticks[position], net, gross)
        made._packed = index, held
        _unpacked[made._packed] = made
        return made

    def pack(self) -> tuple[bytes, bytes]:
        """Canonical bytes: the ticks as big-endian int32, and the 32 bytes of each."""
        if self._packed is None:
            index = self.index
            if sys.byteorder == "little":
                index = array("i", index)
                index.byteswap()
            self._packed = index.tobytes(), self._held
        return self._packed

    @property
    def digest(self) -> bytes:
        """32 bytes that are equal exactly where the ticks are. Computed once for all the states that share them."""
        if self._digest is None:
            index, held = self.pack()
            self._digest = blake2b(index + held, digest_size=32).digest()
        return self._digest

    def __len__(self) -> int:
        return len(self.index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ticks):
            return NotImplemented
        return self is other or (self._held == other._held and self.index == other.index)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ticks.of({[(tick, *self.held(position)) for position, tick in enumerate(self.index)]})"

    def __reduce__(self) -> tuple[object, tuple[bytes, bytes]]:
        return Ticks.unpack, self.pack()

    def held(self, position: int) -> TickLiquidity:
        """What the tick at a position of `index` holds."""
        start = position * _ENTRY
        return TickLiquidity(
            int.from_bytes(self._held[start : start + 16], "big", signed=True),
            int.from_bytes(self._held[start + 16 : start + 32], "big"),
        )

    def net(self, position: int) -> int:
        """The net liquidity of the tick at a position of `index`."""
        start = position * _ENTRY
        return int.from_bytes(self._held[start : start + 16], "big", signed=True)

    def at(self, tick: int) -> TickLiquidity | None:
        """What a tick holds, None where it is not initialised."""
        position = bisect_left(self.index, tick)
        if position < len(self.index) and self.index[position] == tick:
            return self.held(position)
        return None

    def below(self, tick: int) -> int:
        """The position of the greatest initialised tick at or below `tick`; -1 if there is none."""
        return bisect_right(self.index, tick) - 1

    def between(self, before: int, after: int) -> int:
        """By how much the liquidity in range changes when the current tick goes from one to another."""
        if after > before:
            return sum(map(self.net, range(self.below(before) + 1, self.below(after) + 1)))
        return -sum(map(self.net, range(self.below(after) + 1, self.below(before) + 1)))

    def with_position(self, lower: int, upper: int, amount: int, max_gross: int) -> Ticks:
        """The ticks after `amount` of liquidity was added over [lower, upper), or taken off if negative.

        Raises `TickError` where a tick would hold more than `max_gross` or less than nothing.
        """
        return self._changed(lower, amount, amount, max_gross)._changed(upper, -amount, amount, max_gross)

    def liquidity_at(self, tick: int) -> int:
        """The liquidity in range at a tick as the ticks tell it: what a pool whose ticks are all known must have."""
        return self.liquidity_from(self.below(tick))

    def liquidity_from(self, position: int) -> int:
        """The liquidity in range from the tick at a position of `index` upwards; 0 below the first, at -1."""
        if self._liquidity is None:
            self._liquidity = list(accumulate(map(self.net, range(len(self.index))), initial=0))
        return self._liquidity[position + 1]

    def off_grid(self, tick_spacing: int) -> int | None:
        """A tick that is no multiple of the spacing, None where all are."""
        if gcd(*self.index) % tick_spacing == 0:
            return None
        return next(tick for tick in self.index if tick % tick_spacing)

    def _changed(self, tick: int, net_change: int, gross_change: int, max_gross: int) -> Ticks:
        position = bisect_left(self.index, tick)
        known = position < len(self.index) and self.index[position] == tick
        before = self.held(position) if known else TickLiquidity(0, 0)
        net, gross = before.net + net_change, before.gross + gross_change
        if gross < 0:
            raise TickError(f"tick {tick} holds {before.gross}, {-gross_change} is taken off")
        if gross > max_gross:
            raise TickError(f"tick {tick} would hold {gross}, the most is {max_gross}")
        start, index = position * _ENTRY, self.index
        rest = start + _ENTRY if known else start
        if gross == 0:
            if net:
                raise TickError(f"tick {tick} has no position left, but a net liquidity of {net}")
            index = index[:position] + index[position + known :]
            return Ticks(index, self._held[:start] + self._held[rest:])
        if not known:
            index = index[:position] + array("i", (tick,)) + index[position:]
        return Ticks(index, self._held[:start] + _pack(net, gross) + self._held[rest:])

    def _ascending(self) -> Ticks:
        index = self.index
        if not all(map(lt, index, index[1:])):
            lower, upper = next(pair for pair in pairwise(index) if pair[0] >= pair[1])
            raise TickError(f"tick {upper} follows tick {lower}")
        for end in (index[0], index[-1]) if index else ():
            if not MIN_TICK <= end <= MAX_TICK:
                raise TickError(f"tick {end} is not in [{MIN_TICK}, {MAX_TICK}]")
        return self


# Those that somebody holds, by what they were unpacked from.
_unpacked: WeakValueDictionary[tuple[bytes, bytes], Ticks] = WeakValueDictionary()

#: A pool without liquidity.
NO_TICKS = Ticks(array("i"), b"")


def _pack(net: int, gross: int) -> bytes:
    return net.to_bytes(16, "big", signed=True) + gross.to_bytes(16, "big")


def _check(tick: int, net: int, gross: int) -> None:
    if not (0 < gross <= UINT128_MAX and -gross <= net <= gross and abs(net) <= INT128_MAX):
        raise TickError(f"tick {tick} cannot hold a net liquidity of {net} out of {gross}")
