"""Curve's stableswap-ng plain pools of two to eight coins: a fee that grows as the coins leave their peg.

Arithmetic as in `CurveStableSwapNG.vy` where it agrees with deployed code; the version a pool answers does not tell which code it is, so the
code does. `balances` are the stored ones less the admin's, so claims of admin fees change nothing here. Pools with rate oracles or ERC-4626 coins change by other contracts' state and rebasing ones by transfers: refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

from operators.pools.base import AdmissionReason, AdmissionRefused, BadLog, BadLogReason, BadState, Found
from operators.pools.curve import RAMP_A, STOP_RAMP_A, TOKEN_EXCHANGE
from operators.pools.curve_factories import META_DEPLOYED, PLAIN_NG_DEPLOYED
from operators.pools.curve_layout import NG, account
from operators.pools.curve_math.ramp import fixed
from operators.pools.curve_math.stable import Form
from operators.pools.plain_form import check_words
from operators.pools.stableswap import FEE_DENOMINATOR, Contract, CurveRefusal, StableSwap
from operators.pools.views import address_of, selector, uint_of, view, word
from operators.pools.words import Reverts
from operators.simulation.hashes import keccak
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Code, Reading, Slot

ADD_LIQUIDITY = bytes.fromhex("189c623b666b1b45b83d7178f39b8c087cb09774317ca2f53c2d3c3726f222a2")
REMOVE_LIQUIDITY = bytes.fromhex("347ad828e58cbe534d8f6b67985d791360756b18f0d95fd9f197a66cc46480ea")
REMOVE_LIQUIDITY_IMBALANCE = bytes.fromhex("3631c28b1f9dd213e0319fb167b554d76b6c283a41143eb400a0d1adb1af1755")
REMOVE_LIQUIDITY_ONE = bytes.fromhex("6f48129db1f37ccb9cc5dd7e119cb32750cabdf75b48375d730d26ce3659bbe1")
APPLY_NEW_FEE = bytes.fromhex("750d10a7f37466ce785ee6bcb604aac543358db42afbcc332a3c12a49c80bf6d")

CONTRACTS: dict[str, Contract] = {"ng": Contract(Form(100))}

#: keccak256 of runtime code without its immutables, which has been compared with this arithmetic, and how long it is.
CODE_SIZE = 21_685
KNOWN_CODE = frozenset({bytes.fromhex("2e55958ada4cc5bb9707e70abaa62bd8c6455b252f086e4bde260435af23aaa3")})

#: The admin's part of the fees, a constant of that code, in 1e-10.
ADMIN_FEE = 5 * 10**9
_COIN, _N_COINS = selector("coins(uint256)"), selector("N_COINS()")
_OFFPEG, _BASE_POOL = selector("offpeg_fee_multiplier()"), selector("BASE_POOL()")

#: Asset types: 1 has a rate oracle, 3 is an ERC-4626 vault.
_STANDARD_COIN, _REBASING_COIN = 0, 2
_ARRAY = 9  # words of an array of at most eight
_COINS, _KINDS, _RATES = 3, 3 + _ARRAY, 3 + 2 * _ARRAY


class Immutables(NamedTuple):
    """What a pool was made with, which stands behind its code."""

    tokens: tuple[bytes, ...]
    rates: tuple[int, ...]
    kinds: tuple[int, ...]


def immutables(code: bytes) -> Immutables:
    """Read them from the runtime code of a pool whose first `CODE_SIZE` bytes are `KNOWN_CODE`. Raises `BadState`."""
    tail = code[CODE_SIZE:]
    words = [int.from_bytes(tail[k : k + 32], "big") for k in range(0, len(tail), 32)]
    if (
        len(words) < _RATES + _ARRAY
        or not 2 <= words[0] <= 8
        or {words[_COINS], words[_KINDS], words[_RATES]} != {words[0]}
    ):
        raise BadState("curve_ng: the code does not end with a pool's immutables")
    coins, kinds, rates = (words[start + 1 : start + 1 + words[0]] for start in (_COINS, _KINDS, _RATES))
    return Immutables(tuple(coin.to_bytes(32, "big")[12:] for coin in coins), tuple(rates), tuple(kinds))


def refusal_of(logic_hash: bytes, kinds: Sequence[int]) -> CurveRefusal | None:
    """None for a pool that may be traded, else why not. `logic_hash` is keccak256 of the first `CODE_SIZE` bytes of its code."""
    if logic_hash not in KNOWN_CODE:
        return CurveRefusal.UNKNOWN_IMPLEMENTATION
    if _REBASING_COIN in kinds:
        return CurveRefusal.REBASING
    return None if all(kind == _STANDARD_COIN for kind in kinds) else CurveRefusal.RATE_ORACLE


class CurveNgPool(StableSwap, frozen=True):
    """A next-generation pool; `offpeg_multiplier` is in 1e-10. Make one with `from_plain`, which checks the limits."""

    FAMILY: ClassVar[str] = "curve_ng"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        TOKEN_EXCHANGE, ADD_LIQUIDITY, REMOVE_LIQUIDITY, REMOVE_LIQUIDITY_IMBALANCE, REMOVE_LIQUIDITY_ONE, RAMP_A,
        STOP_RAMP_A, APPLY_NEW_FEE,
    )  # fmt: skip
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (PLAIN_NG_DEPLOYED, META_DEPLOYED)
    #: 158,000, of which 17,000 for the first balance of a coin: it keeps averages of prices besides.
    GAS: ClassVar[int] = 150_000
    LEAST_GAS: ClassVar[int] = GAS
    MAX_COINS: ClassVar[int] = 8
    CONTRACTS: ClassVar[Mapping[str, Contract]] = CONTRACTS
    PLAIN: ClassVar[tuple[type, ...]] = (bytes, tuple, tuple, str, tuple, tuple, int, int, int, int, str, int)

    offpeg_multiplier: int = 0

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """By the pool's code: behind known code stand the coins and their rates, and its slots hold the state. Raises `AdmissionRefused`."""
        pool = found.address
        lists = [view(pool, _COIN, k) for k in range(cls.MAX_COINS)]
        asked = (view(pool, _N_COINS), view(pool, _OFFPEG), view(pool, _BASE_POOL))
        code, n_coins, offpeg, base_pool, *listed = yield (Code(pool), *asked, *lists)
        coins = tuple(coin for answer in listed if (coin := address_of(answer)) is not None)
        if not code or uint_of(n_coins) is None or uint_of(offpeg) is None or len(coins) < 2:
            detail = f"0x{pool.hex()} does not answer as a stableswap-ng pool"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail)
        logic = keccak(code[:CODE_SIZE])
        metapool = address_of(base_pool) is not None
        if metapool or logic not in KNOWN_CODE:
            refusal = CurveRefusal.METAPOOL if metapool else CurveRefusal.UNKNOWN_IMPLEMENTATION
            return cls._unmodelled(pool, coins, refusal, timestamp)
        try:
            made = immutables(code)
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, str(error)) from None
        refused = refusal_of(logic, made.kinds)
        if refused:
            return cls._unmodelled(pool, made.tokens, refused, timestamp)
        n = len(made.tokens)
        answers = yield tuple(Slot(pool, word(slot)) for slot in NG.state_slots(n))
        state = NG.state(answers, n)
        return cls(
            pool, made.tokens, made.rates, "ng", state.balances, state.ramp, state.fee, ADMIN_FEE, state.supply,
            timestamp, "", state.offpeg_multiplier,
        )._admitted()  # fmt: skip

    def slots(self) -> tuple[AccountSlots, ...]:
        """What an exchange reads of the pool, by its code's layout; nothing for code that is not known."""
        return account(self.address, NG.swap_slots(len(self.tokens))) if self.implementation else ()

    def _applied(self, topic: bytes, log: Log) -> Self:
        if topic == TOKEN_EXCHANGE:
            return self._exchanged(*self._words(log, 2, 4))
        if topic in (ADD_LIQUIDITY, REMOVE_LIQUIDITY_IMBALANCE):
            amounts, fees, (_, supply) = self._arrays(log, 2)
            # The very first deposit writes no fees.
            return self._liquidity(amounts, fees or [0] * len(amounts), supply, deposit=topic == ADD_LIQUIDITY)
        if topic == REMOVE_LIQUIDITY:
            amounts, _, (supply,) = self._arrays(log, 1)
            return self._liquidity(amounts, [0] * len(amounts), supply, deposit=False)
        if topic == REMOVE_LIQUIDITY_ONE:
            return self._withdrew(*self._words(log, 2, 4)[:3])
        if topic in (RAMP_A, STOP_RAMP_A):
            words = self._words(log, 1, 4 if topic == RAMP_A else 2)
            return self._owned(ramp=tuple(words) if topic == RAMP_A else fixed(words[0])[:])
        fee, multiplier = self._words(log, 1, 2)
        return self._owned(fee=fee, offpeg_multiplier=multiplier)

    def _fee(self, x_i: int, x_j: int) -> int:
        """`_dynamic_fee`: the fee times up to `offpeg_multiplier`, by how far the two balances are apart."""
        return self._dynamic(x_i, x_j, self.fee)

    def _liquidity_fee(self, x: int, even: int) -> int:
        n = len(self.tokens)
        return self._dynamic(x, even, self.fee * n // (4 * (n - 1)))

    def _dynamic(self, x_i: int, x_j: int, fee: int) -> int:
        multiplier = self.offpeg_multiplier
        if multiplier <= FEE_DENOMINATOR:
            return fee
        evenness = (multiplier - FEE_DENOMINATOR) * 4 * x_i * x_j // (x_i + x_j) ** 2
        return multiplier * fee // (evenness + FEE_DENOMINATOR)

    def _arrays(self, log: Log, rest: int) -> tuple[list[int], list[int], list[int]]:
        """Two arrays of one entry a coin (the second may be empty), and `rest` words beside their offsets."""
        words, n = self._words(log, 2), len(self.tokens)
        if len(words) not in (2 + rest + 2 + n, 2 + rest + 2 + 2 * n) or words[2 + rest] != n:
            raise BadLog(BadLogReason.WRONG_LENGTH, f"{len(log.data)} bytes are no event of {n} coins")
        second = 2 + rest + 1 + n
        fees = words[second + 1 :]
        if words[0] != 32 * (2 + rest) or words[1] != 32 * second or words[second] != len(fees):
            raise BadLog(BadLogReason.WRONG_LENGTH, "the arrays are not where the event has them")
        return words[2 + rest + 1 : second], fees, words[2 : 2 + rest]

    def _withdrew(self, i: int, burned: int, paid: int) -> Self:
        if i >= len(self.tokens):
            raise BadLog(BadLogReason.OUT_OF_RANGE, f"coin {i} in a pool of {len(self.tokens)}")
        try:
            amount, fee = self.withdraw_one(burned, i)
        except Reverts as reverts:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"this state would revert: {reverts}") from None
        if amount != paid:
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"the log says {paid} out, this state {amount}")
        return self._withdrew_one(i, burned, paid, fee)

    def _checked(self) -> Self:
        super()._checked()
        check_words(self.FAMILY, offpeg_multiplier=(self.offpeg_multiplier,))
        if self.fee * self.offpeg_multiplier > (FEE_DENOMINATOR // 2) * FEE_DENOMINATOR:
            raise BadState(f"{self.FAMILY}: fee {self.fee} times {self.offpeg_multiplier} exceeds one half")
        return self
