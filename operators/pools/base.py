"""The interface of a pool family: immutable states, exact integer quotes, typed refusals.

A family is one class in one file: its instances are the states of its pools. The search, the graph and the flows know
pools only through `Pool`, so a family is added without touching them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

#: Plain data of a state (bytes, integers, strings, tuples of them): what snapshots hold, so that a moved class never
#: stops a restart.
Plain = tuple[Any, ...]


class BadLogReason(StrEnum):
    """Why a log cannot be applied to a pool."""

    WRONG_CONTRACT = "wrong_contract"
    WRONG_TOPIC = "wrong_topic"
    WRONG_TOPIC_COUNT = "wrong_topic_count"
    WRONG_LENGTH = "wrong_length"
    OVERFLOW = "overflow"
    #: A tick or a price that no pool of the family can have.
    OUT_OF_RANGE = "out_of_range"
    #: A log that cannot follow on the state: something before it is missing or doubled.
    CONTRADICTS_STATE = "contradicts_state"


class BadLog(ValueError):
    """A log that is not what its pool's contract emits. The pool's state is unknown from here on: suspend it."""

    def __init__(self, reason: BadLogReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class QuoteRefusal(StrEnum):
    """Why a pool would not make a trade."""

    UNKNOWN_TOKEN = "unknown_token"
    NO_LIQUIDITY = "no_liquidity"
    ZERO_INPUT = "zero_input"
    ZERO_OUTPUT = "zero_output"
    INSUFFICIENT_LIQUIDITY = "insufficient_liquidity"
    INVARIANT = "invariant"
    OVERFLOW = "overflow"
    #: The price limit is behind the price, or beyond what the protocol allows.
    PRICE_LIMIT = "price_limit"
    #: The pool does what the family's arithmetic does not know; its own refusal says what.
    NOT_MODELLED = "not_modelled"
    #: The direction is no single constant-product curve.
    NO_SINGLE_CURVE = "no_single_curve"


class QuoteRefused(ValueError):
    """A trade that the pool's contract would revert."""

    def __init__(self, reason: QuoteRefusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadState(ValueError):
    """A record or snapshot that is no state of its family; the message names the field and its limit."""


class Found(NamedTuple):
    """A pool that a factory announced or a configuration named, before anything was asked of it.

    `address` is its key. `seed` holds what the announcement said and the chain's state does not (`PoolRecord.seed`).
    """

    family: str
    address: bytes
    factory: bytes
    seed: bytes = b""


class AdmissionReason(StrEnum):
    """Why an address is not a pool of a family. A pool that is one but is not modelled has a `refusal` in its state instead."""

    #: It does not answer as a pool of the family does.
    NOT_THIS_FAMILY = "not_this_family"
    #: No configured factory makes a pool like it at this address.
    UNKNOWN_FACTORY = "unknown_factory"
    #: It answers, but contradicts itself or its family's limits.
    BAD_STATE = "bad_state"


class AdmissionRefused(ValueError):
    """A reading that ends without a pool."""

    def __init__(self, reason: AdmissionReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


#: What `Pool.key_of` answers for a log that concerns every pool of its family.
ALL_POOLS = b""


class ConstantProduct(NamedTuple):
    """One direction of a pool that trades by `x * y = k`, after its fee: what the closed form of sizing reads.

    `out = kept * reserve_out * x // (scale * reserve_in + kept * x)`, amounts and reserves in base units. `kept / scale`
    is the part of the input that is left after the fee. `max_in` is the largest input the contract can take.
    """

    kept: int
    scale: int
    reserve_in: int
    reserve_out: int
    max_in: int

    def out(self, amount_in: int) -> int:
        """What the pool pays for `amount_in`: the largest output its invariant allows. 0 means: it would revert."""
        after_fee = self.kept * amount_in
        return after_fee * self.reserve_out // (self.scale * self.reserve_in + after_fee)

    def least_in(self, amount_out: int) -> int:
        """The smallest input for which `out` is at least `amount_out`, which must be below `reserve_out`."""
        numerator = self.scale * self.reserve_in * amount_out
        return -(-numerator // (self.kept * (self.reserve_out - amount_out)))


class Limits(NamedTuple):
    """Bounds of one direction in base units: inputs up to `amount_in` and outputs up to `amount_out` can be traded."""

    amount_in: int
    amount_out: int


class Pool(Protocol):
    """A state of a pool. Every method is a pure function of the state; `apply` and quotes return new states.

    Amounts are base units of the token named. `token_out` may be left out where the pool has two tokens.
    """

    #: The name in records.
    FAMILY: ClassVar[str]
    #: First topics of the logs that change a state.
    LOG_TOPICS: ClassVar[tuple[bytes, ...]]
    #: No trade is estimated to cost less gas than this (`Quote.gas`).
    LEAST_GAS: ClassVar[int]
    #: First topics of the logs by which a factory announces a pool.
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]]
    #: Whether a pool is known to be its factory's by its address (CREATE2, EIP-1014): the factory's `init_code_hash` must then be configured.
    CREATE2: ClassVar[bool]
    #: Whether time alone can change a quote (`moves`): such pools are brought to a block's time before its logs, and before they are quoted.
    TIMED: ClassVar[bool]

    @property
    def address(self) -> bytes:
        """The 20-byte address; the key of the pool everywhere."""

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The pool's tokens in its contract's order."""

    @property
    def refusal(self) -> str:
        """Empty, or the typed reason for which this pool is tracked but never traded."""

    @property
    def tradable(self) -> bool:
        """Whether the search may use this state: no refusal, and liquidity on every side."""

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""

    # ------------------------------------------------------------ how it is found and read

    @classmethod
    def announced(cls, logs: Sequence[Log], factory: FactoryConfig) -> Reading[tuple[Found, ...]]:
        """The pools that these logs of one factory announce (first topics in `FACTORY_TOPICS`), in order, each once. May ask the chain
        at the block of the last log, where logs do not name the pool. A log that is none of the factory's announcements is passed over."""

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The whole state of a pool at one block of `timestamp`, as plain reads. `factory` is the one it claims to come from, None where
        none is configured. Raises `AdmissionRefused`; a pool that is of the family but not modelled comes back with its `refusal`."""

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The key of the pool that a log with one of `LOG_TOPICS` is about: its contract's address for most, `ALL_POOLS` for a
        singleton's word to all of them. Raises `BadLog` where the log names none."""

    @property
    def log_sources(self) -> tuple[bytes, ...]:
        """The contracts whose logs change this state."""

    @property
    def holder(self) -> bytes:
        """The contract that holds the pool's tokens and pays them out."""

    def slots(self) -> tuple[AccountSlots, ...]:
        """The slots, not of tokens, that a simulated trade around the present price reads and that the family knows by their place."""

    def probes(self) -> tuple[View, ...]:
        """Read-only calls whose traces show the slots of a trade that have no place known beforehand."""

    def at(self, timestamp: int) -> Self:
        """This pool in a block of that time (unix seconds): itself unless what logs or quotes mean depends on the time, which is why it comes
        first in a block. The time is no part of `digest_entry`. Never called unless the family is `TIMED`."""

    def moves(self, before: int, after: int) -> bool:
        """Whether a quote may be another in a block of time `after` than in one of time `before`, this state being otherwise the same."""

    # ------------------------------------------------------------ the state

    def to_plain(self) -> Plain:
        """The state as plain data."""

    def digest_entry(self) -> bytes:
        """Canonical bytes of what the pool is and holds; equal exactly for equal states. The refusal is not in it: who keeps
        pools may refuse one later, without a new state, and digests that themselves."""

    def apply(self, log: Log) -> Self:
        """The state after a log of this pool. Raises `BadLog`."""

    def quote(self, token_in: bytes, amount_in: int, token_out: bytes | None = None) -> Quote:
        """What `amount_in` buys. Raises `QuoteRefused`."""

    def quote_exact_out(self, token_in: bytes, amount_out: int, token_out: bytes | None = None) -> Quote:
        """What `amount_out` costs, in the protocol's own rounding. Raises `QuoteRefused`."""

    def limits(self, token_in: bytes, token_out: bytes | None = None) -> Limits:
        """The bounds of this direction. Raises `QuoteRefused` for a token that the pool does not hold."""

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """Natural logarithm of the marginal price (base units out per base unit in) after fee at zero size, minus
        infinity where nothing can be traded. For screening only, never for amounts."""

    def constant_product(self, token_in: bytes, token_out: bytes | None = None) -> ConstantProduct:
        """This direction as a constant-product curve, which is what sizing understands. Raises `QuoteRefused` where it is none."""


class Quote(NamedTuple):
    """An exact trade: amounts in base units, a gas estimate for this hop alone, and the pool's state after it."""

    amount_in: int
    amount_out: int
    gas: int
    state: Pool


def check_plain(plain: Sequence[object], kinds: Sequence[type], family: str) -> None:
    """Check the shape of plain data of a state. Raises `BadState` naming the position."""
    if len(plain) != len(kinds):
        raise BadState(f"{family}: a plain state has {len(kinds)} fields, this has {len(plain)}")
    for position, (value, kind) in enumerate(zip(plain, kinds, strict=True)):
        if type(value) is not kind:
            raise BadState(f"{family}: field {position} must be {kind.__name__}, not {type(value).__name__}")
