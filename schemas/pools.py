"""Topic `pools`: the pools a chain's flows know, with the evidence on which each was admitted or refused."""

from __future__ import annotations

from enum import StrEnum

from schemas.plain import pack_plain
from schemas.record import Part, Sequenced
from schemas.types import Address, Name, OptionalAddress, Text, Uint, Word


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

    `address` is the pool's key: its contract's address, or what the family derives from a singleton's pool id. `tokens` are in the
    pool's own order. `state` is the family's plain state after block `block_number` as `schemas.plain` (empty: there is none), `seed` the facts
    that the chain's state does not hold and a later reading needs again (what a factory's log said). `refusal` is empty for a pool that
    may be traded, else the typed reason: such a pool is tracked (its state is kept) but never searched.
    """

    TOPIC = "pools"
    VERSION = 2

    op: PoolOp
    family: Name
    address: Address
    factory: OptionalAddress
    tokens: tuple[TokenInfo, ...]
    state: bytes
    seed: bytes
    block_number: Uint
    refusal: Name
    detail: Text
    needs: tuple[AccountSlots, ...]


GOLDEN = PoolRecord(
    chain=1, seq=3, part=0, parts=2, op=PoolOp.ADD, family="uniswap_v2", address=b"\x06" * 20, factory=b"\x5c" * 20,
    tokens=(TokenInfo(address=b"\x9e" * 20, symbol="TKA", decimals=18),
            TokenInfo(address=b"\xa0" * 20, symbol="USDC", decimals=6)),
    state=pack_plain((b"\x06" * 20, b"\x9e" * 20, b"\xa0" * 20, 3000, 13_629_066_382_204_138, 368_697_149_263, "")),
    seed=b"", block_number=19_932_147, refusal="", detail="",
    needs=(AccountSlots(address=b"\x06" * 20, keys=((8).to_bytes(32, "big"),)),),
)  # fmt: skip
