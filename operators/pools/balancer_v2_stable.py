"""Balancer V2's stable pools: the stable, meta-stable and composable generations, with token rates and amplification that may ramp.

Rates come from other contracts. A pool caches each for a duration and asks again in the first swap after it; so a rate is known
until its cache expires, and a quote for a later block is refused. Swaps against a composable pool's own token are joins and exits
with protocol fees and are refused too: that token is in `tokens` because the Vault lists it, and is not traded.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import ClassVar, NamedTuple, Self

from operators.pools.balancer_math import stable
from operators.pools.balancer_math.fixed_point import ONE, div_down, div_up, mul_down, mul_up
from operators.pools.balancer_math.stable import AMP_PRECISION, InvariantVersion
from operators.pools.balancer_v2 import MAX_BALANCE, BalancerRefusal, Direction, VaultPool, word
from operators.pools.balancer_vault import VaultFacts, check_scaling, probe, read_vault_pool
from operators.pools.base import (
    AdmissionReason,
    AdmissionRefused,
    BadLog,
    BadLogReason,
    BadState,
    Found,
    QuoteRefusal,
    QuoteRefused,
)
from operators.pools.curve_math.ramp import Ramp, fixed
from operators.pools.plain_form import check_lengths, check_ramp, check_words
from operators.pools.views import array_of, selector, view, words_of
from operators.pools.views import word as abi_word
from operators.pools.words import Reverts, u256
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.reads import Reading, Slot, View

AMP_UPDATE_STARTED = bytes.fromhex("1835882ee7a34ac194f717a35e09bb1d24c82a3b9d854ab6c9749525b714cdf2")
AMP_UPDATE_STOPPED = bytes.fromhex("a0d01593e47e69d07e0ccd87bece09411e07dd1ed40ca8f2e7af2976542a0233")
#: By index of the token, by token in the pools before, and by token in meta-stable pools; the same for the duration.
RATE_BY_INDEX = bytes.fromhex("b77a83204ca282e08dc3a65b0a1ca32ea4e6875c38ef0bf5bf75e52a67354fac")
RATE_BY_TOKEN = bytes.fromhex("cfed57d90913b5ee1895919dcccaff83a9f7a842d912ef137272e5fc6123aa86")
PRICE_RATE = bytes.fromhex("c1a224b14823b63c7711127f125fbf592434682f38881ebb61408747a303affc")
PROVIDER_BY_INDEX = bytes.fromhex("dd6d1c9badb346de6925b358a472c937b41698d2632696759e43fd6527feeec4")
PROVIDER_BY_TOKEN = bytes.fromhex("f00a2bf8c71db611a21183e0a96869752bcd9da29372fa76f865eed4fdd540d1")
PRICE_PROVIDER = bytes.fromhex("ca6c2c5b6b44b5f3f0c08f0e28e5b6deda1cb38c3fe1113e8031d926c1e8c6d0")

_BY_INDEX = (RATE_BY_INDEX, PROVIDER_BY_INDEX)
_RATES = (RATE_BY_INDEX, RATE_BY_TOKEN, PRICE_RATE)
_PROVIDERS = (PROVIDER_BY_INDEX, PROVIDER_BY_TOKEN, PRICE_PROVIDER)
#: What pools pack a rate and a duration into.
_LARGEST_RATE, _LONGEST_DURATION = 2**96 - 1, 2**32 - 1
#: `own_token` of a pool whose own token is not among its tokens.
NO_OWN_TOKEN = 2**256 - 1
#: `expires` of a token without a rate provider: never.
NEVER = 2**256 - 1

_GET_AMP, _GET_PROVIDERS = selector("getAmplificationParameter()"), selector("getRateProviders()")


class Variant(NamedTuple):
    """What a generation has of its own: its invariant, and the view that tells a token's cached rate."""

    invariant: InvariantVersion
    rate_cache: bytes


#: What `FactoryConfig.variant` may say of stable pools: "" and "meta" for the stable and meta-stable pools of 2021, "composable" for the
#: composable ones, in all their versions. The phantom pools between them are none of these.
_VARIANTS = {
    "": Variant(InvariantVersion.ROUNDED, selector("getPriceRateCache(address)")),
    "meta": Variant(InvariantVersion.ROUNDED, selector("getPriceRateCache(address)")),
    "composable": Variant(InvariantVersion.DOWN, selector("getTokenRateCache(address)")),
}
#: Slots among which every generation keeps its amplification: four numbers of 64 bits.
_AMP_SLOTS, _AMP_PART = range(32), 64
_VERSIONS = frozenset(version.value for version in InvariantVersion)


class StablePool(VaultPool, frozen=True):
    """`rates` have 18 decimals (one where a token has none), `durations` and `expires` are seconds (`NEVER` without a provider). `own_token` is
    the index of the pool's own token, or `NO_OWN_TOKEN`. `ramp` is A * n^(n-1) with three decimals. `invariant_version` is "rounded" for
    pools until the stable phantom ones and "down" since. `timestamp` is the time of the block that quotes are for.

    Make one with `from_plain`, which checks the limits; the rest keeps them.
    """

    FAMILY: ClassVar[str] = "balancer_v2_stable"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        *VaultPool.LOG_TOPICS, AMP_UPDATE_STARTED, AMP_UPDATE_STOPPED, *_RATES, *_PROVIDERS,
    )  # fmt: skip
    TIMED: ClassVar[bool] = True
    #: 117,000 (recorded receipt) to 137,000, of which 17,000 for the first balance of a token.
    GAS: ClassVar[int] = 125_000
    LEAST_GAS: ClassVar[int] = GAS
    MAX_TOKENS: ClassVar[int] = 6
    PLAIN: ClassVar[tuple[type, ...]] = (
        bytes, bytes, tuple, tuple, tuple, tuple, int, int, str, tuple, tuple, tuple, int, tuple, str, int,
    )  # fmt: skip

    rates: tuple[int, ...] = ()
    durations: tuple[int, ...] = ()
    expires: tuple[int, ...] = ()
    own_token: int = NO_OWN_TOKEN
    ramp: tuple[int, int, int, int] = (0, 0, 0, 0)
    invariant_version: str = ""
    timestamp: int = 0

    @property
    def tradable(self) -> bool:
        """No refusal, not paused, every balance above zero, and every rate known at `timestamp`."""
        return super().tradable and self._rates_known()

    @property
    def amp(self) -> int:
        """A * n^(n-1) with three decimals at `timestamp`."""
        return Ramp(*self.ramp).at(self.timestamp)

    def at(self, timestamp: int) -> Self:
        """This pool in a block of that time."""
        return self if timestamp == self.timestamp else self._with(timestamp=timestamp)

    def moves(self, before: int, after: int) -> bool:
        """Where the amplification is another, or a cached rate is known at one of the times and not at the other."""
        ramp = Ramp(*self.ramp)
        if ramp.at(before) != ramp.at(after):
            return True
        return any((before <= expires) != (after <= expires) for expires in self.expires)

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """ln of dy/dx of the invariant times the rates, less the fee."""
        sold, bought = self._direction(token_in, token_out)
        if not self.tradable:
            return -float("inf")
        factors = self._factors()
        try:
            balances, d = self._invariant(factors)
        except Reverts:
            return -float("inf")
        n, d_p = len(balances), d
        for balance in balances:
            d_p = d_p * d // (balance * n)
        x, y = balances[self._shifted(sold)], balances[self._shifted(bought)]
        steep_in = (self.amp * n * x + AMP_PRECISION * d_p) * y
        steep_out = (self.amp * n * y + AMP_PRECISION * d_p) * x
        return log(steep_in * factors[sold] * (ONE - self.swap_fee)) - log(steep_out * factors[bought] * ONE)

    # ------------------------------------------------------------ how it is read

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The state as the Vault, the pool and its tokens tell it; while the amplification moves, its ends come out of the pool's storage.
        Raises `AdmissionRefused`."""
        variant = _VARIANTS.get(factory.variant if factory else "?")
        asked = (view(found.address, _GET_AMP), view(found.address, _GET_PROVIDERS))
        facts = yield from read_vault_pool(
            found, factory, asked, lambda token: (view(found.address, variant.rate_cache, token),) if variant else ()
        )
        amp = words_of(facts.own[0])
        if len(amp) != 3 or amp[2] != AMP_PRECISION:
            shown = f"0x{found.address.hex()}"
            raise AdmissionRefused(
                AdmissionReason.NOT_THIS_FAMILY, f"{shown} is a pool of the Vault without amplification"
            )
        refusal = "" if variant else BalancerRefusal.UNKNOWN_POOL_TYPE.value
        ramp: Ramp | None = fixed(amp[0])
        if amp[1]:
            ramp = yield from _read_ramp(found.address, amp[0], timestamp)
            refusal = refusal or ("" if ramp else BalancerRefusal.UNKNOWN_RAMP.value)
        caches = _caches(facts)
        if variant:
            check_scaling(facts, [cache.rate for cache in caches])
        if any(cache.expires != NEVER and not cache.duration for cache in caches):
            refusal = refusal or BalancerRefusal.UNCACHED_RATE.value
        own_token = facts.tokens.index(found.address) if found.address in facts.tokens else NO_OWN_TOKEN
        state = cls(
            found.address, facts.pool_id, facts.tokens, facts.scaling, facts.balances, facts.managed, facts.swap_fee,
            facts.paused, refusal, tuple(cache.rate for cache in caches), tuple(cache.duration for cache in caches),
            tuple(cache.expires for cache in caches), own_token, (ramp or fixed(amp[0]))[:],
            variant.invariant.value if variant else "", timestamp,
        )  # fmt: skip
        return state._admitted()

    def probes(self) -> tuple[View, ...]:
        """One query: the Vault hands such a pool all its balances."""
        sold, bought = self._traded()[:2]
        amount = max(self.balances[self.tokens.index(sold)] // 1000, 1)
        return (probe(self.pool_id, sold, bought, amount),)

    # ------------------------------------------------------------ what the chain did

    def _apply_own(self, topic: bytes, log: Log) -> Self:
        if topic in _RATES:
            k, rate = self._of_token(topic, log), self._only_word(log, 2)
            return self._cached(k, rate, self.durations[k])
        if topic in _PROVIDERS:
            # The rate was read again just before, in an event of its own, with the duration before this one.
            k, duration = self._of_token(topic, log), self._only_word(log, 3)
            return self._cached(k, self.rates[k], duration)
        if topic == AMP_UPDATE_STOPPED:
            return self._owned(ramp=fixed(self._only_word(log))[:])
        if topic == AMP_UPDATE_STARTED:
            if len(log.topics) != 1:
                raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"the event has 1 topic, this log {len(log.topics)}")
            if len(log.data) != 128:
                raise BadLog(BadLogReason.WRONG_LENGTH, f"the event carries 128 bytes, this log {len(log.data)}")
            return self._owned(ramp=tuple(word(log.data, k) for k in range(4)))
        return super()._apply_own(topic, log)

    def _of_token(self, topic: bytes, log: Log) -> int:
        if len(log.topics) < 2:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, "the event names a token")
        if topic not in _BY_INDEX:
            return self._index(log.topics[1][12:])
        k = int.from_bytes(log.topics[1], "big")
        if k >= len(self.tokens):
            raise BadLog(BadLogReason.OUT_OF_RANGE, f"token {k} of {len(self.tokens)}")
        return k

    def _cached(self, k: int, rate: int, duration: int) -> Self:
        """After a token's rate was read in a block of `timestamp`."""
        rates, durations, expires = (
            (*values[:k], value, *values[k + 1 :])
            for values, value in (
                (self.rates, rate), (self.durations, duration), (self.expires, self.timestamp + duration)
            )
        )  # fmt: skip
        return self._owned(rates=rates, durations=durations, expires=expires)

    # ------------------------------------------------------------ what a trade would do

    def _modelled(self) -> bool:
        return bool(self.invariant_version) and self.refusal != BalancerRefusal.UNKNOWN_RAMP

    def _traded(self) -> tuple[bytes, ...]:
        return tuple(token for k, token in enumerate(self.tokens) if k != self.own_token)

    def _closed(self) -> QuoteRefused | None:
        if not self._rates_known():
            return QuoteRefused(QuoteRefusal.NOT_MODELLED, f"a cached rate has expired at {self.timestamp}")
        return super()._closed()

    def _rates_known(self) -> bool:
        # The contract asks again strictly after the time of expiry.
        return all(self.timestamp <= expires for expires in self.expires)

    def given_in(self, sold: int, bought: int, amount_in: int) -> int:
        """What `onSwap` of kind GIVEN_IN answers, tokens by index; may be 0. Raises `Reverts`."""
        factors = self._factors()
        after_fee = u256(amount_in - mul_up(amount_in, self.swap_fee))
        scaled = mul_down(after_fee, factors[sold])
        balances, invariant = self._invariant(factors)
        i, j = self._shifted(sold), self._shifted(bought)
        return div_down(stable.out_given_in(self.amp, balances, i, j, scaled, invariant), factors[bought])

    def given_out(self, sold: int, bought: int, amount_out: int) -> int:
        """What `onSwap` of kind GIVEN_OUT answers, tokens by index. Raises `Reverts`."""
        factors = self._factors()
        scaled = mul_down(amount_out, factors[bought])
        balances, invariant = self._invariant(factors)
        i, j = self._shifted(sold), self._shifted(bought)
        before_fee = div_up(stable.in_given_out(self.amp, balances, i, j, scaled, invariant), factors[sold])
        return div_up(before_fee, ONE - self.swap_fee)

    def _factors(self) -> list[int]:
        """What brings base units to 18 decimals, itself with 18."""
        return [scale * rate for scale, rate in zip(self.scaling, self.rates, strict=True)]

    def _invariant(self, factors: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The balances in 18 decimals without the pool's own token, and their invariant."""
        pairs = enumerate(zip(self.balances, factors, strict=True))
        kept = tuple(mul_down(balance, factor) for k, (balance, factor) in pairs if k != self.own_token)
        return kept, stable.swap_invariant(self.amp, kept, InvariantVersion(self.invariant_version))

    def _shifted(self, k: int) -> int:
        return k - 1 if k > self.own_token else k

    def _most_in(self, direction: Direction) -> int:
        """What all tokens together are worth, less where a loop gives out; no rule of the contract stops it there."""
        factors = self._factors()
        balances, _ = self._invariant(factors)
        most = min(sum(balances) * ONE // factors[direction.sold], MAX_BALANCE - self.balances[direction.sold])
        return self._bounded(most, self._sold, direction)

    def _most_out(self, direction: Direction) -> int:
        """All but a 64th of what the pool has in cash, less where a loop gives out or the Vault cannot hold the input."""
        bought = direction.bought
        cash = self.balances[bought] - self.managed[bought]
        return self._bounded(cash - cash // 64 - 1, self._bought, direction)

    def _checked(self) -> Self:
        super()._checked()
        n = len(self.tokens)
        check_lengths(self.FAMILY, n, rates=self.rates, durations=self.durations, expires=self.expires)
        check_words(self.FAMILY, rates=self.rates, durations=self.durations, expires=self.expires,
                    numbers=(self.own_token, self.timestamp))  # fmt: skip
        check_ramp(self.FAMILY, self.ramp, AMP_PRECISION)
        if not all(0 < rate <= _LARGEST_RATE for rate in self.rates):
            raise BadState(f"{self.FAMILY}: rates {self.rates} are not of 1 to 96 bits")
        if not all(duration <= _LONGEST_DURATION for duration in self.durations):
            raise BadState(f"{self.FAMILY}: durations {self.durations} leave 32 bits")
        if self.own_token != NO_OWN_TOKEN and (self.own_token >= n or n < 3):
            raise BadState(f"{self.FAMILY}: own token {self.own_token} of {n} tokens")
        if self.invariant_version not in _VERSIONS and not (self.refusal and not self.invariant_version):
            raise BadState(f"{self.FAMILY}: no version {self.invariant_version!r} of the invariant")
        return self


class Cache(NamedTuple):
    """A token's rate as the pool has cached it: 18 decimals, and seconds."""

    rate: int
    duration: int
    expires: int


def _caches(facts: VaultFacts) -> list[Cache]:
    """The rate caches of the tokens. Raises `AdmissionRefused` where a provider and its cache do not go together."""
    providers = array_of(facts.own[1])
    if providers is None or len(providers) != len(facts.tokens):
        providers = None  # the first generation has none, and does not answer
    found = []
    for k, (token, answers) in enumerate(zip(facts.tokens, facts.of_tokens, strict=True)):
        # The rate comes first, the old rate of later versions second, duration and expiry last. A token without a provider has none.
        words = words_of(answers[0]) if answers else ()
        cached = len(words) in (3, 4) and words[0] > 0
        if answers and cached != bool(providers and providers[k]):
            detail = f"rate provider and rate cache of token 0x{token.hex()} do not go together"
            raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
        found.append(Cache(words[0], words[-2], words[-1]) if cached else Cache(ONE, 0, NEVER))
    return found


def _read_ramp(pool: bytes, value: int, timestamp: int) -> Reading[Ramp | None]:
    """The ramp under way: no view tells its ends, but they stand in one word, which must give the value that the pool answers."""
    answers = yield tuple(Slot(pool, abi_word(k)) for k in _AMP_SLOTS)
    numbers = [int.from_bytes(answer or b"", "big") for answer in answers]
    ramps = [Ramp(*(number >> _AMP_PART * part & (1 << _AMP_PART) - 1 for part in range(4))) for number in numbers]
    fitting = [ramp for ramp in ramps if ramp.start <= timestamp < ramp.end and ramp.at(timestamp) == value]
    return fitting[0] if len(fitting) == 1 else None
