"""Topic `pools`: the pools a chain's flows know, with the evidence on which each was admitted or refused."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Part, Sequenced
from schemas.types import Address, Name, OptionalAddress, Text, Uint, Wide, Word


class PoolOp(StrEnum):
    """What an event does with a pool."""

    ADD = "add"
    SUSPEND = "suspend"


class TokenInfo(Part, frozen=True):
    """A token's metadata as it answers for itself; empty symbol or None decimals where it does not."""

    address: Address
    symbol: Name
    decimals: Uint | None


class AccountSlots(Part, frozen=True):
    """Storage slots of one account that a simulation through a pool reads."""

    address: Address
    keys: tuple[Word, ...]


class PoolRecord(Sequenced, frozen=True):
    """Part 0 of a pool event; part 1, on admission, is the witness of the slots in `needs`.

    Reserves are base units as of block `block_number`; `fee_pips` is the swap fee in millionths. `refusal` is empty
    for a pool that may be traded, else the typed reason: such a pool is tracked (its state is kept) but never searched.
    """

    TOPIC = "pools"

    op: PoolOp
    family: Name
    address: Address
    factory: OptionalAddress
    token0: TokenInfo
    token1: TokenInfo
    fee_pips: Uint
    reserve0: Wide
    reserve1: Wide
    block_number: Uint
    refusal: Name
    detail: Text
    needs: tuple[AccountSlots, ...]


GOLDEN = PoolRecord(
    chain=1, seq=3, part=0, parts=2, op=PoolOp.ADD, family="uniswap_v2", address=b"\x06" * 20, factory=b"\x5c" * 20,
    token0=TokenInfo(address=b"\x9e" * 20, symbol="TKA", decimals=18),
    token1=TokenInfo(address=b"\xa0" * 20, symbol="USDC", decimals=6),
    fee_pips=3000, reserve0=Wide(13_629_066_382_204_138), reserve1=Wide(368_697_149_263), block_number=19_932_147,
    refusal="", detail="", needs=(AccountSlots(address=b"\x06" * 20, keys=((8).to_bytes(32, "big"),)),),
)  # fmt: skip
