"""Signed transactions as bytes: made from RPC fields, read back into fields, signer recovered. Types 0 to 4.

Sources: EIP-155 (legacy), EIP-2930 (type 1), EIP-1559 (type 2), EIP-4844 (type 3), EIP-7702 (type 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth_account import Account
from eth_hash.auto import keccak
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature, ValidationError

from infra.devnet.node import data, quantity, to_hex

# Field names in wire order, without the signature.
_LEGACY = ("nonce", "gasPrice", "gas", "to", "value", "input")
_TYPED = {
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
    3: (
        *("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
        *("maxFeePerBlobGas", "blobVersionedHashes"),
    ),
    4: (
        *("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
        "authorizationList",
    ),
}


class BadTransaction(ValueError):
    """Bytes that are no signed transaction of a known type; the message says what is wrong."""


@dataclass(frozen=True)
class Transaction:
    """A decoded signed transaction. Prices are wei per gas; `gas_price` holds for types 0 and 1, the two fees for the others."""

    raw: bytes
    hash: bytes
    type: int
    sender: bytes
    to: bytes | None
    nonce: int
    value: int
    input: bytes
    gas: int
    max_fee: int
    """Most the sender pays per gas: maxFeePerGas, or gasPrice."""
    max_priority_fee: int
    """Most the builder gets per gas: maxPriorityFeePerGas, or gasPrice."""
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] = ()
    chain_id: int | None = None

    def tip(self, base_fee: int) -> int:
        """Wei per gas the builder gets at this base fee (EIP-1559); negative when the transaction cannot be included."""
        return min(self.max_priority_fee, self.max_fee - base_fee)

    @property
    def max_cost(self) -> int:
        """Most wei the sender can lose; the pool demands that it has them."""
        return self.gas * self.max_fee + self.value

    def call(self) -> dict[str, Any]:
        """The transaction as a call object for `eth_simulateV1` and the tracers."""
        call: dict[str, Any] = {
            "from": to_hex(self.sender),
            "gas": hex(self.gas),
            "nonce": hex(self.nonce),
            "value": hex(self.value),
            "input": to_hex(self.input),
        }
        if self.to is not None:
            call["to"] = to_hex(self.to)
        if self.type >= 2:
            call |= {"maxFeePerGas": hex(self.max_fee), "maxPriorityFeePerGas": hex(self.max_priority_fee)}
        else:
            call["gasPrice"] = hex(self.max_fee)
        if self.access_list:
            call["accessList"] = [
                {"address": to_hex(address), "storageKeys": [to_hex(key) for key in keys]}
                for address, keys in self.access_list
            ]
        return call


def decode(raw: bytes) -> Transaction:
    """Read a signed transaction. Raises BadTransaction."""
    try:
        return _decode_typed(raw) if raw[:1] and raw[0] < 0x80 else _decode_legacy(raw)
    except BadTransaction:
        raise
    except (
        rlp.exceptions.RLPException,
        BadSignature,
        ValidationError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
    ) as error:
        raise BadTransaction(f"not a signed transaction: {error}") from error


def _decode_legacy(raw: bytes) -> Transaction:
    parts = rlp.decode(raw)
    if not isinstance(parts, list) or len(parts) != 9:
        raise BadTransaction("a legacy transaction has nine fields")
    v = _int(parts[6])
    if v in (27, 28):
        chain_id, unsigned, parity = None, parts[:6], v - 27
    elif v >= 35:
        chain_id, parity = (v - 35) // 2, (v - 35) % 2
        unsigned = [*parts[:6], _word(chain_id), b"", b""]
    else:
        raise BadTransaction(f"signature value v = {v} is not possible")
    fields = dict(zip(_LEGACY, parts, strict=False))
    return _transaction(raw, 0, fields, chain_id, keccak(rlp.encode(unsigned)), parity, parts[7], parts[8])


def _decode_typed(raw: bytes) -> Transaction:
    kind = raw[0]
    names = _TYPED.get(kind)
    if names is None:
        raise BadTransaction(f"transaction type {kind} is not known")
    parts = rlp.decode(raw[1:])
    if kind == 3 and isinstance(parts, list) and len(parts) in (4, 5) and isinstance(parts[0], list):
        parts = parts[
            0
        ]  # the network form carries the blobs beside the transaction; hash and signature are over the inner one
        raw = raw[:1] + rlp.encode(parts)
    if not isinstance(parts, list) or len(parts) != len(names) + 3:
        raise BadTransaction(f"a type {kind} transaction has {len(names) + 3} fields")
    fields = dict(zip(names, parts, strict=False))
    digest = keccak(bytes([kind]) + rlp.encode(parts[:-3]))
    return _transaction(raw, kind, fields, _int(fields["chainId"]), digest, _int(parts[-3]), parts[-2], parts[-1])


def _transaction(
    raw: bytes,
    kind: int,
    fields: Mapping[str, Any],
    chain_id: int | None,
    digest: bytes,
    parity: int,
    r: bytes,
    s: bytes,
) -> Transaction:
    to = fields["to"]
    if len(to) not in (0, 20):
        raise BadTransaction(f"the recipient has {len(to)} bytes")
    price = _int(fields["gasPrice"]) if "gasPrice" in fields else None
    signature = Signature(vrs=(parity, _int(r), _int(s)))
    return Transaction(
        raw=raw,
        hash=keccak(raw),
        type=kind,
        sender=signature.recover_public_key_from_msg_hash(digest).to_canonical_address(),
        to=to or None,
        nonce=_int(fields["nonce"]),
        value=_int(fields["value"]),
        input=fields["input"],
        gas=_int(fields["gas"]),
        max_fee=price if price is not None else _int(fields["maxFeePerGas"]),
        max_priority_fee=price if price is not None else _int(fields["maxPriorityFeePerGas"]),
        access_list=tuple((address, tuple(keys)) for address, keys in fields.get("accessList", ())),
        chain_id=chain_id,
    )


def encode_rpc(fields: Mapping[str, Any]) -> bytes:
    """The raw signed transaction of an RPC transaction object (`r`, `s` and `v` or `yParity` included).

    Raises BadTransaction when the bytes do not hash to the object's own `hash`.
    """
    kind = quantity(fields.get("type") or "0x0")
    signature = [_word(quantity(fields["r"])), _word(quantity(fields["s"]))]
    raw: bytes
    if kind == 0:
        raw = rlp.encode([*(_field(name, fields) for name in _LEGACY), _word(quantity(fields["v"])), *signature])
    elif kind in _TYPED:
        parity = quantity(fields["yParity"] if fields.get("yParity") is not None else fields["v"])
        body = [*(_field(name, fields) for name in _TYPED[kind]), _word(parity), *signature]
        raw = bytes([kind]) + rlp.encode(body)
    else:
        raise BadTransaction(f"transaction type {kind} is not known")
    if to_hex(keccak(raw)) != fields["hash"]:
        raise BadTransaction(f"transaction {fields['hash']} encodes to bytes of the hash {to_hex(keccak(raw))}")
    return raw


def _field(name: str, fields: Mapping[str, Any]) -> Any:
    if name in ("to", "input"):
        return data(fields.get(name) or "0x")
    if name == "accessList":
        entries: Sequence[Mapping[str, Any]] = fields.get(name) or []
        return [[data(entry["address"]), [data(key) for key in entry["storageKeys"]]] for entry in entries]
    if name == "blobVersionedHashes":
        return [data(value) for value in fields[name]]
    if name == "authorizationList":
        return [_authorization(entry) for entry in fields[name]]
    return _word(quantity(fields[name]))


def _authorization(entry: Mapping[str, Any]) -> list[bytes]:
    parity = entry["yParity"] if entry.get("yParity") is not None else entry["v"]
    head = [_word(quantity(entry["chainId"])), data(entry["address"]), _word(quantity(entry["nonce"]))]
    return [*head, _word(quantity(parity)), _word(quantity(entry["r"])), _word(quantity(entry["s"]))]


def _int(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _word(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class Signer:
    """A devnet account that signs; the key never leaves the object (not in its repr)."""

    def __init__(self, key: bytes) -> None:
        """`key` is the 32-byte private key."""
        self._account = Account.from_key(key)
        self.address = data(self._account.address)

    @classmethod
    def of_seed(cls, *words: object) -> Signer:
        """The account of some words, the same in every run: for test chains only, anybody can make it."""
        return cls(keccak("/".join(str(word) for word in ("sluice devnet", *words)).encode()))

    def sign(
        self,
        *,
        chain_id: int,
        nonce: int,
        to: bytes | None,
        gas: int,
        max_fee: int,
        max_priority_fee: int | None = None,
        value: int = 0,
        payload: bytes = b"",
    ) -> bytes:
        """A raw signed transaction: EIP-1559, or legacy (`max_fee` as the gas price) without `max_priority_fee`. Wei throughout."""
        fields: dict[str, Any] = {"chainId": chain_id, "nonce": nonce, "gas": gas, "value": value, "data": payload}
        fields["to"] = to if to is not None else ""
        if max_priority_fee is None:
            fields["gasPrice"] = max_fee
        else:
            fields |= {"type": 2, "maxFeePerGas": max_fee, "maxPriorityFeePerGas": max_priority_fee}
        return bytes(self._account.sign_transaction(fields).raw_transaction)

    def __repr__(self) -> str:
        return f"Signer({to_hex(self.address)})"
