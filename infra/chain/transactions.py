"""Signed transactions of every type read from their bytes: fields, hash, and the sender from the signature.

`infra.chain.transaction_fields` has the forms. The way back, from a JSON-RPC object to bytes, is `infra.chain.raw_transactions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec
from coincurve import PublicKey
from rlp.codec import consume_length_prefix

from infra.chain import hexes, native, rlp_items
from infra.chain.keccak import keccak
from infra.chain.transaction_fields import AUTHORIZATION, BLOB, FIELDS, SET_CODE, quantity
from schemas.pending import AccessListEntry

#: secp256k1's order halved: a higher `s` is invalid since EIP-2.
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

#: Two empty strings, which stand in the signature's place when a legacy transaction is signed (EIP-155).
_TWO_EMPTY = b"\x80\x80"


class TxRefusal(StrEnum):
    """Why a transaction is not taken."""

    MALFORMED = "malformed_transaction"
    INCOMPLETE = "incomplete_transaction"
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


class SignedTransaction(msgspec.Struct, frozen=True, gc=False):
    """A decoded transaction. Units as in `schemas.pending.PendingRecord`: fees in wei per gas, both of them the gas price in
    types 0 and 1; `to` is empty for a creation."""

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
    chain_id: int | None = None
    """None where the signature holds on every chain (before EIP-155), or where it is not known any more."""
    max_blob_fee: int = 0
    blob_hashes: tuple[bytes, ...] = ()
    authorizations: tuple[tuple[bytes, ...], ...] = ()
    """RLP forms of `transaction_fields.AUTHORIZATION`, each."""

    def tip(self, base_fee: int) -> int:
        """Wei per gas the builder gets at this base fee (EIP-1559); negative when the transaction cannot be included."""
        return min(self.max_priority_fee, self.max_fee - base_fee)

    @property
    def max_cost(self) -> int:
        """Most wei the sender can lose, blobs apart; a pool demands that it has them."""
        return self.gas_limit * self.max_fee + self.value

    def call(self) -> dict[str, Any]:
        """The transaction as a call object for `eth_simulateV1` and the tracers: numbers as hex quantities."""
        call: dict[str, Any] = {
            "from": hexes.show(self.sender),
            "gas": hex(self.gas_limit),
            "nonce": hex(self.nonce),
            "value": hex(self.value),
            "input": hexes.show(self.data),
        }
        if self.to:
            call["to"] = hexes.show(self.to)
        if self.tx_type < 2:
            call["gasPrice"] = hex(self.max_fee)
        else:
            call |= {"maxFeePerGas": hex(self.max_fee), "maxPriorityFeePerGas": hex(self.max_priority_fee)}
        if self.tx_type:
            call["accessList"] = call_access_list(self.access_list)
            if self.chain_id is not None:
                call["chainId"] = hex(self.chain_id)
        if self.tx_type == BLOB:
            hashes = [hexes.show(blob) for blob in self.blob_hashes]
            call |= {"maxFeePerBlobGas": hex(self.max_blob_fee), "blobVersionedHashes": hashes}
        if self.tx_type == SET_CODE:
            call["authorizationList"] = [_authorization_call(fields) for fields in self.authorizations]
        return call


def decode_raw(raw: bytes, chain_id: int) -> SignedTransaction:
    """A transaction that the pipeline models, from its bytes: types 0 to 2, of one chain. Raises `TransactionRefused`."""
    if raw[:1] == b"\x03":
        raise TransactionRefused(TxRefusal.BLOB)
    if raw[:1] == b"\x04":
        raise TransactionRefused(TxRefusal.SET_CODE)
    return decode(raw, chain_id)


def call_access_list(entries: Iterable[AccessListEntry]) -> list[dict[str, Any]]:
    """An access list as a call object holds it."""
    return [
        {"address": hexes.show(entry.address), "storageKeys": [hexes.show(key) for key in entry.keys]}
        for entry in entries
    ]


def decode(raw: bytes, chain_id: int | None = None) -> SignedTransaction:
    """A signed transaction of any type from its bytes, sender recovered; of a blob transaction in its network form the
    payload. Raises `TransactionRefused`, also for one of another chain than `chain_id` where that is given."""
    if not raw:
        raise TransactionRefused(TxRefusal.MALFORMED, "no bytes")
    if (plain := _read_natively(raw, chain_id)) is not None:
        return plain
    tx_type = raw[0] if raw[0] < 0xC0 else 0
    if tx_type not in FIELDS or raw[0] == 0:
        raise TransactionRefused(TxRefusal.UNKNOWN_TYPE, f"type {raw[0]:#x}")
    if tx_type == BLOB:
        raw = without_sidecar(raw)
    try:
        return _read(raw, tx_type, _items(raw[1:] if tx_type else raw), chain_id)
    except TransactionRefused:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise TransactionRefused(TxRefusal.MALFORMED, f"type {tx_type}: {error}") from None


def without_sidecar(raw: bytes) -> bytes:
    """The form that is hashed and mined: a type 3 without the blobs that travel with it, anything else as it is. Raises
    `TransactionRefused` for a type 3 that is no list."""
    if raw[:1] == b"\x03":
        outer = _items(raw[1:])
        if outer and isinstance(outer[0], list):
            # Cut out, not encoded again: nobody has looked at what is in it yet.
            first = consume_length_prefix(raw, 1)[3]
            _, _, length, start = consume_length_prefix(raw, first)
            return b"\x03" + raw[first : start + length]
    return raw


def _items(data: bytes) -> list[Any]:
    """The items of an RLP list. Raises `TransactionRefused`."""
    try:
        decoded = rlp_items.decode(data)
    except rlp_items.NotRlp as error:
        raise TransactionRefused(TxRefusal.MALFORMED, f"not RLP: {type(error).__name__}") from None
    if not isinstance(decoded, list):
        raise TransactionRefused(TxRefusal.MALFORMED, "not an RLP list")
    return decoded


def recover(digest: bytes, parity: int, r: int, s: int) -> bytes:
    """The address whose key signed `digest`. Raises `TransactionRefused(bad_signature)`."""
    if parity not in (0, 1) or not 0 < s <= _HALF_ORDER or not 0 < r < 1 << 256:
        raise TransactionRefused(TxRefusal.BAD_SIGNATURE, "outside the valid range")
    return _signer(digest, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,)))


def _signer(digest: bytes, signature: bytes) -> bytes:
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:
        # coincurve raises bare Exceptions and ValueErrors for points off the curve.
        raise TransactionRefused(TxRefusal.BAD_SIGNATURE, str(error)) from None
    return keccak(key.format(compressed=False)[1:])[12:]


def _read_natively(raw: bytes, wanted_chain: int | None) -> SignedTransaction | None:
    """A transaction that the extension reads and that is of the chain, or None: what it is then, is found out without it."""
    if native.sluice_evm is None or (fields := native.sluice_evm.read_signed(raw)) is None:
        return None
    digest, signature, chain_id, tx_hash, tx_type, nonce, to, value, gas_limit, max_fee, tip, data, entries = fields
    if wanted_chain is not None and chain_id is not None and chain_id != wanted_chain:
        return None
    access = tuple([AccessListEntry(address, keys) for address, keys in entries]) if entries else ()
    sender = _signer(digest, signature)
    return SignedTransaction(
        tx_hash, raw, sender, tx_type, nonce, to, value, gas_limit, max_fee, tip, data, access, chain_id
    )


def _read(raw: bytes, tx_type: int, payload: list[Any], wanted_chain: int | None) -> SignedTransaction:
    names = FIELDS[tx_type]
    if len(payload) != len(names) + 3:
        detail = f"type {tx_type} has {len(names) + 3} fields, found {len(payload)}"
        raise TransactionRefused(TxRefusal.MALFORMED, detail)
    fields = dict(zip(names, payload, strict=False))
    blob, set_code = tx_type == BLOB, tx_type == SET_CODE
    max_fee = _int(fields["gasPrice" if tx_type < 2 else "maxFeePerGas"])
    shaped: dict[str, Any] = {
        "nonce": _uint63(fields["nonce"]),
        "to": _to(fields["to"]),
        "value": _int(fields["value"]),
        "gas_limit": _uint63(fields["gas"]),
        "max_fee": max_fee,
        "max_priority_fee": max_fee if tx_type < 2 else _int(fields["maxPriorityFeePerGas"]),
        "data": _bytes(fields["input"]),
        "access_list": _access(fields["accessList"]) if tx_type else (),
        "max_blob_fee": _int(fields["maxFeePerBlobGas"]) if blob else 0,
        "blob_hashes": tuple(map(_word, _list(fields["blobVersionedHashes"]))) if blob else (),
        "authorizations": tuple(map(_authorization, _list(fields["authorizationList"]))) if set_code else (),
    }
    chain_id, sender = _signed_by(tx_type, raw, payload, wanted_chain)
    return SignedTransaction(hash=keccak(raw), raw=raw, sender=sender, tx_type=tx_type, chain_id=chain_id, **shaped)


def _signed_by(tx_type: int, raw: bytes, payload: list[Any], wanted_chain: int | None) -> tuple[int | None, bytes]:
    """The chain that a transaction was signed for, None for all of them, and the address that signed."""
    parity, r, s = (_int(item) for item in payload[-3:])
    # What was signed is the same list without the signature: its items are taken as they stand, having one form only.
    first = consume_length_prefix(raw, 1 if tx_type else 0)[3]
    signed = raw[first : len(raw) - sum(len(rlp_items.encode(item)) for item in payload[-3:])]
    chain_id: int | None = None
    if tx_type:
        chain_id = _int(payload[0])
    elif parity >= 35:
        chain_id, parity = divmod(parity - 35, 2)
        signed += rlp_items.encode(quantity(chain_id)) + _TWO_EMPTY
    elif parity in (27, 28):
        parity -= 27
    else:
        raise TransactionRefused(TxRefusal.MALFORMED, f"v is {parity}: neither 27, 28 nor of EIP-155")
    if wanted_chain is not None and chain_id is not None and chain_id != wanted_chain:
        raise TransactionRefused(TxRefusal.WRONG_CHAIN, f"chain {chain_id}, not {wanted_chain}")
    message = rlp_items.list_of(signed)
    return chain_id, recover(keccak(bytes((tx_type,)) + message if tx_type else message), parity, r, s)


def _int(field: Any) -> int:
    if not isinstance(field, bytes) or len(field) > 32 or field[:1] == b"\0":
        raise ValueError("numbers must be integers of at most 256 bits in their shortest form")
    return int.from_bytes(field, "big")


def _uint63(field: Any) -> int:
    number = _int(field)
    if number >> 63:
        raise ValueError(f"{number} does not fit 63 bits")
    return number


def _bytes(field: Any) -> bytes:
    if not isinstance(field, bytes):
        raise ValueError("a list where bytes must be")
    return field


def _list(field: Any) -> list[Any]:
    if not isinstance(field, list):
        raise ValueError("bytes where a list must be")
    return field


def _word(field: Any) -> bytes:
    word = _bytes(field)
    if len(word) != 32:
        raise ValueError(f"{len(word)} bytes where 32 must be")
    return word


def _to(field: Any) -> bytes:
    recipient = _bytes(field)
    if len(recipient) not in (0, 20):
        raise ValueError(f"recipient of {len(recipient)} bytes")
    return recipient


def _access(entries: Any) -> tuple[AccessListEntry, ...]:
    out = []
    for address, keys in _list(entries):
        if len(_bytes(address)) != 20:
            raise ValueError("an access list entry of the wrong length")
        out.append(AccessListEntry(address=address, keys=tuple(map(_word, _list(keys)))))
    return tuple(out)


def _authorization(entry: Any) -> tuple[bytes, ...]:
    """An authorization's fields, checked. Its own signature is not: one by nobody is valid and has no effect (EIP-7702)."""
    chain_id, address, *numbers = _list(entry)
    if len(numbers) != len(AUTHORIZATION) - 2 or len(_bytes(address)) != 20:
        raise ValueError("an authorization of the wrong shape")
    for number in (chain_id, *numbers):
        _int(number)
    return tuple(entry)


def _authorization_call(fields: tuple[bytes, ...]) -> dict[str, str]:
    return {
        name: hexes.show(value) if name == "address" else hex(int.from_bytes(value, "big"))
        for name, value in zip(AUTHORIZATION, fields, strict=True)
    }
