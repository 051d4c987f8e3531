"""Uniswap V2 and its forks: the constant product with a fee that each factory fixes.

Arithmetic as in `UniswapV2Library` (getAmountOut, getAmountIn) and `UniswapV2Pair` (swap, _update), v2-core 1.0.1.

The fee is given in millionths. The contracts write it in other units: Uniswap keeps 997 of 1000 (3000 pips), PancakeSwap
9975 of 10000 (2500 pips). That makes no difference to any result here: multiplying both numbers by a constant changes neither
the quotient inside a floor nor either side of the K check, so the fraction is reduced to lowest terms (997/1000, 399/400).
"""

from __future__ import annotations

from math import gcd, log
from typing import ClassVar, Self

import msgspec

from operators.pools.base import (
    BadLog,
    BadLogReason,
    BadState,
    ConstantProduct,
    Limits,
    Plain,
    Quote,
    QuoteRefusal,
    QuoteRefused,
    check_plain,
)
from schemas.logs import Log
from schemas.pools import AccountSlots, PoolRecord

#: keccak256("Sync(uint112,uint112)"): emitted by every change of reserves, with the reserves after it.
SYNC_TOPIC = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
UINT112_MAX = 2**112 - 1
PIPS = 1_000_000

#: A swap in an executor call costs about 60,000 gas a hop: two token transfers, two balance reads, one packed reserve
#: write, the price accumulators on the first touch of a block. Simulation replaces the estimate before anything is decided.
SWAP_GAS = 60_000

# Storage of UniswapV2Pair that a swap reads: token0, token1, the packed reserves, both price accumulators, the lock.
_SWAP_SLOTS = tuple(slot.to_bytes(32, "big") for slot in (6, 7, 8, 9, 10, 12))
_PLAIN = (bytes, bytes, bytes, int, int, int, str)


class V2Pool(msgspec.Struct, frozen=True):
    """A pair: `fee_pips` in millionths, reserves in base units as of the last Sync (what the contract trades against).

    Make one with `from_record` or `from_plain`, which check the limits; the rest keeps them.
    """

    FAMILY: ClassVar[str] = "uniswap_v2"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (SYNC_TOPIC,)

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
    def from_record(cls, record: PoolRecord) -> Self:
        """The admitted pool. Raises `BadState`, also for a record of another family."""
        if record.family != cls.FAMILY:
            raise BadState(f"record of family {record.family!r} given to {cls.FAMILY}")
        tokens = record.token0.address, record.token1.address
        reserves = int(record.reserve0), int(record.reserve1)
        return cls(record.address, *tokens, record.fee_pips, *reserves, record.refusal)._checked()

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

    @classmethod
    def needs(cls, address: bytes) -> tuple[AccountSlots, ...]:
        """The pair's slots that `swap` reads; its balances are in the tokens' storage."""
        return (AccountSlots(address=address, keys=_SWAP_SLOTS),)

    # ------------------------------------------------------------ what the chain did

    def apply(self, log: Log) -> Self:
        """The state after a Sync. Raises `BadLog` for anything that `UniswapV2Pair` does not emit."""
        if log.address != self.address:
            raise BadLog(
                BadLogReason.WRONG_CONTRACT, f"log of 0x{log.address.hex()} given to pool 0x{self.address.hex()}"
            )
        if not log.topics or log.topics[0] != SYNC_TOPIC:
            found = f"0x{log.topics[0].hex()}" if log.topics else "none"
            raise BadLog(
                BadLogReason.WRONG_TOPIC, f"pool 0x{self.address.hex()} listens to Sync, first topic is {found}"
            )
        if len(log.topics) != 1:
            raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"Sync has 1 topic, this log {len(log.topics)}")
        if len(log.data) != 64:
            raise BadLog(BadLogReason.WRONG_LENGTH, f"Sync carries 64 bytes, this log {len(log.data)}")
        reserve0, reserve1 = int.from_bytes(log.data[:32], "big"), int.from_bytes(log.data[32:], "big")
        if reserve0 > UINT112_MAX or reserve1 > UINT112_MAX:
            raise BadLog(BadLogReason.OVERFLOW, f"reserves {reserve0}, {reserve1} exceed uint112")
        return self._with_reserves(reserve0, reserve1)

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
