"""Balancer V2: what pools of every kind share, because the Vault holds their tokens and emits their swaps, and the weighted pool.

Rounding as in `BasePool`: the fee leaves the given amount in before scaling (rounded up), amounts are scaled to 18 decimals rounded
down, outputs scale back rounded down, inputs up, and a computed input bears the fee on top (rounded up).

A pool's logs come from two addresses: the Vault (swaps, joins, exits, asset managers; the pool's id is the first indexed word, and its
first 20 bytes are the pool's address; and the pause of the Vault, which names no pool) and the pool itself (fee, amplification, rates,
pause). Other words of an owner change no quote: protocol fees are taken from joins and exits, which tell what was taken, and a recovery
mode leaves swaps as they are. A pause that ends by itself, at the end of the buffer period, is noticed by the next reading: until then the
pool is refused, never misquoted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from math import log, log2
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from operators.pools.balancer_math import weighted
from operators.pools.balancer_math.fixed_point import ONE, PowVersion, div_up, mul_down, mul_up
from operators.pools.balancer_vault import (
    POOL_CREATED,
    POOL_PAUSED,
    SWAP_SLOTS,
    VAULT,
    VAULT_PAUSED,
    announced_pools,
    check_scaling,
    pool_address,
    probe,
    read_vault_pool,
)
from operators.pools.base import (
    ALL_POOLS,
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
from operators.pools.plain_form import canonical, check_lengths, check_tokens, check_words
from operators.pools.views import array_of, selector, view
from operators.pools.words import Reverts, u256
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

#: The Vault packs balances into this many bits; a pool's total may not exceed it.
MAX_BALANCE = 2**112 - 1

# Emitted by the Vault.
SWAP = bytes.fromhex("2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b")
POOL_BALANCE_CHANGED = bytes.fromhex("e5ce249087ce04f05a957192435400fd97868dba0e6a4b4c049abf8af80dae78")
POOL_BALANCE_MANAGED = bytes.fromhex("6edcaf6241105b4c94c2efdbf3a6b12458eb3d07be3a0e81d24b13c44045fe7a")
# Emitted by the pool; the last by the Vault too, for all of its pools.
SWAP_FEE_CHANGED = bytes.fromhex("a9ba3ffe0b6c366b81232caab38605a0699ad5398d6cce76f91ee809e322dafc")
PAUSED_STATE_CHANGED = bytes.fromhex("9e3a5e37224532dea67b89face185703738a228a6e8a23dee546960180d3be64")
_OF_VAULT = (SWAP, POOL_BALANCE_CHANGED, POOL_BALANCE_MANAGED)

_GET_WEIGHTS = selector("getNormalizedWeights()")
#: What `FactoryConfig.variant` may say of weighted pools, and the powers it means: the first factories (2021), and those since
#: 2022-09 (weighted-pool-v2, -v3, -v4), which square where the weights allow it.
_POWERS = {"": "v1", "v1": "v1", "v2": "v2"}
#: A swap of 30 % of the balance in pays at least a 400th of the other (weights are 1 % at least), so something of this many units.
_SURELY_PAYS = 10_000
#: log2(1 / 0.7), and how many bits of a balance surely stay below the Vault's 112.
_BITS_OF_GROWTH, _SURELY_HELD = log2(1 / 0.7), 110
_VERSIONS = frozenset(version.value for version in PowVersion)


class BalancerRefusal(StrEnum):
    """Why a pool is not traded, though it may be tracked."""

    #: A factory whose variant is not known here: weights that move, circuit breakers, and whatever else has another `onSwap`.
    UNKNOWN_POOL_TYPE = "unknown_pool_type"
    #: A rate provider without a cache answers anew in every swap.
    UNCACHED_RATE = "uncached_rate"
    #: The amplification is being moved, and the pool's storage does not show from where to where.
    UNKNOWN_RAMP = "unknown_ramp"


class Direction(NamedTuple):
    """A pair of tokens by index."""

    sold: int
    bought: int


def word(data: bytes, position: int) -> int:
    """The unsigned word at this position of a payload."""
    return int.from_bytes(data[32 * position : 32 * position + 32], "big")


def signed(value: int) -> int:
    """An unsigned word as two's complement."""
    return value - (1 << 256) if value >> 255 else value


class VaultPool(msgspec.Struct, frozen=True):
    """A pool of the Vault. `scaling` brings base units to 18 decimals (10**(18 - decimals)). `balances` are cash and managed together, `managed`
    the part that asset managers have taken out and swaps cannot pay with. `swap_fee` has 18 decimals. `paused`: `POOL_PAUSED` and `VAULT_PAUSED`
    added up."""

    FAMILY: ClassVar[str]
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        SWAP, POOL_BALANCE_CHANGED, POOL_BALANCE_MANAGED, SWAP_FEE_CHANGED, PAUSED_STATE_CHANGED,
    )  # fmt: skip
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (POOL_CREATED,)
    CREATE2: ClassVar[bool] = False
    TIMED: ClassVar[bool] = False
    #: An estimate of one swap through the Vault with its two transfers; simulation replaces it. Taken from swaps executed on recorded state
    #: with everything cold, without the transaction's own 21,000 (`tests/unit/pools/test_vault_gas.py`).
    GAS: ClassVar[int]
    LEAST_GAS: ClassVar[int]
    MAX_TOKENS: ClassVar[int]
    PLAIN: ClassVar[tuple[type, ...]]

    address: bytes
    pool_id: bytes
    tokens: tuple[bytes, ...]
    scaling: tuple[int, ...]
    balances: tuple[int, ...]
    managed: tuple[int, ...]
    swap_fee: int
    paused: int

    refusal: str = ""

    # ------------------------------------------------------------ the pool

    @property
    def tradable(self) -> bool:
        """No refusal, not paused, and every balance above zero."""
        return not (self.refusal or self.paused) and all(self.balances)

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
        """The pools of `PoolCreated`, which names them: nothing is asked of the chain."""
        yield from ()
        return tuple(Found(cls.FAMILY, pool, factory.address) for pool in announced_pools(logs, factory))

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The whole state of a pool. Raises `AdmissionRefused`."""
        raise NotImplementedError

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The pool of the id in a Vault's log, `ALL_POOLS` for the Vault's own pause, else the contract. Raises `BadLog`."""
        if not log.topics or log.topics[0] not in _OF_VAULT:
            return ALL_POOLS if log.address == VAULT else log.address
        if log.address != VAULT:
            raise BadLog(BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()}, which is not the Vault")
        if len(log.topics) < 2:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, "the event names a pool by its first indexed word")
        return pool_address(log.topics[1])

    @property
    def log_sources(self) -> tuple[bytes, ...]:
        """The Vault and the pool."""
        return VAULT, self.address

    @property
    def holder(self) -> bytes:
        """The Vault."""
        return VAULT

    def slots(self) -> tuple[AccountSlots, ...]:
        """What the Vault reads for every swap; balances are under hashed keys and pools differ by generation: see `probes`."""
        return SWAP_SLOTS

    def probes(self) -> tuple[View, ...]:
        """Queries that between them trade every token: they go through the Vault's balances, the pool and what it asks."""
        traded = [self.tokens.index(token) for token in self._traded()]
        return tuple(
            probe(self.pool_id, self.tokens[k], self.tokens[m], max(self.balances[k] // 1000, 1))
            for k, m in pairwise(traded)
        )

    def at(self, timestamp: int) -> Self:
        """Itself: time changes nothing."""
        return self

    def moves(self, before: int, after: int) -> bool:
        """Never: weights stand still. Stable pools say otherwise."""
        return False

    # ------------------------------------------------------------ what the chain did

    def apply(self, log: Log) -> Self:
        """The state after a log of the Vault with this pool's id, or of the pool. Raises `BadLog`."""
        topic = log.topics[0] if log.topics else b""
        if topic not in self.LOG_TOPICS:
            raise BadLog(BadLogReason.WRONG_TOPIC, f"pool 0x{self.address.hex()} does not listen to 0x{topic.hex()}")
        if topic in _OF_VAULT:
            return self._apply_vault(topic, log)
        if log.address != self.address and not (topic == PAUSED_STATE_CHANGED and log.address == VAULT):
            raise BadLog(BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()} given to 0x{self.address.hex()}")
        return self._apply_own(topic, log)

    def _apply_vault(self, topic: bytes, log: Log) -> Self:
        if log.address != VAULT:
            raise BadLog(BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()}, which is not the Vault")
        expected = 3 if topic == POOL_BALANCE_CHANGED else 4
        if len(log.topics) != expected:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"the event has {expected} topics, this log {len(log.topics)}")
        if log.topics[1] != self.pool_id:
            raise BadLog(BadLogReason.WRONG_CONTRACT, f"log of pool id 0x{log.topics[1].hex()}")
        if topic == POOL_BALANCE_CHANGED:
            return self._joined(log.data)
        if len(log.data) != 64:
            raise BadLog(BadLogReason.WRONG_LENGTH, f"the event carries 64 bytes, this log {len(log.data)}")
        first, second = word(log.data, 0), word(log.data, 1)
        if topic == POOL_BALANCE_MANAGED:
            k = self._index(log.topics[3][12:])
            moved = signed(second)
            return self._moved({k: signed(first) + moved}, {k: moved})
        sold, bought = self._index(log.topics[2][12:]), self._index(log.topics[3][12:])
        if sold == bought:
            raise BadLog(BadLogReason.OUT_OF_RANGE, "a swap of a token for itself")
        return self._moved({sold: first, bought: -second})

    def _joined(self, data: bytes) -> Self:
        """A join or exit: each balance changes by what came in or went out, less the protocol fees paid out of it."""
        n = len(self.tokens)
        size = 3 + 3 * (n + 1)
        if len(data) != 32 * size:
            raise BadLog(
                BadLogReason.WRONG_LENGTH, f"the event of {n} tokens carries {32 * size} bytes, this log {len(data)}"
            )
        starts = [4 + part * (n + 1) for part in range(3)]
        if any(word(data, part) != 32 * (starts[part] - 1) or word(data, starts[part] - 1) != n for part in range(3)):
            raise BadLog(BadLogReason.WRONG_LENGTH, "the arrays are not where the event has them")
        tokens = tuple(word(data, starts[0] + k).to_bytes(32, "big")[12:] for k in range(n))
        if tokens != self.tokens:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, "the event lists other tokens than this pool has")
        return self._moved({k: signed(word(data, starts[1] + k)) - word(data, starts[2] + k) for k in range(n)})

    def _apply_own(self, topic: bytes, log: Log) -> Self:
        value = self._only_word(log)
        if topic == SWAP_FEE_CHANGED:
            return self._owned(swap_fee=value)
        if value > 1:
            raise BadLog(BadLogReason.OUT_OF_RANGE, f"a truth of {value}")
        bit = VAULT_PAUSED if log.address == VAULT else POOL_PAUSED
        return self._with(paused=self.paused | bit if value else self.paused & ~bit)

    def _owned(self, **changes: Any) -> Self:
        """After an owner's word. Raises `BadLog` for one that no contract would take."""
        try:
            return self._with(**changes)._checked()
        except BadState as error:
            raise BadLog(BadLogReason.OUT_OF_RANGE, str(error)) from None

    def _only_word(self, log: Log, topics: int = 1) -> int:
        if len(log.topics) != topics:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"the event has {topics} topics, this log {len(log.topics)}")
        if len(log.data) != 32:
            raise BadLog(BadLogReason.WRONG_LENGTH, f"the event carries 32 bytes, this log {len(log.data)}")
        return word(log.data, 0)

    def _index(self, token: bytes) -> int:
        if token not in self.tokens:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"pool 0x{self.address.hex()} has no token 0x{token.hex()}")
        return self.tokens.index(token)

    def _moved(self, total: Mapping[int, int], managed: Mapping[int, int] | None = None) -> Self:
        balances, taken = list(self.balances), list(self.managed)
        for k, change in total.items():
            balances[k] += change
        for k, change in (managed or {}).items():
            taken[k] += change
        for balance, out in zip(balances, taken, strict=True):
            if balance > MAX_BALANCE:
                raise BadLog(BadLogReason.OVERFLOW, f"a balance of {balance} exceeds 112 bits")
            if not 0 <= out <= balance:
                raise BadLog(BadLogReason.CONTRADICTS_STATE, f"a balance would be {balance}, {out} of it managed")
        return self._with(balances=tuple(balances), managed=tuple(taken))

    # ------------------------------------------------------------ what a trade would do

    def quote(self, token_in: bytes, amount_in: int, token_out: bytes | None = None) -> Quote:
        """A swap of kind GIVEN_IN. Raises `QuoteRefused` where it reverts or pays nothing."""
        direction = self._direction(token_in, token_out)
        if (closed := self._closed()) is not None:
            raise closed
        return self._sold(direction, amount_in)

    def quote_exact_out(self, token_in: bytes, amount_out: int, token_out: bytes | None = None) -> Quote:
        """A swap of kind GIVEN_OUT. Raises `QuoteRefused` where it reverts."""
        direction = self._direction(token_in, token_out)
        if (closed := self._closed()) is not None:
            raise closed
        return self._bought(direction, amount_out)

    def _sold(self, direction: Direction, amount_in: int) -> Quote:
        if amount_in <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, f"amount in {amount_in}")
        try:
            amount_out = self.given_in(*direction, amount_in)
        except Reverts as reverts:
            raise QuoteRefused(QuoteRefusal.INSUFFICIENT_LIQUIDITY, str(reverts)) from None
        if amount_out == 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount in {amount_in} buys nothing")
        return self._quoted(direction, amount_in, amount_out)

    def _bought(self, direction: Direction, amount_out: int) -> Quote:
        if amount_out <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount out {amount_out}")
        try:
            amount_in = self.given_out(*direction, amount_out)
        except Reverts as reverts:
            raise QuoteRefused(QuoteRefusal.INSUFFICIENT_LIQUIDITY, str(reverts)) from None
        return self._quoted(direction, amount_in, amount_out)

    def given_in(self, sold: int, bought: int, amount_in: int) -> int:
        """What `onSwap` of kind GIVEN_IN answers, tokens by index; may be 0. Raises `Reverts`."""
        raise NotImplementedError

    def given_out(self, sold: int, bought: int, amount_out: int) -> int:
        """What `onSwap` of kind GIVEN_OUT answers, tokens by index. Raises `Reverts`."""
        raise NotImplementedError

    def limits(self, token_in: bytes, token_out: bytes | None = None) -> Limits:
        """The bounds of this direction. Raises `QuoteRefused` for tokens that the pool does not trade."""
        direction = self._direction(token_in, token_out)
        if self._closed() is not None:
            return Limits(0, 0)
        return Limits(self._most_in(direction), self._most_out(direction))

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """Natural logarithm of the marginal price after fee at zero size, minus infinity where nothing can be traded."""
        raise NotImplementedError

    def constant_product(self, token_in: bytes, token_out: bytes | None = None) -> ConstantProduct:
        """Always `QuoteRefused`: rounding makes even equal weights no plain constant product."""
        raise QuoteRefused(QuoteRefusal.NO_SINGLE_CURVE, "a Balancer curve is no constant product")

    # ------------------------------------------------------------ what each kind has

    def _modelled(self) -> bool:
        """Whether it is known which code this pool runs."""
        raise NotImplementedError

    def _most_in(self, direction: Direction) -> int:
        raise NotImplementedError

    def _most_out(self, direction: Direction) -> int:
        raise NotImplementedError

    # ------------------------------------------------------------ inside

    def _direction(self, token_in: bytes, token_out: bytes | None) -> Direction:
        known = self._traded()
        if token_out is None and len(known) == 2 and token_in in known:
            token_out = known[1 - known.index(token_in)]
        if token_in not in known or token_out not in known or token_in == token_out:
            wanted = f"0x{token_in.hex()}" + (f" to 0x{token_out.hex()}" if token_out is not None else "")
            raise QuoteRefused(QuoteRefusal.UNKNOWN_TOKEN, f"{wanted} in pool 0x{self.address.hex()}")
        return Direction(self.tokens.index(token_in), self.tokens.index(token_out))

    def _closed(self) -> QuoteRefused | None:
        """Why nothing can be traded at all, None where something can."""
        if not self._modelled():
            return QuoteRefused(QuoteRefusal.NOT_MODELLED, f"the pool is refused: {self.refusal}")
        if self.paused:
            paused = "Vault" if self.paused & VAULT_PAUSED else "pool"
            return QuoteRefused(QuoteRefusal.NOT_MODELLED, f"the {paused} is paused")
        if not all(self.balances):
            return QuoteRefused(QuoteRefusal.NO_LIQUIDITY, f"balances {self.balances}")
        return None

    def _traded(self) -> tuple[bytes, ...]:
        return self.tokens

    def _quoted(self, direction: Direction, amount_in: int, amount_out: int) -> Quote:
        sold, bought = direction
        balances = list(self.balances)
        balances[sold] += amount_in
        balances[bought] -= amount_out
        if balances[sold] > MAX_BALANCE:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, f"a balance of {balances[sold]} exceeds 112 bits")
        if balances[bought] < self.managed[bought]:
            raise QuoteRefused(QuoteRefusal.INSUFFICIENT_LIQUIDITY, f"{amount_out} is more than the pool has in cash")
        return Quote(amount_in, amount_out, self.GAS, self._with(balances=tuple(balances)))

    def _bounded(self, most: int, trade: Callable[[Direction, int], Quote], direction: Direction) -> int:
        """`most`, or less where the Vault or a loop stops the trade before."""
        while most > 0:
            try:
                trade(direction, most)
            except QuoteRefused as refused:
                if refused.reason is QuoteRefusal.ZERO_OUTPUT:
                    return 0
                most //= 2
            else:
                return most
        return 0

    def _with(self, **changes: Any) -> Self:
        return msgspec.structs.replace(self, **changes)

    def _admitted(self) -> Self:
        """This state. Raises `AdmissionRefused` where it is none."""
        try:
            return self._checked()
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, str(error)) from None

    def _checked(self) -> Self:
        n = len(self.tokens)
        check_tokens(self.FAMILY, self.address, self.tokens, self.MAX_TOKENS)
        check_lengths(self.FAMILY, n, scaling=self.scaling, balances=self.balances, managed=self.managed)
        check_words(
            self.FAMILY, scaling=self.scaling, balances=self.balances, managed=self.managed, fee=(self.swap_fee,)
        )
        if len(self.pool_id) != 32 or pool_address(self.pool_id) != self.address:
            raise BadState(f"{self.FAMILY}: pool id 0x{self.pool_id.hex()} is not of pool 0x{self.address.hex()}")
        if any(
            balance > MAX_BALANCE or out > balance for balance, out in zip(self.balances, self.managed, strict=True)
        ):
            raise BadState(f"{self.FAMILY}: balances {self.balances} (managed {self.managed}) exceed their limit")
        if not all(self.scaling) or self.swap_fee >= ONE or self.paused & ~(POOL_PAUSED | VAULT_PAUSED):
            raise BadState(
                f"{self.FAMILY}: scaling {self.scaling}, fee {self.swap_fee} or paused {self.paused} is no state"
            )
        return self


class WeightedPool(VaultPool, frozen=True):
    """A pool with fixed weights (18 decimals, summing to one). `pow_version` is "v1" for pools of the first factories and "v2" since: it
    decides how powers round. Make one with `from_plain`, which checks the limits; the rest keeps them."""

    FAMILY: ClassVar[str] = "balancer_v2_weighted"
    #: 87,000 to 117,000, the more with a price oracle; tokens that keep a history of balances take up to 70,000 more.
    GAS: ClassVar[int] = 105_000
    LEAST_GAS: ClassVar[int] = GAS
    MAX_TOKENS: ClassVar[int] = 8
    PLAIN: ClassVar[tuple[type, ...]] = (bytes, bytes, tuple, tuple, tuple, tuple, int, int, str, tuple, str)

    weights: tuple[int, ...] = ()
    pow_version: str = ""

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The state as the Vault, the pool and its tokens tell it. Raises `AdmissionRefused`; a factory of a variant that is not known makes
        pools that come back refused."""
        facts = yield from read_vault_pool(found, factory, (view(found.address, _GET_WEIGHTS),), lambda token: ())
        weights = array_of(facts.own[0])
        if weights is None:
            shown = f"0x{found.address.hex()}"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, f"{shown} is a pool of the Vault without weights")
        check_scaling(facts, (ONE,) * len(facts.tokens))
        powers = _POWERS.get(factory.variant if factory else "?", "")
        state = cls(
            found.address, facts.pool_id, facts.tokens, facts.scaling, facts.balances, facts.managed, facts.swap_fee,
            facts.paused, "" if powers else BalancerRefusal.UNKNOWN_POOL_TYPE.value, weights, powers,
        )  # fmt: skip
        return state._admitted()

    def _modelled(self) -> bool:
        return bool(self.pow_version)

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """ln of (balance out / weight out) / (balance in / weight in) less the fee."""
        sold, bought = self._direction(token_in, token_out)
        if not self.tradable:
            return -float("inf")
        gained = self.balances[bought] * self.weights[sold] * (ONE - self.swap_fee)
        return log(gained) - log(self.balances[sold] * self.weights[bought] * ONE)

    def given_in(self, sold: int, bought: int, amount_in: int) -> int:
        """What `onSwap` of kind GIVEN_IN answers, tokens by index; may be 0. Raises `Reverts`."""
        after_fee = u256(amount_in - mul_up(amount_in, self.swap_fee))
        scaled = u256(after_fee * self.scaling[sold])
        amount = weighted.out_given_in(*self._sides(sold, bought), scaled, PowVersion(self.pow_version))
        return amount // self.scaling[bought]

    def given_out(self, sold: int, bought: int, amount_out: int) -> int:
        """What `onSwap` of kind GIVEN_OUT answers, tokens by index. Raises `Reverts`."""
        scaled = u256(amount_out * self.scaling[bought])
        amount = weighted.in_given_out(*self._sides(sold, bought), scaled, PowVersion(self.pow_version))
        before_fee = -(-amount // self.scaling[sold])
        return div_up(before_fee, ONE - self.swap_fee)

    def _sides(self, sold: int, bought: int) -> tuple[int, int, int, int]:
        """Balance and weight of either token, balances with 18 decimals: 112 bits and 18 decimals never overflow."""
        balances, scaling, weights = self.balances, self.scaling, self.weights
        return balances[sold] * scaling[sold], weights[sold], balances[bought] * scaling[bought], weights[bought]

    def _most_in(self, direction: Direction) -> int:
        """The input whose part after the fee is 30 % of the balance, less where the Vault cannot hold it or pay for it."""
        sold, bought = direction
        after_fee = mul_down(self.balances[sold] * self.scaling[sold], weighted.MAX_RATIO) // self.scaling[sold]
        most = min(after_fee * ONE // (ONE - self.swap_fee), MAX_BALANCE - self.balances[sold])
        if self.managed[bought] == 0 and self.balances[bought] >= _SURELY_PAYS and most >= after_fee > 0:
            return most
        return self._bounded(most, self._sold, direction)

    def _most_out(self, direction: Direction) -> int:
        """30 % of the balance, less where the Vault cannot hold the input that it costs."""
        sold, bought = direction
        most = mul_down(self.balances[bought] * self.scaling[bought], weighted.MAX_RATIO) // self.scaling[bought]
        exponent = self.weights[bought] / self.weights[sold]
        # (1 / 0.7) ** exponent is what the balance in grows to, before the fee.
        bits = self.balances[sold].bit_length() + exponent * _BITS_OF_GROWTH - log2(1 - self.swap_fee / ONE)
        if self.managed[bought] == 0 and bits < _SURELY_HELD and most > 0:
            return most
        return self._bounded(most, self._bought, direction)

    def _checked(self) -> Self:
        super()._checked()
        check_lengths(self.FAMILY, len(self.tokens), weights=self.weights)
        check_words(self.FAMILY, weights=self.weights)
        if not all(self.weights) or sum(self.weights) != ONE:
            raise BadState(f"{self.FAMILY}: weights {self.weights} do not sum to one")
        if self.pow_version not in _VERSIONS and not (self.refusal and not self.pow_version):
            raise BadState(f"{self.FAMILY}: no version {self.pow_version!r} of powers")
        return self
