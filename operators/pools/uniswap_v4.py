"""Uniswap V4: concentrated liquidity, all pools in one contract, the PoolManager, each named by a 32-byte id.

Arithmetic and events as in `PoolManager` and `Pool` of v4-core 1.0.2. Only pools without hooks and with a static fee are modelled: a hook may
change any amount, and a dynamic fee changes without a log. Others are kept with a refusal and never quoted.

The rest of the project names a pool by 20 bytes. A pool of the singleton gets the first 20 bytes of its id, mixed with the manager's
address so that a log of some other contract that copies the events and an id leads to no pool at all: `pool_key`.
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
    QuoteRefusal,
    QuoteRefused,
    check_plain,
)
from operators.pools.concentrated import ConcentratedPool
from operators.pools.concentrated_storage import Layout, mapped, read_ticks, signed, slot_key
from operators.pools.v3_math.swap_math import PIPS
from operators.pools.v3_math.tick_math import MAX_TICK, MIN_TICK
from operators.pools.v3_math.ticks import INT128_MAX, UINT128_MAX, TickError, Ticks
from operators.pools.v3_math.walk import Walked
from operators.pools.v3_math.words import check_shape, current_tick_of, sqrt_price_of, swap_words, tick_of
from operators.simulation.hashes import keccak
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.plain import pack_plain, unpack_plain
from schemas.reads import Reading, Slot

#: keccak256("Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)")
INITIALIZE_TOPIC = bytes.fromhex("dd466e674ea557f56295e2d0218a125ea4b4f0f6f3307b95f85e6110838d6438")
#: keccak256("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")
MODIFY_LIQUIDITY_TOPIC = bytes.fromhex("f208f4912782fd25c7f114ca3723a2d5dd6f3bcc3ac8db5af63baa85f711d5ec")
#: keccak256("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")
SWAP_TOPIC = bytes.fromhex("40e9cecb9f5f1f1c5b9c97dec2917b7ee92e57ba5563708daca94dd84ad7112f")
#: keccak256("ProtocolFeeUpdated(bytes32,uint24)")
PROTOCOL_FEE_TOPIC = bytes.fromhex("e9c42593e71f84403b84352cd168d693e2c9fcd1fdbcc3feb21d92b43e6696f9")

#: The fee of a pool whose hook sets it: `LPFeeLibrary.DYNAMIC_FEE_FLAG`.
DYNAMIC_FEE = 0x800000
#: `ProtocolFeeLibrary.MAX_PROTOCOL_FEE`, in millionths; each direction has 12 bits, that of token0 in the low ones.
MAX_PROTOCOL_FEE = 1000
NO_HOOKS = bytes(20)

#: Refusals of pools that this family does not model.
HOOKS = "hooks"
DYNAMIC = "dynamic_fee"

# In the manager's storage: what is due to the protocol by token (`ProtocolFees`), and pools by id (`StateLibrary.POOLS_SLOT`).
_PROTOCOL_FEES_SLOT = 1
_POOLS_SLOT = (6).to_bytes(32, "big")
_FEE_BITS = 12
_FEE_MASK = (1 << _FEE_BITS) - 1
_SEED = (bytes, bytes, int, int, bytes)
_PLAIN = (bytes, bytes, bytes, bytes, bytes, int, int, int, int, int, int, bytes, bytes, str)


def pool_key(manager: bytes, pool_id: bytes) -> bytes:
    """The 20 bytes that name a pool of the singleton at `manager`. As hard to meet by chance as a contract's address."""
    return (int.from_bytes(manager, "big") ^ int.from_bytes(pool_id[:20], "big")).to_bytes(20, "big")


def pool_id_of(token0: bytes, token1: bytes, fee: int, tick_spacing: int, hooks: bytes) -> bytes:
    """`PoolIdLibrary.toId`: keccak256 of the key's five words."""
    numbers = fee.to_bytes(32, "big"), tick_spacing.to_bytes(32, "big", signed=True)
    return keccak(token0.rjust(32, b"\0") + token1.rjust(32, b"\0") + b"".join(numbers) + hooks.rjust(32, b"\0"))


def refusal_of(fee: int, hooks: bytes) -> str:
    """Why a pool with such a key is not modelled, or empty."""
    if hooks != NO_HOOKS:
        return HOOKS
    return DYNAMIC if fee == DYNAMIC_FEE else ""


class V4Pool(ConcentratedPool, frozen=True):
    """A pool of the singleton: `address` is its `pool_key`; token0 may be the zero address, which is the chain's own coin.

    `fee_pips` is the fee of the liquidity providers as in the pool's key. `protocol_fee` is added to it and so part of every amount. Of a pool
    that is not modelled only what its key says is known: no log changes it.
    """

    FAMILY: ClassVar[str] = "uniswap_v4"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = (
        INITIALIZE_TOPIC,
        MODIFY_LIQUIDITY_TOPIC,
        SWAP_TOPIC,
        PROTOCOL_FEE_TOPIC,
    )
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (INITIALIZE_TOPIC,)

    #: By the same fit: a tick is three slots, no oracle is kept, and the unlocking costs some 5,000 more than V3's callback.
    SWAP_GAS: ClassVar[int] = 81_500
    LEAST_GAS: ClassVar[int] = SWAP_GAS
    CROSSING_GAS: ClassVar[int] = 11_000
    STEP_GAS: ClassVar[int] = 5_500

    manager: bytes
    pool_id: bytes
    hooks: bytes

    # ------------------------------------------------------------ states

    @classmethod
    def from_parts(
        cls,
        *,
        manager: bytes,
        pool_id: bytes,
        token0: bytes,
        token1: bytes,
        fee_pips: int,
        tick_spacing: int,
        hooks: bytes = NO_HOOKS,
        sqrt_price: int = 0,
        tick: int = 0,
        liquidity: int = 0,
        ticks: Ticks | Iterable[tuple[int, int, int]] = (),
        protocol_fee: int = 0,
        refusal: str = "",
    ) -> Self:
        """A pool as the manager's storage has it; `ticks` are (tick, net, gross). A pool that is not modelled gets its refusal.

        `pool_id` is taken as given: it is keccak256 of the pool's key, which the bootstrap knows from the Initialize log. Raises `BadState`.
        """
        if len(manager) != 20 or len(pool_id) != 32 or len(hooks) != 20:
            raise BadState(f"{cls.FAMILY}: the manager and the hooks have 20 bytes, a pool id 32")
        try:
            held = ticks if isinstance(ticks, Ticks) else Ticks.of(ticks)
        except TickError as error:
            raise BadState(f"{cls.FAMILY} 0x{pool_id.hex()}: {error}") from None
        fields = token0, token1, fee_pips, tick_spacing, sqrt_price, tick, liquidity, protocol_fee, held
        reason = refusal or refusal_of(fee_pips, hooks)
        return cls(pool_key(manager, pool_id), *fields, reason, manager, pool_id, hooks)._checked()

    @classmethod
    def from_initialize(cls, log: Log) -> Self:
        """The pool that an Initialize log of a PoolManager announces. Raises `BadLog`, or `BadState` for a key that no manager takes."""
        if not log.topics or log.topics[0] != INITIALIZE_TOPIC:
            raise BadLog(BadLogReason.WRONG_TOPIC, "not an Initialize log of a PoolManager")
        check_shape(log, "Initialize", 4, 160)
        words = [log.data[at : at + 32] for at in range(0, 160, 32)]
        if any(any(word[:12]) for word in (log.topics[2], log.topics[3], words[2])):
            raise BadLog(BadLogReason.OVERFLOW, "an address of more than 20 bytes")
        bare = cls.from_parts(
            manager=log.address,
            pool_id=log.topics[1],
            token0=log.topics[2][12:],
            token1=log.topics[3][12:],
            fee_pips=int.from_bytes(words[0], "big"),
            tick_spacing=int.from_bytes(words[1], "big", signed=True),
            hooks=words[2][12:],
        )
        price, tick = sqrt_price_of(words[3]), current_tick_of(words[4])
        return bare if bare.refusal else bare._initialised(price, tick)

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Inverse of `to_plain`. Raises `BadState`."""
        check_plain(plain, _PLAIN, cls.FAMILY)
        (
            manager,
            pool_id,
            hooks,
            token0,
            token1,
            fee,
            spacing,
            price,
            tick,
            liquidity,
            protocol_fee,
            index,
            held,
            refusal,
        ) = plain
        try:
            ticks = Ticks.unpack(index, held)
        except TickError as error:
            raise BadState(f"{cls.FAMILY} 0x{pool_id.hex()}: {error}") from None
        return cls.from_parts(
            manager=manager,
            pool_id=pool_id,
            hooks=hooks,
            token0=token0,
            token1=token1,
            fee_pips=fee,
            tick_spacing=spacing,
            sqrt_price=price,
            tick=tick,
            liquidity=liquidity,
            protocol_fee=protocol_fee,
            ticks=ticks,
            refusal=refusal,
        )

    def to_plain(self) -> Plain:
        """(manager, id, hooks, token0, token1, fee, spacing, sqrt price, tick, liquidity, protocol fee, ticks, theirs, refusal)."""
        return (
            self.manager,
            self.pool_id,
            self.hooks,
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
                self.manager,
                self.pool_id,
                self.hooks,
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
        """The pools of `Initialize`; the factory is the manager. The log is the seed: the chain keeps a pool's key nowhere.

        Passed over where it is none of the manager's: a malformed one, or one whose id is not the hash of what it says.
        """
        yield from ()
        found = {}
        for log in logs:
            if log.address != factory.address or log.topics[:1] != cls.FACTORY_TOPICS:
                continue
            try:
                pool = cls.from_initialize(log)
            except (BadLog, BadState):
                continue
            if pool.pool_id != pool_id_of(pool.token0, pool.token1, pool.fee_pips, pool.tick_spacing, pool.hooks):
                continue
            found[pool.address] = Found(cls.FAMILY, pool.address, factory.address, pool.seed())
        return tuple(found.values())

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """The manager's storage of the pool that the seed names: price and liquidity, all words of the bitmap, the ticks.

        A pool that is not modelled costs no read. Raises `AdmissionRefused`.
        """
        shown = f"0x{found.address.hex()}"
        bare = cls._from_seed(found)
        if factory is None or factory.family != cls.FAMILY or factory.address != found.factory:
            detail = f"no configured PoolManager at 0x{found.factory.hex()} holds pool {shown}"
            raise AdmissionRefused(AdmissionReason.UNKNOWN_FACTORY, detail)
        if bare.refusal:
            return bare
        layout = bare.layout()
        price_slot, _, _, liquidity_slot = layout.fixed[:4]
        answers = yield tuple(Slot(bare.manager, slot_key(slot)) for slot in (price_slot, liquidity_slot))
        packed, liquidity = (int.from_bytes(answer or b"", "big") for answer in answers)
        price, fee = packed & (1 << 160) - 1, packed >> 208 & (1 << 24) - 1
        if not price:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"pool {shown} is not initialised in its manager")
        if fee != bare.fee_pips:
            detail = f"pool {shown} takes a fee of {fee}, its key says {bare.fee_pips}"
            raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
        ticks = yield from read_ticks(bare.manager, layout, bare.tick_spacing)
        try:
            pool = bare._with(
                price,
                signed(packed >> 160, 24),
                liquidity,
                Ticks.of(ticks),
                packed >> 184 & (1 << 24) - 1,
            )._checked()
        except (BadState, TickError) as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown}: {error}") from None
        if wrong := pool.audit():
            raise AdmissionRefused(AdmissionReason.BAD_STATE, f"{shown}: {wrong}")
        return pool

    @classmethod
    def _from_seed(cls, found: Found) -> Self:
        try:
            plain = unpack_plain(found.seed)
            check_plain(plain, _SEED, cls.FAMILY)
            token0, token1, fee, spacing, hooks = plain
            pool = cls.from_parts(
                manager=found.factory,
                pool_id=pool_id_of(token0, token1, fee, spacing, hooks),
                token0=token0,
                token1=token1,
                fee_pips=fee,
                tick_spacing=spacing,
                hooks=hooks,
            )
        except (ValueError, OverflowError) as error:
            # An address alone is no pool of the singleton: only a log says which.
            detail = f"0x{found.address.hex()} comes without the key of a pool: {error}"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail) from None
        if pool.address != found.address:
            detail = f"the key of pool 0x{pool.address.hex()} is given for 0x{found.address.hex()}"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail)
        return pool

    def seed(self) -> bytes:
        """The pool's key as plain data: (token0, token1, fee, spacing, hooks)."""
        return pack_plain((self.token0, self.token1, self.fee_pips, self.tick_spacing, self.hooks))

    @classmethod
    def key_of(cls, log: Log) -> bytes:
        """The key of the pool that a log of this family's topics is about. Raises `BadLog` where the log names none."""
        if len(log.topics) < 2:
            raise BadLog(
                BadLogReason.WRONG_TOPIC_COUNT, f"a log of {len(log.topics)} topics names no pool of a PoolManager"
            )
        return pool_key(log.address, log.topics[1])

    @property
    def holder(self) -> bytes:
        """The manager."""
        return self.manager

    def layout(self) -> Layout:
        """Where the manager keeps this pool: price, both fee growths, liquidity, ticks, bitmap (`StateLibrary`); and the protocol's fees."""
        first = int.from_bytes(keccak(self.pool_id + _POOLS_SLOT), "big")
        fixed = (
            *range(first, first + 4),
            *(mapped(int.from_bytes(t, "big"), _PROTOCOL_FEES_SLOT) for t in self.tokens),
        )
        return Layout(fixed=fixed, ticks=first + 4, bitmap=first + 5, tick_slots=3)

    # ------------------------------------------------------------ what the chain did

    def apply(self, log: Log) -> Self:
        """The state after a log. Raises `BadLog` for anything that the manager does not emit about this pool in this state."""
        if log.address != self.manager:
            self._check_address(log, self.manager)
        topics, data = log.topics, log.data
        topic = topics[0] if topics else b""
        if refusal_of(self.fee_pips, self.hooks):
            return self._unmodelled(log)
        if topic == SWAP_TOPIC:
            if len(topics) != 3 or len(data) != 192:
                check_shape(log, "Swap", 3, 192)
            if topics[1] != self.pool_id:
                self._check_id(log)
            moved = self._moved(*swap_words(data))
            if int.from_bytes(data[160:192], "big") != self.fee_pips or self.protocol_fee:
                self._check_fee(data)
            return moved
        if topic == MODIFY_LIQUIDITY_TOPIC:
            check_shape(log, "ModifyLiquidity", 3, 128)
            self._check_id(log)
            amount = int.from_bytes(data[64:96], "big", signed=True)
            if not -INT128_MAX - 1 <= amount <= INT128_MAX:
                raise BadLog(BadLogReason.OVERFLOW, f"a change of liquidity by {amount} exceeds int128")
            return self._positioned(tick_of(data[:32]), tick_of(data[32:64]), amount)
        if topic == PROTOCOL_FEE_TOPIC:
            check_shape(log, "ProtocolFeeUpdated", 2, 32)
            self._check_id(log)
            packed = int.from_bytes(data, "big")
            if not _valid_protocol_fee(packed):
                raise BadLog(
                    BadLogReason.OUT_OF_RANGE, f"protocol fee {packed:#x}, the most is {MAX_PROTOCOL_FEE} a direction"
                )
            return self._with(self.sqrt_price, self.tick, self.liquidity, self.ticks, packed)
        if topic == INITIALIZE_TOPIC:
            check_shape(log, "Initialize", 4, 160)
            self._check_id(log)
            return self._initialised(sqrt_price_of(data[96:128]), current_tick_of(data[128:160]))
        raise self._unknown_topic(log)

    def _unmodelled(self, log: Log) -> Self:
        if not log.topics or log.topics[0] not in self.LOG_TOPICS:
            raise self._unknown_topic(log)
        if self.key_of(log) != self.address:
            self._check_id(log)
        return self

    def _check_id(self, log: Log) -> None:
        if log.topics[1] != self.pool_id:
            raise BadLog(
                BadLogReason.WRONG_CONTRACT, f"log of pool 0x{log.topics[1].hex()} given to pool 0x{self.pool_id.hex()}"
            )

    def _check_fee(self, data: bytes) -> None:
        # The log says which fee was taken. Another one than ours means that a protocol fee was missed.
        found = int.from_bytes(data[160:192], "big")
        amount0, amount1 = (int.from_bytes(data[at : at + 32], "big", signed=True) for at in (0, 32))
        expected = {self.swap_fee(True)} if amount0 < 0 else {self.swap_fee(False)} if amount1 < 0 else None
        if found not in (expected or {self.swap_fee(True), self.swap_fee(False)}):
            raise BadLog(BadLogReason.CONTRADICTS_STATE, f"a swap of pool 0x{self.pool_id.hex()} took a fee of {found}")

    # ------------------------------------------------------------ what V4 does otherwise

    def swap_fee(self, zero_for_one: bool) -> int:
        """`ProtocolFeeLibrary.calculateSwapFee`: the protocol's part first, the providers' from the rest, rounded up."""
        protocol = self.protocol_fee & _FEE_MASK if zero_for_one else self.protocol_fee >> _FEE_BITS
        return protocol + self.fee_pips - protocol * self.fee_pips // PIPS

    def _most(self) -> int:
        return INT128_MAX

    def _max_gross(self) -> int:
        # Pool.tickSpacingToMaxLiquidityPerTick counts one tick more than V3 does where the spacing does not divide the last tick.
        return UINT128_MAX // (MAX_TICK // self.tick_spacing - MIN_TICK // self.tick_spacing + 1)

    def _check_modelled(self) -> None:
        if refusal := refusal_of(self.fee_pips, self.hooks):
            raise QuoteRefused(QuoteRefusal.NOT_MODELLED, f"pool 0x{self.pool_id.hex()}: {refusal}")

    def _walk(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit: int | None) -> Walked:
        self._check_modelled()
        if amount_specified < 0 and self.swap_fee(zero_for_one) >= PIPS:
            raise QuoteRefused(
                QuoteRefusal.NOT_MODELLED, "a pool that keeps the whole input has no price for an output"
            )
        walked = super()._walk(zero_for_one, amount_specified, sqrt_price_limit)
        if walked.amount_in > INT128_MAX + 1 or walked.amount_out > INT128_MAX:
            raise QuoteRefused(QuoteRefusal.OVERFLOW, f"{walked.amount_in} for {walked.amount_out} exceeds int128")
        return walked

    def _with(self, sqrt_price: int, tick: int, liquidity: int, ticks: Ticks, protocol_fee: int) -> Self:
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
            self.manager,
            self.pool_id,
            self.hooks,
        )

    def _checked(self) -> Self:
        if not (0 <= self.fee_pips <= PIPS or self.fee_pips == DYNAMIC_FEE):
            raise BadState(f"{self.FAMILY}: fee_pips {self.fee_pips} is not in [0, {PIPS}]")
        if not _valid_protocol_fee(self.protocol_fee):
            raise BadState(
                f"{self.FAMILY}: protocol fee {self.protocol_fee:#x}, the most is {MAX_PROTOCOL_FEE} a direction"
            )
        return super()._checked()


def _valid_protocol_fee(packed: int) -> bool:
    return 0 <= packed < 1 << 2 * _FEE_BITS and packed & _FEE_MASK <= MAX_PROTOCOL_FEE >= packed >> _FEE_BITS
