"""Signed transactions as bytes: encoded from a JSON-RPC object, in the form of the peer protocol, and their hash.

`infra.chain.transactions` reads their fields and sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from infra.chain import hexes, rlp_items
from infra.chain.answers import TransactionAnswer
from infra.chain.errors import LieReason, NodeLied
from infra.chain.keccak import keccak
from infra.chain.transaction_fields import AUTHORIZATION, BLOB, BYTES, FIELDS, SET_CODE, quantity
from infra.chain.transactions import TransactionRefused, TxRefusal, decode, without_sidecar


def encode_signed(transaction: Mapping[str, Any]) -> bytes:
    """The signed bytes of a transaction object as JSON-RPC writes it (hex strings; plain integers are taken too).

    Raises `TransactionRefused`: an unknown type (roll-up deposits and system transactions among them), or a field that is
    missing or cannot be read, by name.
    """
    tx_type = _integer(transaction, "type") if transaction.get("type") is not None else 0
    if tx_type not in FIELDS:
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {tx_type:#x}")
    fields = [_field(transaction, name) for name in FIELDS[tx_type]]
    parity = "v" if tx_type == 0 else "yParity"
    fields += [_field(transaction, name) for name in (parity, "r", "s")]
    encoded = rlp_items.encode_list(fields)
    return bytes((tx_type,)) + encoded if tx_type else encoded


def encode_hashed(transaction: Mapping[str, Any]) -> bytes:
    """As `encode_signed`, and held to the hash that the object says it has. Raises `TransactionRefused`."""
    raw = encode_signed(transaction)
    if keccak(raw) != _bytes(transaction, "hash"):
        detail = f"transaction {transaction.get('hash')} encodes to bytes of the hash {hexes.show(keccak(raw))}"
        raise TransactionRefused(TxRefusal.INCOMPLETE, detail)
    return raw


def raw_from(answer: TransactionAnswer) -> bytes | None:
    """The raw transaction behind a node's object, or None where its fields do not hash to what the object says its hash is.

    Saves the round trip of `eth_getRawTransactionByHash`. Blob transactions come back as a bare type byte: enough to be refused
    by name. Raises `NodeLied(malformed)`.
    """
    tx_type = hexes.quantity(answer.type)
    if tx_type in (BLOB, SET_CODE):
        return bytes((tx_type,))
    try:
        return encode_hashed(msgspec.to_builtins(answer))
    except TransactionRefused as refused:
        if refused.reason is TxRefusal.MALFORMED:
            raise NodeLied(LieReason.MALFORMED, str(refused)) from None
        return None


def canonical(raw: bytes) -> bytes:
    """The form that is hashed and mined: typed bytes as they are, out of the RLP string that the peer protocol wraps around
    them, and without the blobs that travel with a type 3. Raises `TransactionRefused`."""
    if not raw:
        raise TransactionRefused(TxRefusal.MALFORMED, "no bytes")
    if 0x80 <= raw[0] < 0xC0:
        return canonical(_unwrapped(raw))
    if raw[0] < 0x80 and raw[0] not in FIELDS:
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {raw[0]:#x}")
    return without_sidecar(raw)


def _unwrapped(raw: bytes) -> bytes:
    try:
        inner = rlp_items.decode(raw)
    except rlp_items.NotRlp as error:
        raise TransactionRefused(TxRefusal.MALFORMED, f"not RLP: {type(error).__name__}") from None
    return bytes(inner)


def transaction_hash(raw: bytes) -> bytes:
    """The 32-byte hash of a signed transaction in any of the forms that `canonical` takes."""
    return keccak(canonical(raw))


def recover_sender(raw: bytes) -> bytes:
    """The 20-byte address that signed, whatever the chain and in any of the forms that `canonical` takes. Raises
    `TransactionRefused`, also for a signature that recovers nobody or whose s is in the upper half (EIP-2)."""
    return decode(canonical(raw)).sender


def _field(transaction: Mapping[str, Any], name: str) -> Any:
    """A field in its RLP form."""
    if name == "accessList":
        # Old exports leave an empty list out.
        entries = _entries(transaction, name) if transaction.get(name) else []
        return [
            [_bytes(e, "address"), [_hex(key, "storageKeys") for key in _entries(e, "storageKeys")]] for e in entries
        ]
    if name == "blobVersionedHashes":
        return [_hex(item, name) for item in _entries(transaction, name)]
    if name == "authorizationList":
        return [[_field(item, part) for part in AUTHORIZATION] for item in _entries(transaction, name)]
    if name in BYTES:
        return _bytes(transaction, name)
    if name == "yParity" and transaction.get(name) is None:
        # Older nodes call it v.
        name = "v"
    return quantity(_integer(transaction, name))


def _entries(source: Mapping[str, Any], name: str) -> list[Any]:
    value = source.get(name)
    if not isinstance(value, list):
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name} is not a list")
    return value


def _bytes(source: Mapping[str, Any], name: str) -> bytes:
    value = source.get(name)
    return _hex(value, name) if value else b""


def _hex(value: object, name: str) -> bytes:
    try:
        return bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError:
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name}: {str(value)[:80]!r} is not hex") from None


def _integer(source: Mapping[str, Any], name: str) -> int:
    value = source.get(name)
    if value is None:
        raise TransactionRefused(TxRefusal.INCOMPLETE, f"{name} is missing")
    try:
        number = value if isinstance(value, int) else int(str(value), 16)
    except ValueError:
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name}: {str(value)[:80]!r} is not a quantity") from None
    if number < 0:
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name}: {number} is negative")
    return number
