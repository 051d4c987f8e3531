"""One hop of a route as sizing sees it: exact integers to confirm with, and a smooth curve to aim with.

Every curve is near each of its points a Moebius map, `out(x + t) - out(x) = rate * t / (1 + bend * t)`: exactly so for a constant product,
and for concentrated liquidity within each range (virtual reserves); for other pools it is laid through three quotes.

The smooth side is in floats of the operations that IEEE 754 rounds correctly (+ - * / and conversions; no logarithms or powers), so
it aims at the same size on every machine, and decides nothing but where the integers are asked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from operators.pools.base import ConstantProduct, Pool, QuoteRefusal, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.v3_math.swap_math import PIPS

#: One point of a smooth curve: what is paid there, the marginal rate after fee, and its bend.
Point = tuple[float, float, float]

_Q96 = float(1 << 96)
#: How far apart, as a part of the input, the three quotes are that a Moebius map is laid through: wide, since families round by parts of what
#: the pool holds; less so from this part of the largest input on, where what a curve differs from the map shows, by the square of it.
_SPAN, _SPAN_OF_MUCH, _MUCH_BITS = 100, 500, 6
#: So many units of the output at least, as far as half the input goes: a rate is as coarse as one unit is of them.
_UNITS = 1 << 17
#: The smallest input of a quoted pool that is quoted for its curve, as a part of the largest; of coarse tokens more, up to the second part, so
#: that both amounts have `_UNITS`. Below it the curve is a Moebius map through zero, this point
#: and one that is `_BEYOND` times as far.
_DUST_BITS, _COARSE_BITS, _BEYOND = 20, 8, 16
#: Into how many parts of the input that buys one unit a search for the least input is refined.
_PARTS = 256


class Directed(NamedTuple):
    """A pool in one direction."""

    pool: Pool
    token_in: bytes
    token_out: bytes


class Curve(Protocol):
    """A hop of any family."""

    #: The state it was made of.
    pool: Pool
    #: The family's arithmetic is quoted to find the curve, so each point is dear and a bound cannot be told beforehand.
    quoted: bool

    def pay(self, amount_in: int) -> int:
        """What the pool pays, by its own arithmetic; 0 where it pays nothing or refuses."""

    def at(self, amount_in: float) -> Point:
        """The smooth curve at an input. Where the pool takes no more, rate and bend are 0."""

    def least_in(self, amount_out: int, near: int) -> int | None:
        """The least input that pays `amount_out`, or a little more than it where that would cost many quotes; None if no input
        does. `near` is an input that pays about as much."""


class ProductCurve:
    """A constant product."""

    __slots__ = ("_floats", "pool", "product")

    quoted = False

    def __init__(self, pool: Pool, product: ConstantProduct) -> None:
        self.pool = pool
        self.product = product
        # In floats, once a smooth point is asked for: routes of nothing but constant products ask for none.
        self._floats: tuple[float, float, float, float] | None = None

    def pay(self, amount_in: int) -> int:
        """See `Curve`."""
        return self.product.out(amount_in) if amount_in <= self.product.max_in else 0

    def at(self, amount_in: float) -> Point:
        """See `Curve`."""
        if self._floats is None:
            kept, scale, reserve_in, reserve_out, max_in = self.product
            # An empty side: nothing is paid at any input.
            whole_in = scale * reserve_in if kept else 0
            self._floats = float(kept) if whole_in else 0.0, float(whole_in or 1), float(reserve_out), float(max_in)
        part, base, out, most = self._floats
        if amount_in > most:
            return part * most * out / (base + part * most), 0.0, 0.0
        whole = base + part * amount_in
        per_unit = part * out / whole
        return per_unit * amount_in, per_unit * (base / whole), part / whole

    def least_in(self, amount_out: int, near: int) -> int | None:
        """See `Curve`; exact."""
        product = self.product
        if amount_out >= product.reserve_out:
            return None
        amount_in = product.least_in(amount_out)
        return amount_in if amount_in <= product.max_in else None


class RangeCurve:
    """Concentrated liquidity: a constant product in each range. Ranges are worked out as far as points are asked for."""

    __slots__ = (
        "_inputs",
        "_kept",
        "_outputs",
        "_ranges",
        "_reserves",
        "_token_in",
        "_token_out",
        "_zero_for_one",
        "pool",
    )

    quoted = False

    def __init__(self, pool: ConcentratedPool, token_in: bytes, token_out: bytes) -> None:
        self.pool: Pool = pool
        self._token_in, self._token_out = token_in, token_out
        self._zero_for_one = token_in == pool.token0
        self._kept = (PIPS - pool.swap_fee(self._zero_for_one)) / PIPS
        self._ranges = pool.ranges(self._zero_for_one)
        #: Where each range begins, the end of the last one too: what has gone in (fee included) and come out before it.
        self._inputs, self._outputs = [0.0], [0.0]
        #: Virtual reserves of both sides at the beginning of each range.
        self._reserves: list[tuple[float, float]] = []

    def pay(self, amount_in: int) -> int:
        """See `Curve`."""
        return _quoted(self.pool, self._token_in, amount_in, self._token_out)

    def at(self, amount_in: float) -> Point:
        """See `Curve`."""
        inputs = self._inputs
        while amount_in >= inputs[-1]:
            if not self._extend():
                return self._outputs[-1], 0.0, 0.0
        number = bisect_right(inputs, amount_in) - 1 if len(inputs) > 2 else 0
        reserve_in, reserve_out = self._reserves[number]
        taken = self._kept * (amount_in - inputs[number])
        whole = reserve_in + taken
        share = reserve_out / whole
        return self._outputs[number] + share * taken, self._kept * reserve_in / whole * share, self._kept / whole

    def least_in(self, amount_out: int, near: int) -> int | None:
        """See `Curve`: what the protocol takes for exactly that output, less the few units by which it may round up."""
        try:
            amount_in = self.pool.quote_exact_out(self._token_in, amount_out, self._token_out).amount_in
        except QuoteRefused:
            return None
        return _settle(self, amount_in, amount_out)

    def _extend(self) -> bool:
        """Work out one more range; whether there is one."""
        try:
            ahead = next(self._ranges, None)
        except QuoteRefused:
            ahead = None
        if ahead is None or not self._kept:
            return False
        start, end, liquidity = float(ahead.sqrt_from), float(ahead.sqrt_to), float(ahead.liquidity)
        # The difference in integers: in a narrow range most digits of the two prices are the same.
        width = float(abs(ahead.sqrt_to - ahead.sqrt_from))
        amount0, amount1 = liquidity * _Q96 * (width / start / end), liquidity * (width / _Q96)
        reserve0, reserve1 = liquidity * _Q96 / start, liquidity * (start / _Q96)
        taken, paid = (amount0, amount1) if self._zero_for_one else (amount1, amount0)
        self._reserves.append((reserve0, reserve1) if self._zero_for_one else (reserve1, reserve0))
        self._inputs.append(self._inputs[-1] + taken / self._kept)
        self._outputs.append(self._outputs[-1] + paid)
        return True


class QuotedCurve:
    """Any other pool: nothing but its own quotes and limits."""

    __slots__ = ("_dust", "_most", "_origin", "_token_in", "_token_out", "pool")

    quoted = True

    def __init__(self, pool: Pool, token_in: bytes, token_out: bytes) -> None:
        self.pool = pool
        self._token_in, self._token_out = token_in, token_out
        try:
            self._most = pool.limits(token_in, token_out).amount_in
        except QuoteRefused:
            self._most = 0
        self._dust = 1
        #: Rate and bend at zero; worked out, as is dust, when a point is asked for.
        self._origin: tuple[float, float] | None = None

    def pay(self, amount_in: int) -> int:
        """See `Curve`."""
        return _quoted(self.pool, self._token_in, amount_in, self._token_out) if amount_in <= self._most else 0

    def at(self, amount_in: float) -> Point:
        """See `Curve`."""
        if amount_in >= self._most:
            return float(self.pay(self._most)), 0.0, 0.0
        if self._origin is None:
            self._origin = self._begin()
        centre = int(amount_in)
        if centre > self._dust:
            return self._through(centre)
        rate, bend = self._origin
        whole = 1.0 + bend * amount_in
        return rate * amount_in / whole, rate / whole / whole, bend / whole

    def _begin(self) -> tuple[float, float]:
        """Works out what dust is; rate and bend at zero of the Moebius map below it."""
        coarse = self._most >> _COARSE_BITS
        dust = max(1, self._most >> _DUST_BITS, min(coarse, _UNITS))
        paid = self.pay(dust)
        if paid < _UNITS:
            dust = max(dust, min(coarse, _UNITS * dust // max(paid, 1)))
            paid = self.pay(dust)
        self._dust = dust
        # Far behind it, or roundings would show as a bend that leads astray.
        beyond = min(dust * _BEYOND, self._most)
        paid_beyond = self.pay(beyond)
        if not paid or not paid_beyond:
            return paid / dust, 0.0
        per_unit, per_unit_beyond = paid / dust, paid_beyond / beyond
        fallen = per_unit / per_unit_beyond
        bend = max(0.0, (fallen - 1.0) / (beyond - fallen * dust)) if beyond > fallen * dust else 0.0
        return per_unit * (1.0 + bend * dust), bend

    def least_in(self, amount_out: int, near: int) -> int | None:
        """See `Curve`: bisected until the input that buys one unit is divided into `_PARTS` parts."""
        paid, rate, _ = self.at(near)
        per_unit = int(1 / rate) + 1 if rate else self._most
        high = near + int((amount_out - paid) * per_unit) + per_unit
        high = min(max(1, high), self._most)
        width = 2 * per_unit
        while self.pay(high) < amount_out:
            if high >= self._most:
                return None
            high, width = min(high + width, self._most), 2 * width
        low, width = max(0, high - width), 2 * width
        while low and self.pay(low) >= amount_out:
            low, high, width = max(0, low - width), low, 2 * width
        while high - low > 1 + per_unit // _PARTS:
            middle = low + high >> 1
            if self.pay(middle) >= amount_out:
                high = middle
            else:
                low = middle
        return high

    def _through(self, centre: int) -> Point:
        """The Moebius map through the quotes at `centre` and a little to both sides; one-sided at the limit."""
        paid = self.pay(centre)
        if not paid:
            return 0.0, 0.0, 0.0
        # Wider where an output of few units would not show a slope.
        part = _SPAN if centre < self._most >> _MUCH_BITS else _SPAN_OF_MUCH
        span = max(1, centre // part, min(centre // 2, _UNITS * centre // paid))
        lost = paid - self.pay(centre - span)
        upper = min(centre + span, self._most)
        gained = self.pay(upper) - paid
        if lost < 1 or gained < 1 or upper == centre:
            # Too few units to see a bend in, or at the limit: a straight line.
            return float(paid), lost / span, 0.0
        per_lost, per_gained = span / lost, (upper - centre) / gained
        rate = 2.0 / (per_lost + per_gained)
        return float(paid), rate, max(0.0, rate * (per_gained - per_lost) / (2.0 * span))


class Curves:
    """The curves of the states of one event, each made once however many routes it is in. Forget it with the event."""

    def __init__(self) -> None:
        # Of each pool the first state, which most routes meet, and the last, which a set of routes left it in.
        self._first: dict[tuple[bytes, bytes, bytes], Curve] = {}
        self._last: dict[tuple[bytes, bytes, bytes], Curve] = {}

    def of(self, hop: Directed) -> Curve:
        """The curve of a hop."""
        pool, token_in, token_out = hop
        key = pool.address, token_in, token_out
        curve = self._first.get(key)
        if curve is None:
            curve = self._first[key] = curve_of(hop)
        elif curve.pool is not pool:
            curve = self._last.get(key)
            if curve is None or curve.pool is not pool:
                curve = self._last[key] = curve_of(hop)
        return curve


def curve_of(hop: Directed) -> Curve:
    """The curve of a hop. Raises `QuoteRefused` for a token that the pool does not hold."""
    pool, token_in, token_out = hop
    if isinstance(pool, ConcentratedPool):
        return RangeCurve(pool, token_in, token_out)
    try:
        product = pool.constant_product(token_in, token_out)
    except QuoteRefused as refused:
        if refused.reason is not QuoteRefusal.NO_SINGLE_CURVE:
            raise
        return QuotedCurve(pool, token_in, token_out)
    return ProductCurve(pool, product)


def pay(curves: Sequence[Curve], amount_in: int) -> list[int]:
    """What each hop pays in turn; 0 from the first one on that refuses."""
    amounts = []
    for curve in curves:
        amount_in = curve.pay(amount_in) if amount_in else 0
        amounts.append(amount_in)
    return amounts


def _quoted(pool: Pool, token_in: bytes, amount_in: int, token_out: bytes) -> int:
    try:
        return pool.quote(token_in, amount_in, token_out).amount_out
    except QuoteRefused:
        return 0


def _settle(curve: Curve, amount_in: int, amount_out: int) -> int | None:
    """From an input near the least to one that pays enough, by single units."""
    for _ in range(4):
        if curve.pay(amount_in) >= amount_out:
            break
        amount_in += 1
    else:
        return None
    for _ in range(4):
        if amount_in == 1 or curve.pay(amount_in - 1) < amount_out:
            break
        amount_in -= 1
    return amount_in
