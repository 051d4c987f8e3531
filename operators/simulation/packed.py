"""The packed form of a witness: canonical bytes that go into a record, and into engine `revm` as they are.

Version 1, integers big-endian: `"SLWT" | version u8 | codes u32 | code… | accounts u32 | account…`, with
code = `keccak 32 | length u32 | bytes`, ascending by keccak; account = `address 20 | flags u8` and, unless absent,
`nonce u64 | balance 32 | code hash 32 | slots u32 | (key 32 | value 32)…`, ascending by address and key. Flags: 1 known not to
exist, 2 slots that are not listed hold zero. A state has exactly one packed form.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from operators.simulation.hashes import EMPTY_CODE_HASH, keccak
from operators.simulation.model import ABSENT, AccountView, Witness, pack_slots, unpack_slots
from schemas.witness import AccountState

_MAGIC = b"SLWT\x01"
_ABSENT, _COMPLETE = 1, 2
_SLOT = 64
#: Bytes of an account before its slots.
_ACCOUNT = 97
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")


class BadPackedWitness(ValueError):
    """Bytes that are no packed witness; the message says where and why."""


class PackedState(NamedTuple):
    """A state as records carried it: packed witnesses, each over the ones before it, and the codes known by hash.

    Engines take it in a `Witness`'s place; `revm` reads the bytes as they are.
    """

    layers: tuple[bytes, ...]
    codes: Mapping[bytes, bytes]

    def unpacked(self) -> Witness:
        """The same as a witness. Raises `BadPackedWitness`."""
        state = Witness({}, {})
        for layer in self.layers:
            state = state.layered(unpack(layer))
        hashes = {view.code_hash for view in state.accounts.values()}
        codes = {code_hash: self.codes[code_hash] for code_hash in sorted(hashes & self.codes.keys())}
        return Witness(state.accounts, {**codes, **state.codes})


def unpacked(state: Witness | PackedState) -> Witness:
    """A witness, whatever form it is in. Raises `BadPackedWitness`."""
    return state.unpacked() if isinstance(state, PackedState) else state


def pack_states(accounts: Iterable[AccountState]) -> bytes:
    """Accounts of which everything is known as a packed witness without codes; balances and slots are copied as they are.

    Raises `BadPackedWitness` where a field of an account is left open, or the accounts or their slots are not in order.
    """
    packed = list(accounts)
    parts = [_MAGIC, _count(0), _count(len(packed))]
    last = b""
    for state in packed:
        if state.nonce is None or state.balance is None or state.code_hash is None:
            raise BadPackedWitness(f"account 0x{state.address.hex()} is known in part only")
        keys = [state.slots[at : at + 32] for at in range(0, len(state.slots), _SLOT)]
        if state.address <= last or keys != sorted(set(keys)) or len(state.slots) % _SLOT:
            raise BadPackedWitness(f"account 0x{state.address.hex()}, or a slot of it, is out of order")
        last = state.address
        head = (state.address, b"\0", state.nonce.to_bytes(8, "big"), state.balance, state.code_hash)
        parts += (*head, _count(len(keys)), state.slots)
    return b"".join(parts)


def pack(witness: Witness) -> bytes:
    """The packed form, with the codes that the witness's accounts have. Accounts that are known in part are left out.

    Raises `BadPackedWitness` where a number does not fit (a negative balance, a nonce beyond 64 bits).
    """
    accounts = sorted(witness.accounts.items())
    hashes = {view.code_hash for _, view in accounts if view.code_hash != EMPTY_CODE_HASH}
    codes = [(code_hash, witness.codes[code_hash]) for code_hash in sorted(hashes & witness.codes.keys())]
    parts = [_MAGIC, _count(len(codes))]
    for code_hash, code in codes:
        parts += (code_hash, _count(len(code)), code)
    parts.append(_count(len(accounts)))
    try:
        for address, view in accounts:
            _pack_account(parts, address, view)
    except OverflowError as error:
        raise BadPackedWitness(f"account 0x{address.hex()}: {error}") from None
    return b"".join(parts)


def unpack(packed: bytes) -> Witness:
    """The witness. Raises `BadPackedWitness` for whatever `pack` does not write."""
    reader = _Reader(packed)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise BadPackedWitness("this is no packed witness of version 1")
    witness = Witness({}, {})
    last = b""
    for _ in range(reader.count(36)):
        code_hash, code = reader.take(32), reader.take(reader.count(1))
        if code_hash <= last or keccak(code) != code_hash:
            raise BadPackedWitness(f"code 0x{code_hash.hex()} is out of order, or has another hash")
        last = code_hash
        witness.codes[code_hash] = code
    last = b""
    for _ in range(reader.count(21)):
        address, view = _unpack_account(reader)
        if address <= last:
            raise BadPackedWitness(f"account 0x{address.hex()} is out of order")
        last = address
        witness.accounts[address] = view
    reader.finish()
    return witness


def nonces_in(packed: bytes) -> dict[bytes, int]:
    """The accounts of a packed witness with their nonces, nothing else being looked at. Raises `BadPackedWitness`."""
    if not packed.startswith(_MAGIC):
        raise BadPackedWitness("this is no packed witness of version 1")
    found: dict[bytes, int] = {}
    at = len(_MAGIC) + 4
    try:
        for _ in range(*_U32.unpack_from(packed, at - 4)):
            at += 36 + _U32.unpack_from(packed, at + 32)[0]
        at += 4
        for _ in range(*_U32.unpack_from(packed, at - 4)):
            address = packed[at : at + 20]
            if packed[at + 20] == _ABSENT:
                found[address] = 0
                at += 21
            else:
                (found[address],) = _U64.unpack_from(packed, at + 21)
                at += _ACCOUNT + _SLOT * _U32.unpack_from(packed, at + _ACCOUNT - 4)[0]
    except (struct.error, IndexError):
        raise BadPackedWitness(f"truncated: something is missing behind {len(packed)} bytes") from None
    return found


def _pack_account(parts: list[bytes], address: bytes, view: AccountView) -> None:
    if view == ABSENT:
        parts += (address, bytes([_ABSENT]))
        return
    parts += (
        address,
        bytes([_COMPLETE if view.complete else 0]),
        view.nonce.to_bytes(8, "big"),
        view.balance.to_bytes(32, "big"),
        view.code_hash,
        _count(len(view.slots)),
        pack_slots(view.slots),
    )


def _unpack_account(reader: _Reader) -> tuple[bytes, AccountView]:
    address, flags = reader.take(20), reader.take(1)[0]
    if flags == _ABSENT:
        return address, ABSENT
    if flags & ~_COMPLETE:
        raise BadPackedWitness(f"account 0x{address.hex()} has unknown flags {flags}")
    nonce, balance = int.from_bytes(reader.take(8), "big"), int.from_bytes(reader.take(32), "big")
    code_hash = reader.take(32)
    slots = reader.take(_SLOT * reader.count(_SLOT))
    view = AccountView(nonce, balance, code_hash, unpack_slots(slots), flags == _COMPLETE)
    if view == ABSENT or pack_slots(view.slots) != slots:
        raise BadPackedWitness(f"account 0x{address.hex()} is not in canonical form")
    return address, view


def _count(number: int) -> bytes:
    return number.to_bytes(4, "big")


class _Reader:
    """Every read is bounded, every count held against what is left."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._packed):
            raise BadPackedWitness(
                f"truncated: {size} bytes are needed at {self._at}, the end is at {len(self._packed)}"
            )
        taken, self._at = self._packed[self._at : end], end
        return taken

    def count(self, least: int) -> int:
        at, number = self._at, int.from_bytes(self.take(4), "big")
        if number * least > len(self._packed) - self._at:
            raise BadPackedWitness(f"absurd count {number} at {at}")
        return number

    def finish(self) -> None:
        if self._at != len(self._packed):
            raise BadPackedWitness(f"{len(self._packed) - self._at} bytes follow after the end")
