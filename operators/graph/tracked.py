"""What a shard keeps of pools and accounts, with their packed forms.

A snapshot of a shard holds all its pools, every epoch, while a block changes few of them. So each is packed once after a change and the
bytes are kept beside it: a snapshot costs by the number of objects in it, and few of them a pool is the least there can be. Large parts that
states have in common (the ticks of a pool between two liquidity events, the slots it needs) are kept apart as objects of their own: a
snapshot, which is pickled, then holds each once however many undo entries refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from operators.pools import FAMILIES
from operators.pools.base import Pool
from schemas.plain import pack_plain, unpack_plain
from schemas.pools import AccountSlots

#: Bytes of a state from this length on are kept apart.
_LARGE = 256
_UNKNOWN = ()
#: A run of slots: the first, and their number.
_RUN = 34
_MAX_RUN = (1 << 16) - 1

#: A packed state: plain data, and the large parts that are left out of it.
Packed = tuple[bytes, tuple[bytes, ...]]


class Needs:
    """The slots that a simulation through a pool reads; one object for all the states of a pool. Of the many pools few are ever simulated
    through, so slots that came packed are unpacked when they are asked for."""

    __slots__ = ("_packed", "_slots")

    def __init__(self, slots: tuple[AccountSlots, ...] | None, packed: bytes | None = None) -> None:
        self._slots = slots
        self._packed = packed

    @classmethod
    def unpack(cls, packed: bytes) -> Needs:
        """Inverse of `pack`."""
        return cls(None, packed)

    def pack(self) -> bytes:
        """One account after the other: address, number of runs, and of each run of neighbouring slots the first and how many."""
        if self._packed is None:
            self._packed = b"".join(
                [
                    need.address + len(runs).to_bytes(4, "big") + b"".join(runs)
                    for need, runs in _with_runs(self._slots or ())
                ]
            )
        return self._packed

    @property
    def slots(self) -> tuple[AccountSlots, ...]:
        """By account."""
        if self._slots is None:
            self._slots = tuple(_accounts(self._packed or b""))
        return self._slots

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Needs) and self.pack() == other.pack())

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Needs.unpack, (self.pack(),)


def _with_runs(slots: tuple[AccountSlots, ...]) -> Iterator[tuple[AccountSlots, list[bytes]]]:
    # A structure lies in neighbouring slots: a tick of Uniswap V3 in four, of which this writes one.
    for need in slots:
        runs, first, count = [], 0, 0
        for number in (int.from_bytes(key, "big") for key in need.keys):
            if count and number == first + count and count < _MAX_RUN:
                count += 1
                continue
            if count:
                runs.append(first.to_bytes(32, "big") + count.to_bytes(2, "big"))
            first, count = number, 1
        if count:
            runs.append(first.to_bytes(32, "big") + count.to_bytes(2, "big"))
        yield need, runs


def _accounts(packed: bytes) -> Iterator[AccountSlots]:
    at = 0
    while at < len(packed):
        start = at + 24
        end = start + _RUN * int.from_bytes(packed[at + 20 : start], "big")
        keys: list[bytes] = []
        for run in range(start, end, _RUN):
            first, count = packed[run : run + 32], int.from_bytes(packed[run + 32 : run + _RUN], "big")
            keys.append(first)
            if count > 1:
                number = int.from_bytes(first, "big")
                keys += [(number + more).to_bytes(32, "big") for more in range(1, count)]
        yield AccountSlots(packed[at : at + 20], tuple(keys))
        at = end


class Tracked(msgspec.Struct, eq=False, gc=False):
    """A pool as the shard keeps it; never changed, but replaced. `refusal` is why the shard does not let it be traded, or empty.

    `lost` says that a log could not be applied, so that the state is not the chain's from there on.
    """

    pool: Pool
    refusal: str
    needs: Needs
    lost: bool = False
    _packed: Packed | None = None

    @property
    def reason(self) -> str:
        """Why it is not traded, by the shard or by the state itself; empty if it may be."""
        return self.refusal or self.pool.refusal

    def pack(self) -> Packed:
        """All but the needs."""
        if self._packed is None:
            state = list(self.pool.to_plain())
            large = tuple([at for at, part in enumerate(state) if type(part) is bytes and len(part) >= _LARGE])
            apart = tuple([state[at] for at in large])
            for at in large:
                state[at] = b""
            plain = pack_plain((self.pool.FAMILY, tuple(state), large, self.refusal, int(self.lost)))
            self._packed = plain, apart
        return self._packed

    @classmethod
    def unpack(cls, packed: Packed, needs: Needs) -> Tracked:
        """Inverse of `pack`."""
        plain, apart = packed
        family, state, large, refusal, lost = unpack_plain(plain)
        if large:
            parts = dict(zip(large, apart, strict=True))
            state = tuple(parts.get(at, part) for at, part in enumerate(state))
        return cls(FAMILIES[family].from_plain(state), refusal, needs, bool(lost), packed)


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


class UndoPool(msgspec.Struct, frozen=True, gc=False):
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


def pack_undo(undo: UndoPool | UndoAccount) -> tuple[Any, ...]:
    """An undo as a few plain objects, shared with the pools' own where they are the same."""
    if isinstance(undo, UndoPool):
        before = undo.before
        return (undo.address,) if before is None else (undo.address, *before.pack(), before.needs.pack())
    address, nonce, balance, code_hash, slots = undo
    known = [part for key, value in slots.items() if value is not None for part in (key, value)]
    unknown = [key for key, value in slots.items() if value is None]
    fields = (address, _optional(nonce), _optional(balance), _optional(code_hash), b"".join(known), b"".join(unknown))
    return address, pack_plain(fields)


def unpack_undo(packed: tuple[Any, ...]) -> UndoPool | UndoAccount:
    """Inverse of `pack_undo`."""
    if len(packed) == 1:
        return UndoPool(packed[0], None)
    if len(packed) == 4:
        address, plain, apart, needs = packed
        return UndoPool(address, Tracked.unpack((plain, apart), Needs.unpack(needs)))
    address, nonce, balance, code_hash, known, unknown = unpack_plain(packed[1])
    slots: dict[bytes, bytes | None] = {
        known[at : at + 32]: known[at + 32 : at + 64] for at in range(0, len(known), 64)
    }
    slots |= dict.fromkeys(unknown[at : at + 32] for at in range(0, len(unknown), 32))
    return UndoAccount(address, _read_optional(nonce), _read_optional(balance), _read_optional(code_hash), slots)


def _optional(value: Any) -> Any:
    # Plain data has no nothing: an empty tuple stands for it.
    return _UNKNOWN if value is None else value


def _read_optional(value: Any) -> Any:
    return None if value == _UNKNOWN and type(value) is tuple else value
