"""Uniswap V3 and forks with its arithmetic, its events and its storage: concentrated liquidity in one contract a pool.

Arithmetic and events as in `UniswapV3Pool` of v3-core 1.0.1. Fees grow outside of the price, so fee growth is no part of the state; the
protocol's share comes out of the fee that traders pay anyway, so it changes no amount here and is kept because it is the pool's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from operators.pools.base import (
    AdmissionReason,
    AdmissionRefused,
    BadLog,
    BadLogReason,
    BadState,
    Found,
    Plain,
    check_plain,
)
from operators.pools.concentrated import ConcentratedPool
from operators.pools.concentrated_storage import Layout, read_ticks, signed, slot_key
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.ticks import TickError, Ticks
from operators.pools.v3_math.words import check_shape, current_tick_of, sqrt_price_of, swap_words, tick_of, uint128
from operators.simulation.hashes import keccak
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.reads import Reading, Slot, View

#: keccak256("PoolCreated(address,address,uint24,int24,address)"), by the factory.
POOL_CREATED_TOPIC = bytes.fromhex("783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118")
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

#: token0(), token1(), fee(), tickSpacing(), liquidity(), slot0(), with how many words each answers.
_FACTS = tuple(
    (bytes.fromhex(selector), words)
    for selector, words in (
        ("0dfe1681", 1),
        ("d21220a7", 1),
        ("ddca3f43", 1),
        ("d0c93a7c", 1),
        ("1a686502", 1),
        ("3850c7bd", 7),
    )
)

#: How many of the oracle's observations ahead `slots` names. A block that moves the price writes the next one, so that is for how many such
#: blocks the slots hold.
OBSERVATIONS_AHEAD = 64

# Storage of UniswapV3Pool: slot0, both fee growths, the protocol's fees, the liquidity; ticks, bitmap, positions; the observations.
_LAYOUT = Layout(fixed=(0, 1, 2, 3, 4), ticks=5, bitmap=6, tick_slots=4)
_PLAIN = (bytes, bytes, bytes, int, int, int, int, int, int, bytes, bytes, int, int, str)


class V3Pool(ConcentratedPool, frozen=True):
    """A pool of Uniswap V3. `protocol_fee` is slot0's feeProtocol: token0's denominator in the low bits, token1's above them.

    The oracle changes no amount and is in no log, so what is known of it is as old as the reading, and no part of the digest: the newest of its
    observations and how many places it has. A swap reads the newest and the next one.
    """

    FAMILY: ClassVar[str] = "uniswap_v3"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        INITIALIZE_TOPIC,
        SWAP_TOPIC,
        MINT_TOPIC,
        BURN_TOPIC,
        SET_FEE_PROTOCOL_TOPIC,
    )
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (POOL_CREATED_TOPIC,)
    CREATE2: ClassVar[bool] = True

    #: The fork's own shape of two events: topic and length of the data in bytes.
    _SWAP: ClassVar[tuple[bytes, int]] = (SWAP_TOPIC, 160)
    _SET_FEE_PROTOCOL: ClassVar[bytes] = SET_FEE_PROTOCOL_TOPIC
    _STORAGE: ClassVar[Layout] = _LAYOUT
    #: The slots of the liquidity and of the first observation.
    _LIQUIDITY_SLOT: ClassVar[int] = 4
    _OBSERVATIONS_SLOT: ClassVar[int] = 8
    #: Bits of each token's part in `protocol_fee`.
    _FEE_BITS: ClassVar[int] = 4

    observation: int
    observations: int

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
        observation: int = 0,
        observations: int = 1,
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
            observation=observation,
            observations=observations,
        )._checked()

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        check_plain(plain, _PLAIN, cls.FAMILY)
        address, token0, token1, fee, spacing, price, tick, liquidity, protocol_fee, index, held, *oracle, refusal = (
            plain
        )
        try:
            ticks = Ticks.unpack(index, held)
        except TickError as error:
            raise BadState(f"{cls.FAMILY} 0x{address.hex()}: {error}") from None
        at = price, tick, liquidity, protocol_fee
        return cls(address, token0, token1, fee, spacing, *at, ticks, refusal, *oracle)._checked()

    def to_plain(self) -> Plain:
        """(address, token0, token1, fee, spacing, sqrt price, tick, liquidity, protocol fee, ticks, theirs, observation, observations, refusal)."""
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
            self.observation,
            self.observations,
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

    # ------------------------------------------------------------ how it is found and read

    @classmethod
    def announced(cls, logs: Sequence[Log], factory: FactoryConfig) -> Reading[tuple[Found, ...]]:
        """The pools of `PoolCreated`, which names them: nothing is asked of the chain."""
        yield from ()
        pools = dict.fromkeys(
            log.data[44:64]
            for log in logs
            if log.address == factory.address
            and log.topics[:1] == cls.FACTORY_TOPICS
            and len(log.topics) == 4
            and len(log.data) == 64
            and not any(log.data[32:44])
        )
        return tuple(Found(cls.FAMILY, pool, factory.address) for pool in pools)

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """What the pool says of itself, then all words of its bitmap, then its ticks: three rounds.

        That it is the factory's pool, and so runs code that has its storage where ours looks, is what its address proves (CREATE2, EIP-1014).
        What it says is compared with what is stored there all the same. Raises `AdmissionRefused`.
        """
        address, shown = found.address, f"0x{found.address.hex()}"
        asked = [View(address, selector) for selector, _ in _FACTS]
        stored = [Slot(address, slot_key(slot)) for slot in (0, cls._LIQUIDITY_SLOT)]
        answers = yield (*asked, *stored)
        for (_, words), answer in zip(_FACTS, answers, strict=False):
            if answer is None or len(answer) != 32 * words:
                detail = f"{shown} does not answer as a pool of {cls.FAMILY}"
                raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail)
        token0, token1, fee, spacing, liquidity, slot0, *words0 = (answer or b"" for answer in answers)
        fee_pips, tick_spacing = int.from_bytes(fee, "big"), int.from_bytes(spacing, "big", signed=True)
        if any(token0[:12]) or any(token1[:12]) or fee_pips >= PIPS:
            detail = f"{shown} names tokens or a fee that no pool of {cls.FAMILY} has"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail)
        if (
            factory is None
            or factory.family != cls.FAMILY
            or pool_address(factory, token0, token1, fee_pips) != address
        ):
            maker = f"the factory {factory.name}" if factory else f"no configured factory of {cls.FAMILY}"
            verb = "does not make" if factory else "makes"
            pair = f"0x{token0[12:].hex()} and 0x{token1[12:].hex()} with a fee of {fee_pips}"
            raise AdmissionRefused(AdmissionReason.UNKNOWN_FACTORY, f"{maker} {verb} a pool of {pair} at {shown}")
        price, tick, observation, _, observations, protocol_fee, _ = (
            int.from_bytes(slot0[at : at + 32], "big", signed=True) for at in range(0, 224, 32)
        )
        packed, stored_liquidity = (int.from_bytes(word, "big") for word in words0)
        place = packed & (1 << 160) - 1, signed(packed >> 160, 24), stored_liquidity
        if place != (price, tick, int.from_bytes(liquidity, "big")):
            detail = f"{shown} is not stored as a pool of {cls.FAMILY}: what it says of itself is not in its slots"
            raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
        if not 0 < tick_spacing < 1 << 15:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown} has a tick spacing of {tick_spacing}")
        ticks = (yield from read_ticks(address, cls._STORAGE, tick_spacing)) if price else []
        try:
            pool = cls.from_parts(
                address=address,
                token0=token0[12:],
                token1=token1[12:],
                fee_pips=fee_pips,
                tick_spacing=tick_spacing,
                sqrt_price=price,
                tick=tick,
                liquidity=stored_liquidity,
                ticks=ticks,
                protocol_fee=protocol_fee,
                observation=observation,
                observations=max(observations, 1),
            )
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown}: {error}") from None
        if wrong := pool.audit():
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown}: {wrong}")
        return pool

    def layout(self) -> Layout:
        """As the contract's compiler put it."""
        return self._STORAGE

    def _slot_numbers(self) -> list[int]:
        ahead = range(self.observation, self.observation + min(self.observations, OBSERVATIONS_AHEAD + 1))
        return super()._slot_numbers() + [self._OBSERVATIONS_SLOT + place % self.observations for place in ahead]

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

    def _with(self, sqrt_price: int, tick: int, liquidity: int, ticks: Ticks, protocol_fee: int) -> Self:
        # Positional construction: several times faster than a field-wise replace, and this runs once a log.
        return type(self)(
            self.address,
            self.token0,
            self.token1,
            self.fee_pips,
            self.tick_spacing,
            sqrt_price,
            tick,
            liquidity,
            protocol_fee,
            ticks,
            self.refusal,
            self.observation,
            self.observations,
        )

    def _checked(self) -> Self:
        if not 0 <= self.fee_pips < PIPS:
            raise BadState(f"{self.FAMILY}: fee_pips {self.fee_pips} is not in [0, {PIPS})")
        if not 0 <= self.protocol_fee < 1 << 2 * self._FEE_BITS:
            raise BadState(f"{self.FAMILY}: protocol fee {self.protocol_fee} has more than {2 * self._FEE_BITS} bits")
        if not 0 <= self.observation < self.observations < 1 << 16:
            raise BadState(f"{self.FAMILY}: observation {self.observation} of {self.observations}")
        return super()._checked()


def pool_address(factory: FactoryConfig, token0: bytes, token1: bytes, fee_pips: int) -> bytes:
    """Where a factory's deployer puts the pool of two tokens (addresses, or words with an address) and a fee: CREATE2, EIP-1014.

    The salt is keccak256(abi.encode(token0, token1, fee)): `UniswapV3PoolDeployer`, `PancakeV3PoolDeployer`.
    """
    salt = keccak(token0.rjust(32, b"\0") + token1.rjust(32, b"\0") + fee_pips.to_bytes(32, "big"))
    made = b"\xff" + (factory.deployer or factory.address) + salt + (factory.init_code_hash or b"")
    return keccak(made)[12:]
