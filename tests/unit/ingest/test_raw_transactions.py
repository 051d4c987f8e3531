"""Every transaction type, signed by eth_account: our encoding of its fields gives its bytes, our recovery its sender."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_account import Account

from infra.chain.raw_transactions import canonical, encode_signed, recover_sender, transaction_hash
from infra.chain.transactions import TransactionRefused

KEY = "0x" + "42" * 32
SENDER = bytes.fromhex(Account.from_key(KEY).address[2:])
TO = "0x" + "33" * 20
_COMMON = {"nonce": 7, "gas": 90_000, "to": Account.from_key("0x" + "43" * 32).address, "value": 5, "data": "0x1234"}
_FEES = {
    "maxFeePerGas": 30,
    "maxPriorityFeePerGas": 2,
    "chainId": 1,
    "accessList": [{"address": TO, "storageKeys": ["0x" + "01" * 32]}],
}
_AUTHORIZATION = Account.from_key(KEY).sign_authorization({"chainId": 1, "address": bytes.fromhex(TO[2:]), "nonce": 9})

UNSIGNED: dict[str, dict[str, Any]] = {
    "legacy": {**_COMMON, "gasPrice": 10},
    "legacy of EIP-155": {**_COMMON, "gasPrice": 10, "chainId": 59144},
    "creation": {**_COMMON, "gasPrice": 10, "chainId": 1, "to": ""},
    "EIP-2930": {**_COMMON, "gasPrice": 10, "chainId": 1, "accessList": _FEES["accessList"], "type": 1},
    "EIP-1559": {**_COMMON, **_FEES, "type": 2},
    "EIP-4844": {**_COMMON, **_FEES, "type": 3, "maxFeePerBlobGas": 4, "blobVersionedHashes": ["0x01" + "55" * 31]},
    "EIP-7702": {**_COMMON, **_FEES, "type": 4, "authorizationList": [_AUTHORIZATION]},
}


def rpc_form(unsigned: dict[str, Any], signed: Any) -> dict[str, Any]:
    """As a node writes it."""
    form = {name: hex(value) if isinstance(value, int) else value for name, value in unsigned.items()}
    form["input"], form["to"] = form.pop("data"), form["to"] or None
    form |= {"v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s)}
    if "authorizationList" in form:
        a = _AUTHORIZATION
        form["authorizationList"] = [
            {"chainId": "0x1", "address": TO, "nonce": "0x9", "yParity": hex(a.y_parity), "r": hex(a.r), "s": hex(a.s)}
        ]
    return form


@pytest.mark.parametrize("name", UNSIGNED)
def test_bytes_hash_and_sender(name: str) -> None:
    signed = Account.sign_transaction(UNSIGNED[name], KEY)
    raw = encode_signed(rpc_form(UNSIGNED[name], signed))
    assert raw == bytes(signed.raw_transaction)
    assert transaction_hash(raw) == bytes(signed.hash)
    assert recover_sender(raw) == SENDER


def test_forms_of_the_peer_protocol() -> None:
    raw = bytes(Account.sign_transaction(UNSIGNED["EIP-1559"], KEY).raw_transaction)
    assert canonical(rlp.encode(raw)) == raw
    assert recover_sender(rlp.encode(raw)) == SENDER
    blob = bytes(Account.sign_transaction(UNSIGNED["EIP-4844"], KEY).raw_transaction)
    with_sidecar = b"\x03" + rlp.encode([rlp.decode(blob[1:]), [b"\1" * 100], [b"\2" * 48], [b"\3" * 48]])
    assert canonical(with_sidecar) == blob
    assert transaction_hash(with_sidecar) == transaction_hash(blob)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no bytes"),
        (b"\x02", "not RLP"),
        (b"\x02\xc0", "found 0"),
        (b"\x05\xc0", "unknown_type"),
        (b"\x7e\xc0", "unknown_type"),
        (b"\xc0", "found 0"),
        (b"\x83abc", "malformed|unknown_type"),
        (rlp.encode([b""] * 9), "v is 0"),
        (rlp.encode([b""] * 6 + [b"\x1b", b"\1", b"\xff" * 32]), "bad_signature"),
        (rlp.encode([b""] * 6 + [b"\x1b", b"\5", b"\1"]), "bad_signature"),
        (b"\x02" + rlp.encode([b""] * 8 + [[], [], b"\1", b"\1"]), "must be integers"),
    ],
)
def test_what_nobody_signed_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(TransactionRefused, match=said):
        recover_sender(raw)


def test_a_changed_transaction_has_another_sender() -> None:
    raw = bytearray(Account.sign_transaction(UNSIGNED["EIP-1559"], KEY).raw_transaction)
    raw[6] ^= 1
    assert recover_sender(bytes(raw)) != SENDER


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "0x7e"}, "unknown_type"),
        ({"nonce": None}, "nonce"),
        ({"gas": "many"}, "gas"),
        ({"input": "0x123"}, "input"),
        ({"value": -1}, "negative"),
        ({"accessList": {"a": 1}}, "accessList"),
    ],
)
def test_an_incomplete_object_is_refused_by_field(change: dict[str, Any], said: str) -> None:
    signed = Account.sign_transaction(UNSIGNED["EIP-1559"], KEY)
    with pytest.raises(TransactionRefused, match=said):
        encode_signed({**rpc_form(UNSIGNED["EIP-1559"], signed), **change})
