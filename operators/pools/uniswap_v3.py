"""Uniswap V3 and forks with its arithmetic and its events: concentrated liquidity in one contract a pool.

Arithmetic and events as in `UniswapV3Pool` of v3-core 1.0.1. Fees grow outside of the price, so fee growth is no part of the state; the
protocol's share comes out of the fee that traders pay anyway, so it changes no amount here and is kept because it is the pool's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

from operators.pools.base import BadLog, BadLogReason, BadState, Plain, check_plain
from operators.pools.concentrated import ConcentratedPool, Layout
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.ticks import TickError, Ticks
from operators.pools.v3_math.words import check_shape, current_tick_of, sqrt_price_of, swap_words, tick_of, uint128
from schemas.logs import Log
from schemas.pools import AccountSlots

#: keccak256("Initialize(uint160,int24)")
INITIALIZE_TOPIC = bytes.fromhex("98636036cb66a9c19a37435efc1e90142190214e8abeb821bdba3f2990dd4c95")
#: keccak256("Swap(address,address,int256,int256,uint160,uint128,int24)")
SWAP_TOPIC = bytes.fromhex("c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67")
#: keccak256("Mint(address,address,int24,int24,uint128,uint256,uint256)")
MINT_TOPIC = bytes.fromhex("7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde")
#: keccak256("Burn(address,int24,int24,uint128,uint256,uint256)")
BURN_TOPIC = bytes.fromhex("0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c")
#: keccak256("SetFeeProtocol(uint8,uint8,uint8,uint8)")
SET_FEE_PROTOCOL_TOPIC = bytes.fromhex("973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133")

# Storage of UniswapV3Pool: slot0, both fee growths, the protocol's fees, the liquidity; then ticks and bitmap.
_LAYOUT = Layout(first=0, fixed=5, ticks=5, bitmap=6, tick_words=4)
_PLAIN = (bytes, bytes, bytes, int, int, int, int, int, int, bytes, bytes, str)


class V3Pool(ConcentratedPool, frozen=True):
    """A pool of Uniswap V3. `protocol_fee` is slot0's feeProtocol: token0's denominator in the low bits, token1's above them."""

    FAMILY: ClassVar[str] = "uniswap_v3"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        INITIALIZE_TOPIC,
        SWAP_TOPIC,
        MINT_TOPIC,
        BURN_TOPIC,
        SET_FEE_PROTOCOL_TOPIC,
    )

    #: The fork's own shape of two events: topic and length of the data in bytes.
    _SWAP: ClassVar[tuple[bytes, int]] = (SWAP_TOPIC, 160)
    _SET_FEE_PROTOCOL: ClassVar[bytes] = SET_FEE_PROTOCOL_TOPIC
    _STORAGE: ClassVar[Layout] = _LAYOUT
    #: Bits of each token's part in `protocol_fee`.
    _FEE_BITS: ClassVar[int] = 4

    # ------------------------------------------------------------ states

    @classmethod
    def from_parts(
        cls,
        *,
        address: bytes,
        token0: bytes,
        token1: bytes,
        fee_pips: int,
        tick_spacing: int,
        sqrt_price: int = 0,
        tick: int = 0,
        liquidity: int = 0,
        ticks: Ticks | Iterable[tuple[int, int, int]] = (),
        protocol_fee: int = 0,
        refusal: str = "",
    ) -> Self:
        """A pool as its storage has it; `ticks` are (tick, net, gross). Without a price: as the factory made it. Raises `BadState`."""
        try:
            held = ticks if isinstance(ticks, Ticks) else Ticks.of(ticks)
        except TickError as error:
            raise BadState(f"{cls.FAMILY} 0x{address.hex()}: {error}") from None
        return cls(
            address=address,
            token0=token0,
            token1=token1,
            fee_pips=fee_pips,
            tick_spacing=tick_spacing,
            sqrt_price=sqrt_price,
            tick=tick,
            liquidity=liquidity,
            protocol_fee=protocol_fee,
            ticks=held,
            refusal=refusal,
        )._checked()

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        check_plain(plain, _PLAIN, cls.FAMILY)
        address, token0, token1, fee, spacing, price, tick, liquidity, protocol_fee, index, held, refusal = plain
        try:
            ticks = Ticks.unpack(index, held)
        except TickError as error:
            raise BadState(f"{cls.FAMILY} 0x{address.hex()}: {error}") from None
        return cls(
            address, token0, token1, fee, spacing, price, tick, liquidity, protocol_fee, ticks, refusal
        )._checked()

    def to_plain(self) -> Plain:
        """(address, token0, token1, fee, spacing, sqrt price, tick, liquidity, protocol fee, ticks, their liquidity, refusal)."""
        return (
            self.address,
            self.token0,
            self.token1,
            self.fee_pips,
            self.tick_spacing,
            self.sqrt_price,
            self.tick,
            self.liquidity,
            self.protocol_fee,
            *self.ticks.pack(),
            self.refusal,
        )

    def digest_entry(self) -> bytes:
        """Family and the fields in fixed widths, big-endian; the ticks by their digest."""
        return b"".join(
            (
                self.FAMILY.encode(),
                self.address,
                self.token0,
                self.token1,
                self.fee_pips.to_bytes(4, "big"),
                self.tick_spacing.to_bytes(4, "big"),
                self.sqrt_price.to_bytes(20, "big"),
                self.tick.to_bytes(4, "big", signed=True),
                self.liquidity.to_bytes(16, "big"),
                self.protocol_fee.to_bytes(4, "big"),
                self.ticks.digest,
            )
        )

    @classmethod
    def needs(cls, address: bytes) -> tuple[AccountSlots, ...]:
        """The slots at fixed places that every swap reads."""
        return (AccountSlots(address=address, keys=cls._STORAGE.fixed_slots()),)

    def layout(self) -> tuple[bytes, Layout]:
        """The pool's own contract."""
        return self.address, self._STORAGE

    # ------------------------------------------------------------ what the chain did

    def apply(self, log: Log) -> Self:
        """The state after a log. Raises `BadLog` for anything that the pool's contract does not emit in this state."""
        if log.address != self.address:
            self._check_address(log, self.address)
        topics, data = log.topics, log.data
        topic = topics[0] if topics else b""
        swap_topic, swap_length = self._SWAP
        if topic == swap_topic:
            if len(topics) != 3 or len(data) != swap_length:
                check_shape(log, "Swap", 3, swap_length)
            return self._moved(*swap_words(data))
        if topic == MINT_TOPIC:
            check_shape(log, "Mint", 4, 128)
            amount = uint128(data[32:64], "minted liquidity")
            return self._positioned(tick_of(topics[2]), tick_of(topics[3]), amount)
        if topic == BURN_TOPIC:
            check_shape(log, "Burn", 4, 96)
            amount = uint128(data[:32], "burnt liquidity")
            return self._positioned(tick_of(topics[2]), tick_of(topics[3]), -amount)
        if topic == INITIALIZE_TOPIC:
            check_shape(log, "Initialize", 1, 64)
            return self._initialised(sqrt_price_of(data[:32]), current_tick_of(data[32:]))
        if topic == self._SET_FEE_PROTOCOL:
            check_shape(log, "SetFeeProtocol", 1, 128)
            return self._with_protocol_fee(int.from_bytes(data[64:96], "big"), int.from_bytes(data[96:], "big"))
        raise self._unknown_topic(log)

    def _with_protocol_fee(self, part0: int, part1: int) -> Self:
        bits = self._FEE_BITS
        if part0 >> bits or part1 >> bits:
            raise BadLog(BadLogReason.OUT_OF_RANGE, f"protocol fees {part0}, {part1} exceed {bits} bits")
        packed = part0 | part1 << bits
        return self._with(self.sqrt_price, self.tick, self.liquidity, self.ticks, packed)

    def _checked(self) -> Self:
        if not 0 <= self.fee_pips < PIPS:
            raise BadState(f"{self.FAMILY}: fee_pips {self.fee_pips} is not in [0, {PIPS})")
        if not 0 <= self.protocol_fee < 1 << 2 * self._FEE_BITS:
            raise BadState(f"{self.FAMILY}: protocol fee {self.protocol_fee} has more than {2 * self._FEE_BITS} bits")
        return super()._checked()
