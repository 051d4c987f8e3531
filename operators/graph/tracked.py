"""What a shard keeps of pools and accounts, with their packed forms.

A snapshot of a shard holds all its pools, every epoch, while a block changes few of them. So each is packed when it was changed and
the bytes are kept beside it: the snapshot costs by the number of objects in it, and one object a pool is the least there can be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from operators.pools import FAMILIES
from operators.pools.base import Pool
from schemas.plain import pack_plain, unpack_plain
from schemas.pools import AccountSlots

_UNKNOWN = ()


class Needs(msgspec.Struct, eq=False):
    """The slots that a simulation through a pool reads; one object for all the states of a pool."""

    slots: tuple[AccountSlots, ...]
    _packed: bytes = b""

    def pack(self) -> bytes:
        """As plain data, packed."""
        if not self._packed:
            self._packed = pack_plain(tuple((need.address, b"".join(need.keys)) for need in self.slots))
        return self._packed

    @classmethod
    def unpack(cls, packed: bytes) -> Needs:
        """Inverse of `pack`."""
        slots = tuple(
            AccountSlots(address, tuple(keys[at : at + 32] for at in range(0, len(keys), 32)))
            for address, keys in unpack_plain(packed)
        )
        return cls(slots, packed)


class Tracked(msgspec.Struct, eq=False):
    """A pool as the shard keeps it; never changed, but replaced. `refusal` is why the shard does not let it be traded, or empty.

    `lost` says that a log could not be applied, so that the state is not the chain's from there on.
    """

    pool: Pool
    refusal: str
    needs: Needs
    lost: bool = False
    _packed: bytes = b""

    @property
    def reason(self) -> str:
        """Why it is not traded, by the shard or by the state itself; empty if it may be."""
        return self.refusal or self.pool.refusal

    def pack(self) -> bytes:
        """All but the needs as plain data, packed."""
        if not self._packed:
            self._packed = pack_plain((self.pool.FAMILY, self.pool.to_plain(), self.refusal, int(self.lost)))
        return self._packed

    @classmethod
    def unpack(cls, packed: bytes, needs: Needs) -> Tracked:
        """Inverse of `pack`."""
        family, plain, refusal, lost = unpack_plain(packed)
        return cls(FAMILIES[family].from_plain(plain), refusal, needs, bool(lost), packed)


class Account:
    """Tracked state of one account; None is unknown. `pack` again after a change: `changed`."""

    __slots__ = ("_packed", "address", "balance", "code_hash", "nonce", "slots")

    def __init__(self, address: bytes) -> None:
        self.address = address
        self.nonce: int | None = None
        self.balance: bytes | None = None
        self.code_hash: bytes | None = None
        self.slots: dict[bytes, bytes] = {}
        self._packed = b""

    def changed(self) -> None:
        """Forget the packed form."""
        self._packed = b""

    def pack(self) -> bytes:
        """As plain data, packed."""
        if not self._packed:
            slots = b"".join([key + value for key, value in self.slots.items()])
            self._packed = pack_plain(
                (self.address, *map(_optional, (self.nonce, self.balance, self.code_hash)), slots)
            )
        return self._packed

    @classmethod
    def unpack(cls, packed: bytes) -> Account:
        """Inverse of `pack`."""
        address, nonce, balance, code_hash, slots = unpack_plain(packed)
        account = cls(address)
        account.nonce, account.balance, account.code_hash = map(_read_optional, (nonce, balance, code_hash))
        account.slots = {slots[at : at + 32]: slots[at + 32 : at + 64] for at in range(0, len(slots), 64)}
        account._packed = packed
        return account


class UndoPool(NamedTuple):
    """Puts a pool back; `before` None: the pool was not known."""

    address: bytes
    before: Tracked | None


class UndoAccount(NamedTuple):
    """Puts an account's fields and the named slots back; slot value None: the slot was not known."""

    address: bytes
    nonce: int | None
    balance: bytes | None
    code_hash: bytes | None
    slots: dict[bytes, bytes | None]


def undo_to_plain(undo: UndoPool | UndoAccount) -> tuple[Any, ...]:
    """An undo as plain data."""
    if isinstance(undo, UndoPool):
        before = undo.before
        return ("pool", undo.address, *((before.pack(), before.needs.pack()) if before else ()))
    address, *fields, slots = undo
    known = tuple(part for key, value in slots.items() if value is not None for part in (key, value))
    unknown = tuple(key for key, value in slots.items() if value is None)
    return ("account", address, *map(_optional, fields), b"".join(known), b"".join(unknown))


def undo_from_plain(plain: tuple[Any, ...]) -> UndoPool | UndoAccount:
    """Inverse of `undo_to_plain`."""
    kind, address, *fields = plain
    if kind == "pool":
        return UndoPool(address, Tracked.unpack(fields[0], Needs.unpack(fields[1])) if fields else None)
    *optional, known, unknown = fields
    slots: dict[bytes, bytes | None] = {
        known[at : at + 32]: known[at + 32 : at + 64] for at in range(0, len(known), 64)
    }
    slots |= dict.fromkeys(unknown[at : at + 32] for at in range(0, len(unknown), 32))
    return UndoAccount(address, *map(_read_optional, optional), slots)


def _optional(value: Any) -> Any:
    # Plain data has no nothing: an empty tuple stands for it.
    return _UNKNOWN if value is None else value


def _read_optional(value: Any) -> Any:
    return None if value == _UNKNOWN and type(value) is tuple else value
