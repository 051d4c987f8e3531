"""Signed transactions read back from their bytes: the call a node must be asked to simulate for them."""

from __future__ import annotations

from typing import Any

import rlp
from eth_account import Account
from hexbytes import HexBytes

from infra.relays.signing import keccak

# Payload fields by transaction type, in order, without the three of the signature (EIP-2930, 1559, 4844, 7702).
_HEAD = ("nonce", "gasPrice", "gas", "to", "value", "input")
_FEES = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList")
_FIELDS: dict[int, tuple[str, ...]] = {
    0: _HEAD,
    1: ("chainId", *_HEAD, "accessList"),
    2: _FEES,
    3: (*_FEES, "maxFeePerBlobGas", "blobVersionedHashes"),
    4: (*_FEES, "authorizationList"),
}
_AUTHORIZATION = ("chainId", "address", "nonce", "yParity", "r", "s")
_BYTES = frozenset({"input", "address"})


class UnreadableTransaction(ValueError):
    """Bytes that are no signed transaction of a known type."""


def transaction_hash(raw: bytes) -> bytes:
    """The hash of a signed transaction. Of a blob transaction in its network form (with sidecar) that of its payload alone."""
    if raw[:1] == b"\x03":
        outer = _decode(raw[1:])
        if outer and isinstance(outer[0], list):
            return keccak(b"\x03" + rlp.encode(outer[0]))
    return keccak(raw)


def call_of(raw: bytes) -> dict[str, Any]:
    """The transaction as the call object of `eth_simulateV1`: sender recovered, numbers as hex quantities.

    Raises `UnreadableTransaction` naming the cause.
    """
    kind = raw[0] if raw and raw[0] < 0x80 else 0
    if kind not in _FIELDS or not raw:
        raise UnreadableTransaction(f"transaction type {kind} is unknown" if raw else "no bytes")
    payload = _decode(raw[1:] if kind else raw)
    if kind == 3 and payload and isinstance(payload[0], list):
        payload = payload[0]
        raw = b"\x03" + rlp.encode(payload)
    names = _FIELDS[kind]
    if len(payload) != len(names) + 3:
        raise UnreadableTransaction(f"type {kind} with {len(payload)} fields, expected {len(names) + 3}")
    call: dict[str, Any] = {"from": _sender(raw)}
    try:
        for name, value in zip(names, payload, strict=False):
            if name != "to" or value:
                call[name] = _rpc_form(name, value)
    except (TypeError, ValueError, AttributeError):
        raise UnreadableTransaction(f"type {kind}: a field has the wrong shape") from None
    return call


def _sender(raw: bytes) -> str:
    try:
        return str(Account.recover_transaction(HexBytes(raw)))
    except Exception as error:  # the library raises a dozen kinds, none of its own
        raise UnreadableTransaction(f"no sender can be recovered: {type(error).__name__}") from None


def _decode(data: bytes) -> list[Any]:
    try:
        decoded = rlp.decode(data)
    except rlp.DecodingError as error:
        raise UnreadableTransaction(f"not RLP: {type(error).__name__}") from None
    if not isinstance(decoded, list):
        raise UnreadableTransaction("not an RLP list")
    return decoded


def _rpc_form(name: str, value: Any) -> Any:
    if name == "accessList":
        return [{"address": _hex(address), "storageKeys": [_hex(key) for key in keys]} for address, keys in value]
    if name == "blobVersionedHashes":
        return [_hex(item) for item in value]
    if name == "authorizationList":
        return [{n: _rpc_form(n, v) for n, v in zip(_AUTHORIZATION, item, strict=True)} for item in value]
    if name == "to" or name in _BYTES:
        return _hex(value)
    return hex(int.from_bytes(value, "big"))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
