"""What Curve's stableswap pools of every generation share: a state of n coins, the exchange, the view, and limits.

Arithmetic as in `StableSwap*.vy`: an exchange charges its fee on the 18-decimal amount, then converts and rounds down; the admin's part of
the fee leaves `balances` at once, as in the contract. What the chain pays is `quote`; `get_dy` is what the view of the
same name answers, which in the first pools rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import log
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import msgspec

from operators.pools.base import (
    AdmissionReason,
    AdmissionRefused,
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
    check_plain,
)
from operators.pools.curve_factories import announced_pools
from operators.pools.curve_math.ramp import Ramp
from operators.pools.curve_math.stable import Form, balance_after, balance_at, invariant
from operators.pools.plain_form import canonical, check_lengths, check_ramp, check_tokens, check_words
from operators.pools.words import Reverts, checked_div, u256
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

FEE_DENOMINATOR = 10**10
PRECISION = 10**18
#: What Curve's contracts write for the chain's own coin.
NATIVE_COIN = bytes.fromhex("ee" * 20)


class CurveRefusal(StrEnum):
    """Why a pool is not traded, though it may be tracked."""

    #: Code that has not been compared with this arithmetic.
    UNKNOWN_IMPLEMENTATION = "unknown_implementation"
    #: One of its coins is worth what another pool's state makes it.
    METAPOOL = "metapool"
    #: Its coins grow in a lending protocol.
    LENDING = "lending"
    #: Another contract is asked for a coin's rate in every exchange.
    RATE_ORACLE = "rate_oracle"
    #: Its balances change by transfers that it does not log.
    REBASING = "rebasing"
    #: It pays the chain's own coin, which is no token.
    NATIVE_COIN = "native_coin"
    #: Every trade may move its price scale, by an average over time that no log tells.
    CRYPTO = "crypto_price_scale"
    #: Its owner stopped its exchanges, which is told by no log.
    KILLED = "killed"


class Contract(NamedTuple):
    """What differs between the deployed generations.

    `spare` is kept back from every output against rounding errors. `view_converts_first`: the view takes the fee from the converted
    amount. `rebuilds_balances`: an exchange stores balances recomputed from the 18-decimal ones.
    """

    form: Form
    spare: int = 1
    view_converts_first: bool = False
    rebuilds_balances: bool = False


class Exchange(NamedTuple):
    """One exchange: what it pays, and the pool's balances after it."""

    amount_out: int
    balances: tuple[int, ...]


class StableSwap(msgspec.Struct, frozen=True):
    """What plain and next-generation pools share. `rates` bring base units to 18 decimals (10**(36 - decimals), times a rate).

    `balances` are without the admin's fees. `ramp` is A in the contract's unit. `fee` and `admin_fee` are in 1e-10. `lp_supply` is the pool
    token's total, which one-coin withdrawals are computed with. `timestamp` is the time of the block that quotes are for.
    A pool that is not modelled has no implementation: of its state the coins are known, and its logs are passed over.
    """

    FAMILY: ClassVar[str]
    LOG_TOPICS: ClassVar[tuple[bytes, ...]]
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]]
    CREATE2: ClassVar[bool] = False
    TIMED: ClassVar[bool] = True
    #: An estimate of one exchange with its two transfers; simulation replaces it. Taken from exchanges between the coins themselves,
    #: executed on recorded state with everything cold, without the transaction's own 21,000 (`tests/unit/pools/test_vault_gas.py`).
    GAS: ClassVar[int]
    LEAST_GAS: ClassVar[int]
    MAX_COINS: ClassVar[int]
    CONTRACTS: ClassVar[Mapping[str, Contract]]
    PLAIN: ClassVar[tuple[type, ...]]

    address: bytes
    tokens: tuple[bytes, ...]
    rates: tuple[int, ...]
    implementation: str
    balances: tuple[int, ...]
    ramp: tuple[int, int, int, int]
    fee: int
    admin_fee: int
    lp_supply: int
    timestamp: int
    refusal: str = ""

    # ------------------------------------------------------------ the pool

    @property
    def tradable(self) -> bool:
        """No refusal and every balance above zero."""
        return not self.refusal and all(self.balances)

    @property
    def amp(self) -> int:
        """A at `timestamp`, in the contract's unit."""
        return Ramp(*self.ramp).at(self.timestamp)

    def at(self, timestamp: int) -> Self:
        """This pool in a block of that time: the same object unless the time can matter."""
        if timestamp == self.timestamp or not Ramp(*self.ramp).moves_at(min(timestamp, self.timestamp)):
            return self
        return self._with(timestamp=timestamp)

    def moves(self, before: int, after: int) -> bool:
        """Where the amplification is another."""
        ramp = Ramp(*self.ramp)
        return ramp.at(before) != ramp.at(after)

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        check_plain(plain, cls.PLAIN, cls.FAMILY)
        return cls(*plain)._checked()

    def to_plain(self) -> Plain:
        """The fields in their order."""
        return msgspec.structs.astuple(self)

    def digest_entry(self) -> bytes:
        """Family and every field but the refusal and the time."""
        names = [name for name in self.__struct_fields__ if name not in ("refusal", "timestamp")]
        return self.FAMILY.encode() + canonical(tuple(getattr(self, name) for name in names))

    # ------------------------------------------------------------ how it is found and read

    @classmethod
    def announced(cls, logs: Sequence[Log], factory: FactoryConfig) -> Reading[tuple[Found, ...]]:
        """The pools that a factory's logs tell of: it is asked for their addresses. Raises `AdmissionRefused` for one that keeps no list."""
        return (yield from announced_pools(logs, factory, cls.FACTORY_TOPICS, cls.FAMILY))

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The whole state of a pool. Its code says what it is, so the factory is not asked. Raises `AdmissionRefused`."""
        raise NotImplementedError

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The pool's address: it emits its own logs."""
        return log.address

    @property
    def log_sources(self) -> tuple[bytes, ...]:
        """The pool."""
        return (self.address,)

    @property
    def holder(self) -> bytes:
        """The pool."""
        return self.address

    def slots(self) -> tuple[AccountSlots, ...]:
        """What an exchange reads of the pool, by its code's layout; nothing for code that is not known."""
        raise NotImplementedError

    def probes(self) -> tuple[View, ...]:
        """None: a known code's slots have their places, and a plain pool asks nobody but its coins."""
        return ()

    def apply(self, log: Log) -> Self:
        """The state after a log of the pool, in a block of `timestamp`. Raises `BadLog`, also where the log shows that this state is
        not the chain's."""
        topic = self._check_address(log)
        return self._applied(topic, log) if self.implementation else self

    def _applied(self, topic: bytes, log: Log) -> Self:
        raise NotImplementedError

    @classmethod
    def _unmodelled(cls, pool: bytes, coins: tuple[bytes, ...], refusal: CurveRefusal, timestamp: int) -> Self:
        """A pool of which the coins are known, and why no more. Raises `AdmissionRefused`."""
        n = len(coins)
        state = cls(pool, coins, (PRECISION,) * n, "", (0,) * n, (1, 1, 0, 0), 0, 0, 0, timestamp, refusal.value)
        return state._admitted()

    def _admitted(self) -> Self:
        """This state. Raises `AdmissionRefused` where it is none."""
        try:
            return self._checked()
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, str(error)) from None

    # ------------------------------------------------------------ what a trade would do

    def quote(self, token_in: bytes, amount_in: int, token_out: bytes | None = None) -> Quote:
        """What `exchange` pays. Raises `QuoteRefused` where it reverts or pays nothing."""
        i, j = self._direction(token_in, token_out)
        if amount_in <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, f"amount in {amount_in}")
        done = self._try_exchange(i, j, amount_in)
        if done.amount_out == 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount in {amount_in} buys nothing")
        return Quote(amount_in, done.amount_out, self.GAS, self._with(balances=done.balances))

    def quote_exact_out(self, token_in: bytes, amount_out: int, token_out: bytes | None = None) -> NoReturn:
        """Always `QuoteRefused`: no exchange for a given output exists in the protocol."""
        self._direction(token_in, token_out)
        raise QuoteRefused(QuoteRefusal.NOT_MODELLED, "the protocol has no exchange for a given output")

    def limits(self, token_in: bytes, token_out: bytes | None = None) -> Limits:
        """Inputs up to ten times what all coins together are worth, less where the contract's loops give out."""
        i, j = self._direction(token_in, token_out)
        if not all(self.balances):
            return Limits(0, 0)
        amount_in = 10 * sum(self._xp()) * PRECISION // self.rates[i]
        while amount_in:
            try:
                return Limits(amount_in, self._exchange(i, j, amount_in).amount_out)
            except Reverts:
                amount_in //= 2
        return Limits(0, 0)

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """ln of dy/dx of the invariant times the rates and what the fee leaves."""
        i, j = self._direction(token_in, token_out)
        if not self.tradable:
            return -float("inf")
        xp, form = self._xp(), self._contract().form
        try:
            d = d_p = invariant(xp, self.amp, form)
        except Reverts:
            return -float("inf")
        for x in xp:
            d_p = d_p * d // (x * len(xp))
        ann, kept = self.amp * len(xp), FEE_DENOMINATOR - self._fee(xp[i], xp[j])
        if kept <= 0:
            return -float("inf")
        steep_in = (ann * xp[i] + form.precision * d_p) * xp[j]
        steep_out = (ann * xp[j] + form.precision * d_p) * xp[i]
        return log(steep_in * self.rates[i] * kept) - log(steep_out * self.rates[j] * FEE_DENOMINATOR)

    def constant_product(self, token_in: bytes, token_out: bytes | None = None) -> ConstantProduct:
        """Always `QuoteRefused`: the curve is none."""
        raise QuoteRefused(QuoteRefusal.NO_SINGLE_CURVE, "a stableswap curve is no constant product")

    def get_dy(self, i: int, j: int, dx: int) -> int:
        """The answer of the contract's view, coins by index. Raises `Reverts`."""
        contract, xp = self._contract(), self._xp()
        y = self._balance_after(i, j, xp, dx)
        dy = u256(xp[j] - y - contract.spare)
        if contract.view_converts_first:
            dy = dy * PRECISION // self.rates[j]
            return dy - self.fee * dy // FEE_DENOMINATOR
        return (dy - self._fee_after(xp, i, j, dx, y) * dy // FEE_DENOMINATOR) * PRECISION // self.rates[j]

    # ------------------------------------------------------------ inside

    def _contract(self) -> Contract:
        return self.CONTRACTS[self.implementation]

    def _fee(self, x_i: int, x_j: int) -> int:
        """The fee of an exchange around these 18-decimal balances, in 1e-10."""
        return self.fee

    def _fee_after(self, xp: Sequence[int], i: int, j: int, dx: int, y: int) -> int:
        x = xp[i] + dx * self.rates[i] // PRECISION
        return self._fee((xp[i] + x) // 2, (xp[j] + y) // 2)

    def _xp(self, balances: Sequence[int] | None = None) -> tuple[int, ...]:
        held = self.balances if balances is None else balances
        return tuple([u256(rate * balance) // PRECISION for rate, balance in zip(self.rates, held, strict=True)])

    def _balance_after(self, i: int, j: int, xp: tuple[int, ...], dx: int) -> int:
        form, x = self._contract().form, xp[i] + u256(dx * self.rates[i]) // PRECISION
        return balance_after(i, j, x, xp, self.amp, invariant(xp, self.amp, form), form)

    def scaled_balances(self) -> tuple[int, ...]:
        """Balances times rates, 18 decimals. Raises `Reverts`."""
        return self._xp()

    def scaled_out(self, i: int, j: int, x: int) -> int:
        """What coin `j` pays after the fee, in 18 decimals, when coin `i` reaches `x` in 18 decimals. Raises `Reverts`."""
        contract, xp = self._contract(), self._xp()
        y = balance_after(i, j, x, xp, self.amp, invariant(xp, self.amp, contract.form), contract.form)
        dy = u256(xp[j] - y - contract.spare)
        return dy - dy * self._fee((xp[i] + x) // 2, (xp[j] + y) // 2) // FEE_DENOMINATOR

    def _exchange(self, i: int, j: int, dx: int) -> Exchange:
        """`exchange`: what it pays and leaves. Raises `Reverts`."""
        contract, xp = self._contract(), self._xp()
        y = self._balance_after(i, j, xp, dx)
        dy = u256(xp[j] - y - contract.spare)
        fee = dy * self._fee_after(xp, i, j, dx, y) // FEE_DENOMINATOR
        admin_fee = fee * self.admin_fee // FEE_DENOMINATOR
        out = (dy - fee) * PRECISION // self.rates[j]
        balances = list(self.balances)
        if contract.rebuilds_balances:
            x = xp[i] + dx * self.rates[i] // PRECISION
            balances[i] = x * PRECISION // self.rates[i]
            balances[j] = (y + fee - admin_fee) * PRECISION // self.rates[j]
        else:
            balances[i] = u256(balances[i] + dx)
            balances[j] = u256(balances[j] - out - admin_fee * PRECISION // self.rates[j])
        return Exchange(out, tuple(balances))

    def _try_exchange(self, i: int, j: int, dx: int) -> Exchange:
        if not self.implementation:
            raise QuoteRefused(QuoteRefusal.NOT_MODELLED, f"the pool is refused: {self.refusal}")
        if not all(self.balances):
            raise QuoteRefused(QuoteRefusal.NO_LIQUIDITY, f"balances {self.balances}")
        try:
            return self._exchange(i, j, dx)
        except Reverts as reverts:
            raise QuoteRefused(QuoteRefusal.INSUFFICIENT_LIQUIDITY, str(reverts)) from None

    def _direction(self, token_in: bytes, token_out: bytes | None) -> tuple[int, int]:
        tokens = self.tokens
        if token_out is None and len(tokens) == 2 and token_in in tokens:
            i = tokens.index(token_in)
            return i, 1 - i
        if token_in in tokens and token_out in tokens and token_in != token_out:
            return tokens.index(token_in), tokens.index(token_out)
        wanted = f"0x{token_in.hex()}" + (f" to 0x{token_out.hex()}" if token_out is not None else "")
        raise QuoteRefused(QuoteRefusal.UNKNOWN_TOKEN, f"{wanted} in pool 0x{self.address.hex()}")

    def _with(self, **changes: Any) -> Self:
        return msgspec.structs.replace(self, **changes)

    def _checked(self) -> Self:
        check_tokens(self.FAMILY, self.address, self.tokens, self.MAX_COINS)
        check_lengths(self.FAMILY, len(self.tokens), rates=self.rates, balances=self.balances)
        check_words(self.FAMILY, rates=self.rates, balances=self.balances,
                    numbers=(self.fee, self.admin_fee, self.lp_supply, self.timestamp))  # fmt: skip
        if self.implementation not in self.CONTRACTS and not (self.refusal and not self.implementation):
            raise BadState(f"{self.FAMILY}: no implementation {self.implementation!r}")
        if not all(self.rates):
            raise BadState(f"{self.FAMILY}: a rate of pool 0x{self.address.hex()} is zero")
        check_ramp(self.FAMILY, self.ramp)
        if self.fee > FEE_DENOMINATOR // 2 or self.admin_fee > FEE_DENOMINATOR:
            raise BadState(f"{self.FAMILY}: fee {self.fee} or admin fee {self.admin_fee} exceeds its limit")
        return self

    # ------------------------------------------------------------ liquidity

    def virtual_price(self) -> int:
        """`get_virtual_price`: the invariant for one pool token, 18 decimals. Raises `Reverts`."""
        return checked_div(invariant(self._xp(), self.amp, self._contract().form) * PRECISION, self.lp_supply)

    def calc_token_amount(self, amounts: Sequence[int], *, deposit: bool) -> int:
        """`calc_token_amount` of the plain pools: pool tokens for these amounts, without fees. Raises `Reverts`."""
        form = self._contract().form
        sign = 1 if deposit else -1
        changed = [u256(held + sign * amount) for held, amount in zip(self.balances, amounts, strict=True)]
        before, after = invariant(self._xp(), self.amp, form), invariant(self._xp(changed), self.amp, form)
        return checked_div(u256(u256(sign * (after - before)) * self.lp_supply), before)

    def withdraw_one(self, burned: int, i: int) -> tuple[int, int]:
        """`_calc_withdraw_one_coin`: (what is paid, the fee in it), both in base units of coin `i`. Raises `Reverts`."""
        form, xp = self._contract().form, self._xp()
        before = invariant(xp, self.amp, form)
        after = u256(before - checked_div(u256(burned * before), self.lp_supply))
        y = balance_at(i, xp, self.amp, after, form)
        reduced = []
        for k, x in enumerate(xp):
            kept = u256(x * after) // before
            expected = u256(kept - y) if k == i else x - kept
            around = (x + y) // 2 if k == i else x
            fee = self._liquidity_fee(around, (before + after) // (2 * len(xp)))
            reduced.append(u256(x - fee * expected // FEE_DENOMINATOR))
        paid = u256(reduced[i] - balance_at(i, reduced, self.amp, after, form) - 1) * PRECISION // self.rates[i]
        return paid, u256(u256(xp[i] - y) * PRECISION // self.rates[i] - paid)

    def _liquidity_fee(self, x: int, even: int) -> int:
        """The fee of an imbalanced deposit or withdrawal, in 1e-10."""
        n = len(self.tokens)
        return self.fee * n // (4 * (n - 1))

    # ------------------------------------------------------------ what the chain did

    def _words(self, log: Log, topics: int, words: int | None = None) -> list[int]:
        """The payload in words. Raises `BadLog` unless the shape is the event's."""
        if len(log.topics) != topics:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"the event has {topics} topics, this log {len(log.topics)}")
        if len(log.data) % 32 or (words is not None and len(log.data) != 32 * words):
            raise BadLog(BadLogReason.WRONG_LENGTH, f"the event carries {words} words, this log {len(log.data)} bytes")
        return [int.from_bytes(log.data[k : k + 32], "big") for k in range(0, len(log.data), 32)]

    def _check_address(self, log: Log) -> bytes:
        """The first topic of a log of this pool. Raises `BadLog`."""
        if log.address != self.address:
            raise BadLog(
                BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()} given to pool 0x{self.address.hex()}"
            )
        if not log.topics or log.topics[0] not in self.LOG_TOPICS:
            found = f"0x{log.topics[0].hex()}" if log.topics else "none"
            raise BadLog(BadLogReason.WRONG_TOPIC, f"pool 0x{self.address.hex()} does not listen to {found}")
        return log.topics[0]

    def _exchanged(self, i: int, dx: int, j: int, dy: int) -> Self:
        """After an exchange that the chain made. The event does not tell the admin's fee, so it is computed; an output that is not
        the event's means that this state was not the chain's."""
        n = len(self.tokens)
        if not (i < n and j < n and i != j):
            raise BadLog(BadLogReason.OUT_OF_RANGE, f"coins {i}, {j} in a pool of {n}")
        try:
            done = self._exchange(i, j, dx)
        except Reverts as reverts:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"this state would revert: {reverts}") from None
        if done.amount_out != dy:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"the log says {dy} out, this state {done.amount_out}")
        return self._with(balances=done.balances)

    def _owned(self, **changes: Any) -> Self:
        """After an owner's word. Raises `BadLog` for one that no contract would take."""
        try:
            return self._with(**changes)._checked()
        except BadState as error:
            raise BadLog(BadLogReason.OUT_OF_RANGE, str(error)) from None

    def _liquidity(self, amounts: Sequence[int], fees: Sequence[int], supply: int, *, deposit: bool) -> Self:
        """After a deposit or withdrawal whose event tells amounts, fees and the supply after it."""
        sign = 1 if deposit else -1
        balances = []
        for held, amount, fee in zip(self.balances, amounts, fees, strict=True):
            # In the contract's order, every step of which is checked.
            moved = held + sign * amount
            after = moved - fee * self.admin_fee // FEE_DENOMINATOR
            if not (0 <= moved < 1 << 256 and after >= 0):
                raise BadLog(BadLogReason.CONTRADICTS_STATE, f"a balance would become {moved}, less fees {after}")
            balances.append(after)
        return self._with(balances=tuple(balances), lp_supply=supply)

    def _withdrew_one(self, i: int, burned: int, paid: int, fee: int) -> Self:
        """After a withdrawal in coin `i` alone."""
        after = list(self.balances)
        after[i] -= paid + fee * self.admin_fee // FEE_DENOMINATOR
        if after[i] < 0 or burned > self.lp_supply:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, "more is withdrawn than this state holds")
        return self._with(balances=tuple(after), lp_supply=self.lp_supply - burned)
