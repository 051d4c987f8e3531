"""Signed transactions: decoding, the hash, the sender from the signature, and the raw form from a node's JSON object.

Formats: legacy with EIP-155, type 1 EIP-2930, type 2 EIP-1559. Types 3 (EIP-4844) and 4 (EIP-7702) are recognised and refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import rlp
from coincurve import PublicKey

from infra.chain import hexes
from infra.chain.answers import TransactionAnswer
from infra.chain.keccak import keccak
from schemas.pending import AccessListEntry

#: secp256k1's order halved: a higher `s` is invalid since EIP-2.
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class TxRefusal(StrEnum):
    """Why a pending transaction is not modelled."""

    MALFORMED = "malformed_transaction"
    BLOB = "blob_transaction"
    SET_CODE = "set_code_transaction"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_CHAIN = "wrong_chain"
    BAD_SIGNATURE = "bad_signature"


class TransactionRefused(ValueError):
    """A transaction we do not take, with the reason that is counted."""

    def __init__(self, reason: TxRefusal, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


@dataclass(frozen=True)
class SignedTransaction:
    """A decoded transaction. Units as in `schemas.pending.PendingRecord`."""

    hash: bytes
    raw: bytes
    sender: bytes
    tx_type: int
    nonce: int
    to: bytes
    value: int
    gas_limit: int
    max_fee: int
    max_priority_fee: int
    data: bytes
    access_list: tuple[AccessListEntry, ...]


def decode_raw(raw: bytes, chain_id: int) -> SignedTransaction:
    """A signed transaction from its bytes, sender recovered. Raises `TransactionRefused`."""
    if not raw:
        raise TransactionRefused(TxRefusal.MALFORMED, "no bytes")
    kind = 0 if raw[0] >= 0xC0 else raw[0]
    if kind == 3:
        raise TransactionRefused(TxRefusal.BLOB)
    if kind == 4:
        raise TransactionRefused(TxRefusal.SET_CODE)
    if kind > 2 or (kind == 0 and raw[0] < 0xC0):
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {raw[0]}")
    try:
        fields = rlp.decode(raw if kind == 0 else raw[1:], strict=True)
        return _legacy(raw, fields, chain_id) if kind == 0 else _typed(raw, kind, fields, chain_id)
    except (rlp.DecodingError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, TransactionRefused):
            raise
        raise TransactionRefused(TxRefusal.MALFORMED, str(error)) from None


def _legacy(raw: bytes, fields: Any, chain_id: int) -> SignedTransaction:
    nonce, gas_price, gas, to, value, data, v, r, s = fields
    number = _int(v)
    unsigned = [nonce, gas_price, gas, to, value, data]
    if number >= 35:
        _check_chain((number - 35) // 2, chain_id)
        parity = (number - 35) % 2
        unsigned += [chain_id.to_bytes((chain_id.bit_length() + 7) // 8, "big"), b"", b""]
    else:
        parity = number - 27
    sender = recover(keccak(rlp.encode(unsigned)), parity, _int(r), _int(s))
    price = _int(gas_price)
    return SignedTransaction(
        keccak(raw), raw, sender, 0, _uint64(nonce), _to(to), _int(value), _uint64(gas), price, price, bytes(data), ()
    )


def _typed(raw: bytes, kind: int, fields: Any, chain_id: int) -> SignedTransaction:
    if kind == 1:
        chain, nonce, price, gas, to, value, data, access, parity, r, s = fields
        tip = price
    else:
        chain, nonce, tip, price, gas, to, value, data, access, parity, r, s = fields
    _check_chain(_int(chain), chain_id)
    sender = recover(keccak(bytes((kind,)) + rlp.encode(fields[:-3])), _int(parity), _int(r), _int(s))
    return SignedTransaction(
        keccak(raw),
        raw,
        sender,
        kind,
        _uint64(nonce),
        _to(to),
        _int(value),
        _uint64(gas),
        _int(price),
        _int(tip),
        bytes(data),
        _access(access),
    )


def recover(digest: bytes, parity: int, r: int, s: int) -> bytes:
    """The address whose key signed `digest`. Raises `TransactionRefused(bad_signature)`."""
    if parity not in (0, 1) or not 0 < s <= _HALF_ORDER or not 0 < r < 1 << 256:
        raise TransactionRefused(TxRefusal.BAD_SIGNATURE, "outside the valid range")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,))
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:
        # coincurve raises bare Exceptions and ValueErrors for points off the curve.
        raise TransactionRefused(TxRefusal.BAD_SIGNATURE, str(error)) from None
    return keccak(key.format(compressed=False)[1:])[12:]


def _check_chain(found: int, chain_id: int) -> None:
    if found != chain_id:
        raise TransactionRefused(TxRefusal.WRONG_CHAIN, f"chain {found}, not {chain_id}")


def _int(field: bytes) -> int:
    if len(field) > 32 or field[:1] == b"\0":
        raise ValueError("not a shortest-form integer of at most 256 bits")
    return int.from_bytes(field, "big")


def _uint64(field: bytes) -> int:
    number = _int(field)
    if number >> 63:
        raise ValueError(f"{number} does not fit 63 bits")
    return number


def _to(field: bytes) -> bytes:
    if len(field) not in (0, 20):
        raise ValueError(f"recipient of {len(field)} bytes")
    return bytes(field)


def _access(entries: Sequence[Any]) -> tuple[AccessListEntry, ...]:
    out = []
    for address, keys in entries:
        if len(address) != 20 or any(len(key) != 32 for key in keys):
            raise ValueError("an access list entry of the wrong length")
        out.append(AccessListEntry(address=bytes(address), keys=tuple(bytes(k) for k in keys)))
    return tuple(out)


# ---------------------------------------------------------------- from a node's object


def raw_from(answer: TransactionAnswer) -> bytes | None:
    """The raw transaction behind a node's object, or None where its fields do not hash to what the object says its hash is.

    Saves the round trip of `eth_getRawTransactionByHash`. Blob transactions come back as a bare type byte: enough to be refused by name.
    """
    kind = hexes.quantity(answer.type)
    if kind in (3, 4):
        return bytes((kind,))
    try:
        raw = _encode(kind, answer)
    except (KeyError, TypeError):
        return None
    return raw if keccak(raw) == hexes.hash32(answer.hash) else None


def _encode(kind: int, answer: TransactionAnswer) -> bytes:
    number = hexes.quantity
    v = number(answer.v)
    common = [number(answer.gas), hexes.optional_address(answer.to), number(answer.value), hexes.data(answer.input)]
    signature = [number(answer.r), number(answer.s)]
    nonce = number(answer.nonce)
    if kind == 0:
        return bytes(rlp.encode([nonce, number(answer.gas_price), *common, v, *signature]))
    access = [[hexes.address(e.address), [hexes.hash32(k) for k in e.storage_keys]] for e in answer.access_list or ()]
    parity = number(answer.y_parity) if answer.y_parity is not None else v
    head = [number(answer.chain_id), nonce]
    fees = (
        [number(answer.gas_price)]
        if kind == 1
        else [number(answer.max_priority_fee_per_gas), number(answer.max_fee_per_gas)]
    )
    return bytes((kind,)) + bytes(rlp.encode([*head, *fees, *common, access, parity, *signature]))
