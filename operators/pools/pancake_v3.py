"""PancakeSwap V3: the arithmetic of Uniswap V3 with events of its own shape.

Swap carries both protocol fees after what Uniswap's carries; protocol fees are parts of 10,000 in 16 bits each. Its farming contract (the
pool's `lmPool`) is called during swaps but changes no amount (`PancakeV3Pool`, v3-core 1.0.2).
"""

from __future__ import annotations

from typing import ClassVar, Self

from operators.pools.concentrated_storage import Layout
from operators.pools.uniswap_v3 import BURN_TOPIC, INITIALIZE_TOPIC, MINT_TOPIC, V3Pool
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MIN_SQRT_PRICE, sqrt_price_at
from schemas.reads import View

#: keccak256("Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)")
SWAP_TOPIC = bytes.fromhex("19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83")
#: keccak256("SetFeeProtocol(uint32,uint32,uint32,uint32)")
SET_FEE_PROTOCOL_TOPIC = bytes.fromhex("b3159fed3ddfba67bae294599eafe2d0ec98c08bb38e0e5fb87d33154b6e05aa")

#: Parts of 10,000 of both tokens' fees that go to the protocol from `initialize` on, by the pool's fee; it says so in no log.
_FIRST_PROTOCOL_FEES = {100: 3300, 500: 3400}
_OTHER_PROTOCOL_FEE = 3200

#: swap(address,bool,int256,uint160,bytes).
_SWAP_SELECTOR = bytes.fromhex("128acb08")

#: More than any pool takes before the price is at its limit.
_PROBED_AMOUNT = 1 << 200

# slot0 takes two words, because of the wider protocol fee; behind the 65,535 observations is the address of the farming contract.
_LM_POOL_SLOT = 65_544
_LAYOUT = Layout(fixed=(0, 1, 2, 3, 4, 5, _LM_POOL_SLOT), ticks=6, bitmap=7, tick_slots=4)


class PancakeV3Pool(V3Pool, frozen=True):
    """A pool of PancakeSwap V3."""

    FAMILY: ClassVar[str] = "pancake_v3"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        INITIALIZE_TOPIC,
        SWAP_TOPIC,
        MINT_TOPIC,
        BURN_TOPIC,
        SET_FEE_PROTOCOL_TOPIC,
    )

    _SWAP: ClassVar[tuple[bytes, int]] = (SWAP_TOPIC, 224)
    _SET_FEE_PROTOCOL: ClassVar[bytes] = SET_FEE_PROTOCOL_TOPIC
    _STORAGE: ClassVar[Layout] = _LAYOUT
    _LIQUIDITY_SLOT: ClassVar[int] = 5
    _OBSERVATIONS_SLOT: ClassVar[int] = 9
    _FEE_BITS: ClassVar[int] = 16

    def probes(self) -> tuple[View, ...]:
        """A swap in each direction as far as `slots` goes, for what the farming contract reads: its layout is not ours to know.

        Such a call reverts where the caller is to pay, after all of the pool's and the farm's part was done.
        """
        if not self.tradable:
            return ()
        lowest, highest = map(sqrt_price_at, self.reach())
        down, up = max(lowest, MIN_SQRT_PRICE + 1), min(highest, MAX_SQRT_PRICE - 1)
        ends = ((True, down),) * (down < self.sqrt_price) + ((False, up),) * (up > self.sqrt_price)
        return tuple(View(self.address, self._swap_call(*end)) for end in ends)

    def _swap_call(self, zero_for_one: bool, limit: int) -> bytes:
        # To the pool itself: tokens refuse transfers to nobody, and none that is there.
        words = (int.from_bytes(self.address, "big"), zero_for_one, _PROBED_AMOUNT, limit, 5 * 32, 0)
        return _SWAP_SELECTOR + b"".join(word.to_bytes(32, "big") for word in words)

    def _initialised(self, sqrt_price: int, tick: int) -> Self:
        part = _FIRST_PROTOCOL_FEES.get(self.fee_pips, _OTHER_PROTOCOL_FEE)
        return super()._initialised(sqrt_price, tick)._with_protocol_fee(part, part)
