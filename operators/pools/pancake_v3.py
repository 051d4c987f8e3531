"""PancakeSwap V3: the arithmetic of Uniswap V3 with events of its own shape.

Swap carries both protocol fees after what Uniswap's carries; protocol fees are parts of 10,000 in 16 bits each. Its farming contract is
called during swaps but changes no amount (`PancakeV3Pool`, v3-core 1.0.2).
"""

from __future__ import annotations

from typing import ClassVar, Self

from operators.pools.concentrated import Layout
from operators.pools.uniswap_v3 import BURN_TOPIC, INITIALIZE_TOPIC, MINT_TOPIC, V3Pool

#: keccak256("Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)")
SWAP_TOPIC = bytes.fromhex("19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83")
#: keccak256("SetFeeProtocol(uint32,uint32,uint32,uint32)")
SET_FEE_PROTOCOL_TOPIC = bytes.fromhex("b3159fed3ddfba67bae294599eafe2d0ec98c08bb38e0e5fb87d33154b6e05aa")

#: Parts of 10,000 of both tokens' fees that go to the protocol from `initialize` on, by the pool's fee; it says so in no log.
_FIRST_PROTOCOL_FEES = {100: 3300, 500: 3400}
_OTHER_PROTOCOL_FEE = 3200

# slot0 takes two words, because of the wider protocol fee.
_LAYOUT = Layout(first=0, fixed=6, ticks=6, bitmap=7, tick_words=4)


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
    _FEE_BITS: ClassVar[int] = 16

    def _initialised(self, sqrt_price: int, tick: int) -> Self:
        part = _FIRST_PROTOCOL_FEES.get(self.fee_pips, _OTHER_PROTOCOL_FEE)
        return super()._initialised(sqrt_price, tick)._with_protocol_fee(part, part)
