"""Signed transactions of every type as bytes: encoded from a JSON-RPC object, hashed, and their sender recovered.

Forms: legacy with and without EIP-155, and the typed ones of EIP-2930 (1), EIP-1559 (2), EIP-4844 (3) and EIP-7702 (4).
`infra.chain.transactions` decodes what the pipeline models; this is for whole blocks, which hold all types, of any chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp
from rlp.codec import encode_raw

from infra.chain.keccak import keccak
from infra.chain.transactions import TransactionRefused, TxRefusal, recover

# The fields before the signature, by type, in the order that is signed. `gasPrice` and the like are JSON-RPC's names.
_LEGACY = ("nonce", "gasPrice", "gas", "to", "value", "input")
_DYNAMIC_FEE = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList")
_FIELDS: dict[int, tuple[str, ...]] = {
    0: _LEGACY,
    1: ("chainId", *_LEGACY, "accessList"),
    2: _DYNAMIC_FEE,
    3: (*_DYNAMIC_FEE, "maxFeePerBlobGas", "blobVersionedHashes"),
    4: (*_DYNAMIC_FEE, "authorizationList"),
}
_AUTHORIZATION = ("chainId", "address", "nonce", "yParity", "r", "s")
_BYTES = frozenset({"to", "input", "address"})
_BLOB = 3


def encode_signed(transaction: Mapping[str, Any]) -> bytes:
    """The signed bytes of a transaction object as JSON-RPC writes it (hex strings; plain integers are taken too).

    Raises `TransactionRefused`: an unknown type (roll-up deposits and system transactions among them), or a field that is
    missing or cannot be read, by name.
    """
    tx_type = _integer(transaction, "type") if transaction.get("type") is not None else 0
    if tx_type not in _FIELDS:
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {tx_type:#x}")
    fields = [_field(transaction, name) for name in _FIELDS[tx_type]]
    parity = "v" if tx_type == 0 or transaction.get("yParity") is None else "yParity"
    fields += [_quantity(_integer(transaction, name)) for name in (parity, "r", "s")]
    encoded: bytes = encode_raw(fields)
    return bytes((tx_type,)) + encoded if tx_type else encoded


def canonical(raw: bytes) -> bytes:
    """The form that is hashed and mined: typed bytes as they are, out of the RLP string that the peer protocol wraps around
    them, and without the blobs that travel with a type 3. Raises `TransactionRefused`."""
    if not raw:
        raise TransactionRefused(TxRefusal.MALFORMED, "no bytes")
    if 0x80 <= raw[0] < 0xC0:
        inner = _decode(raw)
        if not isinstance(inner, bytes):
            raise TransactionRefused(TxRefusal.MALFORMED, "no typed transaction in the RLP string")
        return canonical(inner)
    if raw[0] == _BLOB:
        outer = _decode(raw[1:])
        if outer and isinstance(outer[0], list):
            payload: bytes = encode_raw(outer[0])
            return bytes((_BLOB,)) + payload
    if raw[0] < 0x80 and raw[0] not in _FIELDS:
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {raw[0]:#x}")
    return raw


def transaction_hash(raw: bytes) -> bytes:
    """The 32-byte hash of a signed transaction in any of the forms that `canonical` takes."""
    return keccak(canonical(raw))


def recover_sender(raw: bytes) -> bytes:
    """The 20-byte address that signed, whatever the chain. Raises `TransactionRefused`, also for a signature that recovers
    nobody or whose s is in the upper half (EIP-2)."""
    raw = canonical(raw)
    tx_type = raw[0] if raw[0] < 0x80 else 0
    fields = _decode(raw[1:] if tx_type else raw)
    expected = len(_FIELDS[tx_type]) + 3
    if not isinstance(fields, list) or len(fields) != expected:
        found = len(fields) if isinstance(fields, list) else "no list of"
        raise TransactionRefused(TxRefusal.MALFORMED, f"type {tx_type} has {expected} fields, found {found}")
    signature = fields[-3:]
    if not all(isinstance(item, bytes) and len(item) <= 32 for item in signature):
        raise TransactionRefused(TxRefusal.MALFORMED, "v, r and s must be integers")
    v, r, s = (int.from_bytes(item, "big") for item in signature)
    signed: list[Any] = fields[:-3]
    if tx_type:
        return recover(keccak(bytes((tx_type,)) + encode_raw(signed)), v, r, s)
    if v in (27, 28):
        return recover(keccak(encode_raw(signed)), v - 27, r, s)
    if v >= 35:
        chain_id, parity = divmod(v - 35, 2)
        return recover(keccak(encode_raw([*signed, _quantity(chain_id), b"", b""])), parity, r, s)
    raise TransactionRefused(TxRefusal.MALFORMED, f"v is {v}: neither 27, 28 nor of EIP-155")


def _decode(data: bytes) -> Any:
    try:
        return rlp.decode(data)
    except rlp.DecodingError as error:
        raise TransactionRefused(TxRefusal.MALFORMED, f"not RLP: {type(error).__name__}") from None


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
        return [[_field(item, part) for part in _AUTHORIZATION] for item in _entries(transaction, name)]
    if name in _BYTES:
        return _bytes(transaction, name)
    return _quantity(_integer(transaction, name))


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
    try:
        number = value if isinstance(value, int) else int(str(value), 16)
    except ValueError:
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name}: {str(value)[:80]!r} is not a quantity") from None
    if number < 0:
        raise TransactionRefused(TxRefusal.MALFORMED, f"{name}: {number} is negative")
    return number


def _quantity(value: int) -> bytes:
    """The RLP form of a number: big-endian without leading zeros, zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
