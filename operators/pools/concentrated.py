"""What the pools of concentrated liquidity share: state, quotes, limits, where a contract keeps it all. Each protocol adds its events, how it is
found and read, and what it does otherwise.

Not a family itself. A subclass reads its own logs in `apply`, and may change `swap_fee`, `_most`, `_check_modelled` and `_with`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import ClassVar, NamedTuple, Self

import msgspec

from operators.pools.base import (
    BadLog,
    BadLogReason,
    BadState,
    ConstantProduct,
    Found,
    Limits,
    Plain,
    Quote,
    QuoteRefusal,
    QuoteRefused,
)
from operators.pools.concentrated_storage import Layout, slot_key
from operators.pools.v3_math.ranges import Range, across, beyond, ranges
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.tick_math import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at,
    tick_at,
)
from operators.pools.v3_math.ticks import UINT128_MAX, TickError, Ticks
from operators.pools.v3_math.walk import LiquidityError, Walked, first_price, price_limit, walk
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

INT256_MAX = (1 << 255) - 1
_LOG_Q96 = 96 * log(2)

#: How far around the price `slots` goes: so many ticks (about half or half as much again of the price), but at most so many words of the bitmap.
_REACH_TICKS = 4096
_REACH_WORDS = 3


class Swapped(NamedTuple):
    """A swap as the contract carries it out: the changes of the pool's balances (above zero: paid into it), and the pool after it."""

    amount0: int
    amount1: int
    gas: int
    state: ConcentratedPool


class ConcentratedPool(msgspec.Struct, frozen=True, gc=False):
    """A pool: `fee_pips` in millionths, price as a square root with 96 fractional bits (0: not initialised), liquidity in range.

    `tick` is kept beside the price, as the contract does: a pool that came down to the price of a tick stands one tick below it.
    `protocol_fee` is packed as in the pool's storage. Make one with `from_parts` or `from_plain`, which check the limits.
    """

    FAMILY: ClassVar[str] = ""
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = ()
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = ()
    CREATE2: ClassVar[bool] = False
    TIMED: ClassVar[bool] = False

    #: Gas of a swap in an executor call with its two token transfers: the swap itself, each initialised tick crossed, each step. The slopes are
    #: a least-squares fit over some 200 swaps of random size by the deployed contracts, each cold in the engine (0 to 60 crossings, 1 to 60
    #: steps; residue about 15,000, most of it slots written for the first time); what a swap costs before either is set so that one step is the
    #: lower quartile of 150 V3 swap calls in recorded mainnet traces (83,500; the median is 98,700).
    SWAP_GAS: ClassVar[int] = 76_500
    LEAST_GAS: ClassVar[int] = SWAP_GAS
    CROSSING_GAS: ClassVar[int] = 18_000
    STEP_GAS: ClassVar[int] = 7_000

    address: bytes
    token0: bytes
    token1: bytes
    fee_pips: int
    tick_spacing: int
    sqrt_price: int
    tick: int
    liquidity: int
    protocol_fee: int
    ticks: Ticks
    refusal: str

    # ------------------------------------------------------------ the pool

    @property
    def tokens(self) -> tuple[bytes, bytes]:
        """token0 and token1."""
        return self.token0, self.token1

    @property
    def tradable(self) -> bool:
        """No refusal, initialised, and liquidity somewhere."""
        return not self.refusal and self.sqrt_price > 0 and (self.liquidity > 0 or len(self.ticks) > 0)

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        raise NotImplementedError

    def to_plain(self) -> Plain:
        """The state as plain data."""
        raise NotImplementedError

    def digest_entry(self) -> bytes:
        """Canonical bytes of the state."""
        raise NotImplementedError

    def apply(self, log: Log) -> Self:
        """The state after a log of this pool. Raises `BadLog`."""
        raise NotImplementedError

    # ------------------------------------------------------------ how it is found and read

    @classmethod
    def announced(cls, logs: Sequence[Log], factory: FactoryConfig) -> Reading[tuple[Found, ...]]:
        """The pools that these logs of one factory announce, in order, each once."""
        raise NotImplementedError

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The whole state of a pool at one block. Raises `AdmissionRefused`."""
        raise NotImplementedError

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The key of the pool that a log is about: for most the contract that emitted it."""
        return log.address

    @property
    def holder(self) -> bytes:
        """The contract that holds the pool's tokens: for most its own."""
        return self.address

    @property
    def log_sources(self) -> tuple[bytes, ...]:
        """The contract whose logs change this state."""
        return (self.holder,)

    def probes(self) -> tuple[View, ...]:
        """None: all that a swap reads has its place."""
        return ()

    def at(self, timestamp: int) -> Self:
        """The pool itself: time changes no quote."""
        return self

    def moves(self, before: int, after: int) -> bool:
        """Never."""
        return False

    def layout(self) -> Layout:
        """Where `holder` keeps this pool."""
        raise NotImplementedError

    def slots(self) -> tuple[AccountSlots, ...]:
        """What a swap reads in `holder` which stays within 4,096 ticks of the price, or within three words of the bitmap where that is less.

        The words of the bitmap and the initialised ticks on the way. A swap that goes further reads slots that are not named here.
        """
        return (AccountSlots(address=self.holder, keys=tuple(map(slot_key, self._slot_numbers()))),)

    def reach(self) -> tuple[int, int]:
        """The ticks between which a swap reads only what `slots` names."""
        most = min(_REACH_TICKS, _REACH_WORDS * 256 * self.tick_spacing)
        return max(self.tick - most, MIN_TICK), min(self.tick + most, MAX_TICK)

    def _slot_numbers(self) -> list[int]:
        layout, spacing = self.layout(), self.tick_spacing
        lowest, highest = self.reach()
        near = self.ticks.index[self.ticks.below(lowest - 1) + 1 : self.ticks.below(highest) + 1]
        # Upwards the contract begins to look at the next multiple of the spacing.
        numbers = [*layout.fixed, *layout.words(lowest // spacing >> 8, highest // spacing + 1 >> 8)]
        for tick in near:
            numbers += layout.tick(tick)
        return numbers

    def audit(self) -> str:
        """What contradicts itself in a state whose ticks are all known, empty if nothing: the check of a bootstrap."""
        if not self.sqrt_price:
            return "ticks in a pool that was never initialised" if len(self.ticks) else ""
        at_tick = tick_at(self.sqrt_price)
        on_boundary = self.tick == at_tick - 1 and sqrt_price_at(at_tick) == self.sqrt_price
        if self.tick != at_tick and not on_boundary:
            return f"the price is at tick {at_tick}, not {self.tick}"
        if (total := self.ticks.liquidity_at(MAX_TICK)) != 0:
            return f"the net liquidity of all ticks is {total}, not 0"
        if (there := self.ticks.liquidity_at(self.tick)) != self.liquidity:
            return f"the ticks give a liquidity of {there}, not {self.liquidity}"
        return ""

    # ------------------------------------------------------------ what a trade would do

    def swap(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit: int | None = None) -> Swapped:
        """The contract's `swap`: input above zero, output below; stops at the limit with less than all of it traded.

        Raises `QuoteRefused` where it reverts. Without a limit it may go to the last price that the protocol allows.
        """
        walked = self._walk(zero_for_one, amount_specified, sqrt_price_limit)
        into, out = walked.amount_in, -walked.amount_out
        amounts = (into, out) if zero_for_one else (out, into)
        state = self._with(walked.sqrt_price, walked.tick, walked.liquidity, self.ticks, self.protocol_fee)
        return Swapped(*amounts, self._gas(walked), state)

    def quote(self, token_in: bytes, amount_in: int, token_out: bytes | None = None) -> Quote:
        """What `amount_in` buys; 0 where it is too small to buy a unit, which the contract allows.

        Raises `QuoteRefused` where the swap would revert, or stop at the end of all prices before the input is used up.
        """
        zero_for_one = self._direction(token_in, token_out)
        if amount_in <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, f"amount in {amount_in}")
        walked = self._walk(zero_for_one, amount_in, None)
        if walked.amount_in != amount_in:
            raise QuoteRefused(
                QuoteRefusal.INSUFFICIENT_LIQUIDITY, f"of an input of {amount_in} the pool takes {walked.amount_in}"
            )
        return self._quoted(walked)

    def quote_exact_out(self, token_in: bytes, amount_out: int, token_out: bytes | None = None) -> Quote:
        """What `amount_out` costs. Raises `QuoteRefused` where the pool has less, or the swap would revert."""
        zero_for_one = self._direction(token_in, token_out)
        if amount_out <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount out {amount_out}")
        walked = self._walk(zero_for_one, -amount_out, None)
        if walked.amount_out != amount_out:
            raise QuoteRefused(
                QuoteRefusal.INSUFFICIENT_LIQUIDITY, f"of an output of {amount_out} the pool has {walked.amount_out}"
            )
        return self._quoted(walked)

    def ranges(self, zero_for_one: bool) -> Iterator[Range]:
        """The ranges of constant liquidity ahead, from the present price in the direction of a swap, as they are asked for.

        In each the pool is a constant product that keeps `swap_fee` of the input; `walk` and `quote` say what exactly it pays. Gaps without
        liquidity are left out. Raises `QuoteRefused` for a pool that is not modelled or initialised, or where its ticks are no pool's.
        """
        self._check_modelled()
        try:
            yield from ranges(self.ticks, self._start(), zero_for_one)
        except LiquidityError as error:
            raise self._broken(error) from None

    def limits(self, token_in: bytes, token_out: bytes | None = None) -> Limits:
        """What moves the price to its end, at most some units less. Both 0 in a pool that cannot trade."""
        zero_for_one = self._direction(token_in, token_out)
        try:
            limits, most = self._to_the_end(zero_for_one), self._most()
            if limits is None or max(limits) > most:
                walked = self._walk(zero_for_one, most, None)
                return Limits(walked.amount_in, walked.amount_out)
        except QuoteRefused:
            return Limits(0, 0)
        return limits

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """ln of the price at which the first unit is traded, after fee."""
        zero_for_one = self._direction(token_in, token_out)
        kept = PIPS - self.swap_fee(zero_for_one)
        if not (self.tradable and kept):
            return -float("inf")
        price = first_price(self.ticks, (self.sqrt_price, self.tick, self.liquidity), zero_for_one)
        if price is None:
            return -float("inf")
        in_token1 = 2 * (log(price) - _LOG_Q96)
        return log(kept / PIPS) + (in_token1 if zero_for_one else -in_token1)

    def constant_product(self, token_in: bytes, token_out: bytes | None = None) -> ConstantProduct:
        """Raises `QuoteRefused`: the curve changes from range to range."""
        self._direction(token_in, token_out)
        raise QuoteRefused(QuoteRefusal.NO_SINGLE_CURVE, f"{self.FAMILY} trades over many ranges")

    # ------------------------------------------------------------ what a protocol may do otherwise

    def swap_fee(self, zero_for_one: bool) -> int:
        """The whole fee of a direction, in millionths of the input."""
        return self.fee_pips

    def _check_modelled(self) -> None:
        """Raises `QuoteRefused` for a pool that does what this arithmetic does not know."""

    def _most(self) -> int:
        """The largest amount that the contract's types take."""
        return INT256_MAX

    def _max_gross(self) -> int:
        """The most liquidity that one tick may hold: `Tick.tickSpacingToMaxLiquidityPerTick`."""
        return UINT128_MAX // (MAX_TICK // self.tick_spacing * 2 + 1)

    def _with(self, sqrt_price: int, tick: int, liquidity: int, ticks: Ticks, protocol_fee: int) -> Self:
        """The same pool in another state."""
        raise NotImplementedError

    # ------------------------------------------------------------ for the logs

    def _moved(self, sqrt_price: int, tick: int, liquidity: int) -> Self:
        """After a swap, as its log tells it; the ticks between must explain its liquidity, else a log before it was missed."""
        if not self.sqrt_price:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"a swap in 0x{self.address.hex()}, which is not initialised")
        expected = self.liquidity if tick == self.tick else self.liquidity + self.ticks.between(self.tick, tick)
        if liquidity != expected:
            raise BadLog(
                BadLogReason.CONTRADICTS_STATE,
                f"a swap of 0x{self.address.hex()} ends with a liquidity of {liquidity}, its ticks give {expected}",
            )
        return self._with(sqrt_price, tick, liquidity, self.ticks, self.protocol_fee)

    def _initialised(self, sqrt_price: int, tick: int) -> Self:
        if self.sqrt_price:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"pool 0x{self.address.hex()} is initialised a second time")
        return self._with(sqrt_price, tick, self.liquidity, self.ticks, self.protocol_fee)

    def _positioned(self, lower: int, upper: int, amount: int) -> Self:
        """After `amount` of liquidity was added over the ticks [lower, upper), or taken off if negative. Raises `BadLog`."""
        if lower >= upper or lower % self.tick_spacing or upper % self.tick_spacing:
            raise BadLog(
                BadLogReason.OUT_OF_RANGE,
                f"no position reaches from {lower} to {upper} at a spacing of {self.tick_spacing}",
            )
        if not self.sqrt_price:
            raise BadLog(
                BadLogReason.CONTRADICTS_STATE, f"a position in 0x{self.address.hex()}, which is not initialised"
            )
        if not amount:
            return self
        try:
            ticks = self.ticks.with_position(lower, upper, amount, self._max_gross())
        except TickError as error:
            reason = BadLogReason.OVERFLOW if amount > 0 else BadLogReason.CONTRADICTS_STATE
            raise BadLog(reason, f"pool 0x{self.address.hex()}: {error}") from None
        liquidity = self.liquidity
        if lower <= self.tick < upper:
            liquidity += amount
            if not 0 <= liquidity <= UINT128_MAX:
                reason = BadLogReason.OVERFLOW if amount > 0 else BadLogReason.CONTRADICTS_STATE
                raise BadLog(reason, f"pool 0x{self.address.hex()} would have a liquidity of {liquidity}")
        return self._with(self.sqrt_price, self.tick, liquidity, ticks, self.protocol_fee)

    def _check_address(self, log: Log, expected: bytes) -> None:
        if log.address != expected:
            raise BadLog(
                BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()} given to pool 0x{self.address.hex()}"
            )

    def _unknown_topic(self, log: Log) -> BadLog:
        found = f"0x{log.topics[0].hex()}" if log.topics else "none"
        return BadLog(BadLogReason.WRONG_TOPIC, f"{self.FAMILY} 0x{self.address.hex()} does not listen to {found}")

    # ------------------------------------------------------------ inside

    def _direction(self, token_in: bytes, token_out: bytes | None) -> bool:
        if token_in == self.token0 and token_out in (None, self.token1):
            return True
        if token_in == self.token1 and token_out in (None, self.token0):
            return False
        pair = f"0x{self.token0.hex()}, 0x{self.token1.hex()}"
        wanted = f"0x{token_in.hex()}" + (f" to 0x{token_out.hex()}" if token_out is not None else "")
        raise QuoteRefused(QuoteRefusal.UNKNOWN_TOKEN, f"{wanted} in the pool of {pair}")

    def _start(self) -> tuple[int, int, int]:
        if not self.sqrt_price:
            raise QuoteRefused(QuoteRefusal.NO_LIQUIDITY, f"pool 0x{self.address.hex()} is not initialised")
        return self.sqrt_price, self.tick, self.liquidity

    def _broken(self, error: LiquidityError) -> QuoteRefused:
        return QuoteRefused(QuoteRefusal.INVARIANT, f"pool 0x{self.address.hex()}: {error}")

    def _to_the_end(self, zero_for_one: bool) -> Limits | None:
        """Bounds by whole ranges; None where those do not tell: the ticks are not all known, or the fee is the whole input."""
        self._check_modelled()
        price, tick, liquidity = self._start()
        fee, ticks = self.swap_fee(zero_for_one), self.ticks
        position = ticks.below(tick)
        if fee >= PIPS or ticks.liquidity_from(position) != liquidity:
            return None
        position += not zero_for_one
        stop, into, out = price_limit(zero_for_one), 0, 0
        try:
            if 0 <= position < len(ticks):
                after = beyond(ticks, fee, self.tick_spacing, zero_for_one)
                into, out = after.amounts_in[position], after.amounts_out[position]
                ahead = sqrt_price_at(ticks.index[position])
                stop = max(ahead, stop) if zero_for_one else min(ahead, stop)
        except LiquidityError as error:
            raise self._broken(error) from None
        if liquidity and (stop < price if zero_for_one else stop > price):
            first_in, first_out = across(Range(price, stop, liquidity), fee, self.tick_spacing)
            into, out = into + first_in, out + first_out
        return Limits(into, out)

    def _walk(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit: int | None) -> Walked:
        self._check_modelled()
        start = self._start()
        price, amount, exact_out = start[0], abs(amount_specified), amount_specified < 0
        if not amount:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, "a swap of nothing")
        if amount > INT256_MAX:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, f"an amount of {amount} exceeds int256")
        limit = price_limit(zero_for_one) if sqrt_price_limit is None else sqrt_price_limit
        ahead = MIN_SQRT_PRICE < limit < price if zero_for_one else price < limit < MAX_SQRT_PRICE
        if not ahead:
            raise QuoteRefused(QuoteRefusal.PRICE_LIMIT, f"from a square-root price of {price} to {limit}")
        fee = self.swap_fee(zero_for_one)
        try:
            return walk(self.ticks, self.tick_spacing, fee, start, zero_for_one, amount, exact_out, limit)
        except LiquidityError as error:
            raise self._broken(error) from None

    def _gas(self, walked: Walked) -> int:
        return self.SWAP_GAS + self.CROSSING_GAS * walked.crossed + self.STEP_GAS * walked.steps

    def _quoted(self, walked: Walked) -> Quote:
        state = self._with(walked.sqrt_price, walked.tick, walked.liquidity, self.ticks, self.protocol_fee)
        return Quote(walked.amount_in, walked.amount_out, self._gas(walked), state)

    def _checked(self) -> Self:
        name = f"{self.FAMILY} 0x{self.address.hex()}"
        if len(self.address) != 20 or len(self.token0) != 20 or len(self.token1) != 20:
            raise BadState(f"{self.FAMILY}: addresses have 20 bytes")
        if self.token0 >= self.token1:
            raise BadState(f"{name}: its tokens are not in ascending order")
        if not 0 < self.tick_spacing < 1 << 15:
            raise BadState(f"{name}: a tick spacing of {self.tick_spacing} is not in [1, 32767]")
        if not 0 <= self.liquidity <= UINT128_MAX:
            raise BadState(f"{name}: a liquidity of {self.liquidity} is not in [0, 2**128)")
        if self.sqrt_price and not MIN_SQRT_PRICE <= self.sqrt_price < MAX_SQRT_PRICE:
            raise BadState(
                f"{name}: a square-root price of {self.sqrt_price} is not in [MIN_SQRT_PRICE, MAX_SQRT_PRICE)"
            )
        if not MIN_TICK <= self.tick < MAX_TICK:
            raise BadState(f"{name}: the current tick {self.tick} is not in [{MIN_TICK}, {MAX_TICK})")
        if (tick := self.ticks.off_grid(self.tick_spacing)) is not None:
            raise BadState(f"{name}: tick {tick} is no multiple of the spacing {self.tick_spacing}")
        return self
