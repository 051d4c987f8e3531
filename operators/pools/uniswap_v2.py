"""Uniswap V2 and its forks: the constant product with a fee that each factory fixes.

Arithmetic as in `UniswapV2Library` (getAmountOut, getAmountIn) and `UniswapV2Pair` (swap, _update), v2-core 1.0.1.

The fee is given in millionths. The contracts write it in other units: Uniswap keeps 997 of 1000 (3000 pips), PancakeSwap
9975 of 10000 (2500 pips). That makes no difference to any result here: multiplying both numbers by a constant changes neither
the quotient inside a floor nor either side of the K check, so the fraction is reduced to lowest terms (997/1000, 399/400).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, log
from typing import ClassVar, Self

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
from operators.simulation.hashes import keccak
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

#: keccak256("PairCreated(address,address,address,uint256)"), by the factory.
PAIR_CREATED_TOPIC = bytes.fromhex("0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9")
#: keccak256("Sync(uint112,uint112)"): emitted by every change of reserves, with the reserves after it.
SYNC_TOPIC = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
_SYNC_TOPICS = (SYNC_TOPIC,)
UINT112_MAX = 2**112 - 1
PIPS = 1_000_000
_WORD = 2**256 - 1

#: A swap in an executor call costs about 60,000 gas a hop: two token transfers, two balance reads, one packed reserve
#: write, the price accumulators on the first touch of a block. Simulation replaces the estimate before anything is decided.
SWAP_GAS = 60_000

#: token0(), token1(), getReserves().
TOKEN0, TOKEN1, GET_RESERVES = (bytes.fromhex(selector) for selector in ("0dfe1681", "d21220a7", "0902f1ac"))

# Storage of UniswapV2Pair that a swap reads: token0, token1, the packed reserves, both price accumulators, the lock.
_SWAP_SLOTS = tuple(slot.to_bytes(32, "big") for slot in (6, 7, 8, 9, 10, 12))
_PLAIN = (bytes, bytes, bytes, int, int, int, str)


class V2Pool(msgspec.Struct, frozen=True, gc=False):
    """A pair: `fee_pips` in millionths, reserves in base units as of the last Sync (what the contract trades against).

    Make one with `from_plain` or `read`, which check the limits; the rest keeps them.
    """

    FAMILY: ClassVar[str] = "uniswap_v2"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = _SYNC_TOPICS
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (PAIR_CREATED_TOPIC,)
    CREATE2: ClassVar[bool] = True
    LEAST_GAS: ClassVar[int] = SWAP_GAS
    TIMED: ClassVar[bool] = False

    address: bytes
    token0: bytes
    token1: bytes
    fee_pips: int
    reserve0: int
    reserve1: int
    refusal: str = ""

    # ------------------------------------------------------------ the pool

    @property
    def tokens(self) -> tuple[bytes, bytes]:
        """token0 and token1."""
        return self.token0, self.token1

    @property
    def tradable(self) -> bool:
        """No refusal and both reserves above zero."""
        return not self.refusal and self.reserve0 > 0 and self.reserve1 > 0

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        check_plain(plain, _PLAIN, cls.FAMILY)
        return cls(*plain)._checked()

    def to_plain(self) -> Plain:
        """(address, token0, token1, fee_pips, reserve0, reserve1, refusal)."""
        return self.address, self.token0, self.token1, self.fee_pips, self.reserve0, self.reserve1, self.refusal

    def digest_entry(self) -> bytes:
        """Family, address, tokens, fee, reserves; fixed widths, big-endian."""
        return b"".join(
            (
                self.FAMILY.encode(),
                self.address,
                self.token0,
                self.token1,
                self.fee_pips.to_bytes(4, "big"),
                self.reserve0.to_bytes(14, "big"),
                self.reserve1.to_bytes(14, "big"),
            )
        )

    # ------------------------------------------------------------ how it is found and read

    @classmethod
    def announced(cls, logs: Sequence[Log], factory: FactoryConfig) -> Reading[tuple[Found, ...]]:
        """The pairs of `PairCreated`, which names them: nothing is asked of the chain."""
        yield from ()
        pairs = dict.fromkeys(
            log.data[12:32]
            for log in logs
            if log.address == factory.address
            and log.topics[:1] == cls.FACTORY_TOPICS
            and len(log.topics) == 3
            and len(log.data) == 64
            and not any(log.data[:12])
        )
        return tuple(Found(cls.FAMILY, pair, factory.address) for pair in pairs)

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """Tokens and reserves as the pair tells them, in one round. That it is the factory's pair, and so runs the code whose fee the factory
        is configured with, is what its address proves (CREATE2, EIP-1014). Raises `AdmissionRefused`."""
        shown = f"0x{found.address.hex()}"
        answers = yield (View(found.address, TOKEN0), View(found.address, TOKEN1), View(found.address, GET_RESERVES))
        token0, token1 = (_address_of(answer) for answer in answers[:2])
        reserves = answers[2]
        if token0 is None or token1 is None or reserves is None or len(reserves) != 96:
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, f"{shown} does not answer as a Uniswap V2 pair")
        if factory is None or pair_address(factory, token0, token1) != found.address:
            maker = f"the factory {factory.name}" if factory else "no configured factory"
            verb = "does not make" if factory else "makes"
            detail = f"{maker} {verb} a pair of 0x{token0.hex()} and 0x{token1.hex()} at {shown}"
            raise AdmissionRefused(AdmissionReason.UNKNOWN_FACTORY, detail)
        reserve0, reserve1 = (int.from_bytes(reserves[start : start + 32], "big") for start in (0, 32))
        try:
            return cls(found.address, token0, token1, factory.fee_pips, reserve0, reserve1)._checked()
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown}: {error}") from None

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The pair's address: it emits its own logs."""
        return log.address

    @property
    def log_sources(self) -> tuple[bytes, ...]:
        """The pair."""
        return (self.address,)

    @property
    def holder(self) -> bytes:
        """The pair."""
        return self.address

    def slots(self) -> tuple[AccountSlots, ...]:
        """The pair's slots that `swap` reads; its balances are in the tokens' storage."""
        return (AccountSlots(address=self.address, keys=_SWAP_SLOTS),)

    def probes(self) -> tuple[View, ...]:
        """None: every slot of a pair has its place."""
        return ()

    def at(self, timestamp: int) -> Self:
        """Itself: time changes nothing."""
        return self

    def moves(self, before: int, after: int) -> bool:
        """Never."""
        return False

    # ------------------------------------------------------------ what the chain did

    def apply(self, log: Log) -> Self:
        """The state after a Sync. Raises `BadLog` for anything that `UniswapV2Pair` does not emit."""
        data = log.data
        if log.address != self.address or log.topics != _SYNC_TOPICS or len(data) != 64:
            raise self._no_sync(log)
        both = int.from_bytes(data, "big")
        reserve0, reserve1 = both >> 256, both & _WORD
        if reserve0 > UINT112_MAX or reserve1 > UINT112_MAX:
            raise BadLog(BadLogReason.OVERFLOW, f"reserves {reserve0}, {reserve1} exceed uint112")
        return self._with_reserves(reserve0, reserve1)

    def _no_sync(self, log: Log) -> BadLog:
        if log.address != self.address:
            reason = BadLogReason.WRONG_CONTRACT
            return BadLog(reason, f"log of 0x{log.address.hex()} given to pool 0x{self.address.hex()}")
        if log.topics[:1] != _SYNC_TOPICS:
            found = f"0x{log.topics[0].hex()}" if log.topics else "none"
            listens = f"pool 0x{self.address.hex()} listens to Sync, first topic is {found}"
            return BadLog(BadLogReason.WRONG_TOPIC, listens)
        if len(log.topics) != 1:
            return BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"Sync has 1 topic, this log {len(log.topics)}")
        return BadLog(BadLogReason.WRONG_LENGTH, f"Sync carries 64 bytes, this log {len(log.data)}")

    def swap(self, amounts_in: tuple[int, int], amounts_out: tuple[int, int]) -> Self:
        """The state after `UniswapV2Pair.swap` paid `amounts_out` and found `amounts_in` (token0, token1) added.

        The contract's own checks in its own order. Raises `QuoteRefused` where it reverts.
        """
        (in0, in1), (out0, out1) = amounts_in, amounts_out
        if out0 <= 0 and out1 <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, "the pair pays out more than nothing or reverts")
        if out0 >= self.reserve0 or out1 >= self.reserve1:
            raise QuoteRefused(
                QuoteRefusal.INSUFFICIENT_LIQUIDITY, f"outputs {out0}, {out1} of {self.reserve0}, {self.reserve1}"
            )
        if in0 <= 0 and in1 <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, "the pair takes more than nothing or reverts")
        kept, scale = self._fee()
        balance0, balance1 = self.reserve0 + in0 - out0, self.reserve1 + in1 - out1
        adjusted0, adjusted1 = balance0 * scale - in0 * (scale - kept), balance1 * scale - in1 * (scale - kept)
        if adjusted0 * adjusted1 < self.reserve0 * self.reserve1 * scale * scale:
            raise QuoteRefused(QuoteRefusal.INVARIANT, "K would fall")
        if balance0 > UINT112_MAX or balance1 > UINT112_MAX:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, "a balance would exceed uint112")
        return self._with_reserves(balance0, balance1)

    # ------------------------------------------------------------ what a trade would do

    def quote(self, token_in: bytes, amount_in: int, token_out: bytes | None = None) -> Quote:
        """`getAmountOut`: the most the pair pays for `amount_in`. Raises `QuoteRefused` where a swap would revert."""
        curve = self._liquid(token_in, token_out)
        if amount_in <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_INPUT, f"amount in {amount_in}")
        if amount_in > curve.max_in:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, f"amount in {amount_in}, the reserve can grow by {curve.max_in}")
        amount_out = curve.out(amount_in)
        if amount_out == 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount in {amount_in} buys nothing")
        return self._quoted(token_in, amount_in, amount_out)

    def quote_exact_out(self, token_in: bytes, amount_out: int, token_out: bytes | None = None) -> Quote:
        """`getAmountIn`: its floor plus one, which is one base unit above the least where the division has no rest."""
        curve = self._liquid(token_in, token_out)
        if amount_out <= 0:
            raise QuoteRefused(QuoteRefusal.ZERO_OUTPUT, f"amount out {amount_out}")
        if amount_out >= curve.reserve_out:
            raise QuoteRefused(QuoteRefusal.INSUFFICIENT_LIQUIDITY, f"amount out {amount_out} of {curve.reserve_out}")
        numerator = curve.reserve_in * amount_out * curve.scale
        amount_in = numerator // ((curve.reserve_out - amount_out) * curve.kept) + 1
        if amount_in > curve.max_in:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, f"costs {amount_in}, the reserve can grow by {curve.max_in}")
        return self._quoted(token_in, amount_in, amount_out)

    def limits(self, token_in: bytes, token_out: bytes | None = None) -> Limits:
        """Inputs keep the reserve within uint112, outputs stay below the reserve; both 0 in a pool that cannot trade."""
        curve = self.constant_product(token_in, token_out)
        if not (curve.reserve_in and curve.reserve_out):
            return Limits(0, 0)
        return Limits(curve.max_in, min(curve.reserve_out - 1, curve.out(curve.max_in)))

    def log_price(self, token_in: bytes, token_out: bytes | None = None) -> float:
        """ln(kept/scale * reserve_out / reserve_in)."""
        kept, scale, reserve_in, reserve_out, _ = self.constant_product(token_in, token_out)
        if not (self.tradable and kept):
            return -float("inf")
        return log(kept * reserve_out) - log(scale * reserve_in)

    def constant_product(self, token_in: bytes, token_out: bytes | None = None) -> ConstantProduct:
        """The direction from `token_in`. Raises `QuoteRefused` for a token that the pair does not hold."""
        if token_in == self.token0 and token_out in (None, self.token1):
            return ConstantProduct(*self._fee(), self.reserve0, self.reserve1, UINT112_MAX - self.reserve0)
        if token_in == self.token1 and token_out in (None, self.token0):
            return ConstantProduct(*self._fee(), self.reserve1, self.reserve0, UINT112_MAX - self.reserve1)
        pair = f"0x{self.token0.hex()}, 0x{self.token1.hex()}"
        wanted = f"0x{token_in.hex()}" + (f" to 0x{token_out.hex()}" if token_out is not None else "")
        raise QuoteRefused(QuoteRefusal.UNKNOWN_TOKEN, f"{wanted} in the pair of {pair}")

    # ------------------------------------------------------------ inside

    def _fee(self) -> tuple[int, int]:
        kept = PIPS - self.fee_pips
        divisor = gcd(kept, PIPS)
        return kept // divisor, PIPS // divisor

    def _liquid(self, token_in: bytes, token_out: bytes | None) -> ConstantProduct:
        curve = self.constant_product(token_in, token_out)
        if not (curve.reserve_in and curve.reserve_out):
            raise QuoteRefused(QuoteRefusal.NO_LIQUIDITY, f"reserves {self.reserve0}, {self.reserve1}")
        return curve

    def _quoted(self, token_in: bytes, amount_in: int, amount_out: int) -> Quote:
        if token_in == self.token0:
            state = self._with_reserves(self.reserve0 + amount_in, self.reserve1 - amount_out)
        else:
            state = self._with_reserves(self.reserve0 - amount_out, self.reserve1 + amount_in)
        return Quote(amount_in, amount_out, SWAP_GAS, state)

    def _with_reserves(self, reserve0: int, reserve1: int) -> Self:
        # Positional construction: several times faster than a field-wise replace, and this runs once a log.
        return type(self)(self.address, self.token0, self.token1, self.fee_pips, reserve0, reserve1, self.refusal)

    def _checked(self) -> Self:
        if len(self.address) != 20 or len(self.token0) != 20 or len(self.token1) != 20:
            raise BadState(f"{self.FAMILY}: addresses have 20 bytes")
        if self.token0 == self.token1:
            raise BadState(f"{self.FAMILY}: pool 0x{self.address.hex()} has the same token twice")
        if not 0 <= self.fee_pips < PIPS:
            raise BadState(f"{self.FAMILY}: fee_pips {self.fee_pips} is not in [0, {PIPS})")
        if not (0 <= self.reserve0 <= UINT112_MAX and 0 <= self.reserve1 <= UINT112_MAX):
            raise BadState(f"{self.FAMILY}: reserves {self.reserve0}, {self.reserve1} are not in [0, 2**112)")
        return self


def pair_address(factory: FactoryConfig, token0: bytes, token1: bytes) -> bytes | None:
    """Where a factory puts the pair of two tokens (EIP-1014 with salt keccak(token0 ++ token1)); None for tokens in another order than its
    own, and for a factory of a variant that this family does not know."""
    if token0 >= token1 or factory.init_code_hash is None or factory.variant:
        return None
    salt = keccak(token0 + token1)
    return keccak(b"\xff" + (factory.deployer or factory.address) + salt + factory.init_code_hash)[12:]


def _address_of(answer: bytes | None) -> bytes | None:
    """An ABI address that is not zero, None for anything else."""
    if answer is None or len(answer) != 32 or any(answer[:12]) or not any(answer):
        return None
    return answer[12:]
