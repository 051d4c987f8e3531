"""Raw transactions of every type read back, against eth-account's own encoder and recorded mainnet bytes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_keys.datatypes import PrivateKey
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st
from rlp.codec import length_prefix

from infra.chain.raw_transactions import transaction_hash
from infra.chain.transactions import TransactionRefused, decode
from infra.relays.signing import keccak
from tests.unit.relays.samples import USER_KEY, user_raw

TO = "0x" + "44" * 20
USER = Account.from_key(USER_KEY).address.lower()
ACCESS = [{"address": "0x" + "55" * 20, "storageKeys": ["0x" + "00" * 31 + "07"]}]
COMMON = {"chainId": 1, "nonce": 0, "to": TO, "value": 5, "data": b"\x01\x02", "gas": 50_000}
DYNAMIC = {"maxFeePerGas": 9, "maxPriorityFeePerGas": 3}


def call_of(raw: bytes) -> dict[str, Any]:
    """As the certificate asks for a target."""
    return decode(raw).call()


def raw(**fields: object) -> bytes:
    return bytes(Account.sign_transaction({**COMMON, **fields}, USER_KEY).raw_transaction)


def test_legacy() -> None:
    call = call_of(raw(gasPrice=7))
    assert call == {
        "from": USER, "nonce": "0x0", "gasPrice": "0x7", "gas": hex(50_000), "to": TO, "value": "0x5", "input": "0x0102",
    }  # fmt: skip


def test_access_list() -> None:
    call = call_of(raw(type=1, gasPrice=7, accessList=ACCESS))
    assert (
        call["accessList"] == ACCESS and call["chainId"] == "0x1" and call["gasPrice"] == "0x7" and call["from"] == USER
    )


def test_dynamic_fee() -> None:
    call = call_of(raw(type=2, accessList=ACCESS, **DYNAMIC))
    assert call["accessList"] == ACCESS and call["maxFeePerGas"] == "0x9" and call["maxPriorityFeePerGas"] == "0x3"


def test_creation_has_no_recipient() -> None:
    fields = {k: v for k, v in COMMON.items() if k != "to"}
    signed = Account.sign_transaction({**fields, "type": 2, **DYNAMIC}, USER_KEY)
    assert "to" not in call_of(bytes(signed.raw_transaction))


def test_set_code() -> None:
    authorization = Account.sign_authorization({"chainId": 1, "address": "0x" + "66" * 20, "nonce": 4}, USER_KEY)
    call = call_of(raw(type=4, authorizationList=[authorization], **DYNAMIC))
    (one,) = call["authorizationList"]
    assert (
        one["address"] == "0x" + "66" * 20
        and one["nonce"] == "0x4"
        and one["chainId"] == "0x1"
        and call["from"] == USER
    )
    assert (int(one["r"], 16), int(one["s"], 16), int(one["yParity"], 16)) == (
        authorization.r,
        authorization.s,
        authorization.y_parity,
    )


def _blob_raw() -> bytes:
    """A blob transaction as in a block, signed here: eth-account wants the blobs themselves."""
    unsigned = [
        b"\x01",
        b"",
        b"\x03",
        b"\x09",
        b"\xc3\x50",
        bytes.fromhex(TO[2:]),
        b"\x05",
        b"",
        [],
        b"\x02",
        [b"\x01" + b"\x77" * 31],
    ]
    signature = PrivateKey(bytes.fromhex(USER_KEY[2:])).sign_msg_hash(keccak(b"\x03" + rlp.encode(unsigned)))
    tail = [
        b"\x01" if signature.v else b"",
        signature.r.to_bytes(32, "big").lstrip(b"\0"),
        signature.s.to_bytes(32, "big").lstrip(b"\0"),
    ]
    return b"\x03" + bytes(rlp.encode([*unsigned, *tail]))


def test_blob_in_both_forms() -> None:
    canonical = _blob_raw()
    network = b"\x03" + bytes(rlp.encode([rlp.decode(canonical[1:]), [b"\x01" * 64], [b"\x02" * 48], [b"\x03" * 48]]))
    assert call_of(canonical) == call_of(network)
    assert call_of(canonical)["blobVersionedHashes"] == ["0x01" + "77" * 31] and call_of(canonical)["from"] == USER
    assert transaction_hash(network) == transaction_hash(canonical) == keccak(canonical)


@pytest.mark.parametrize(
    "bad", [b"", b"\x05\xc0", b"\x02", b"\x02\xc0", b"\xc0", b"\x02\xff\xff", b"\x7f", b"\x02\x80"]
)
def test_what_is_no_transaction_is_said_to_be_none(bad: bytes) -> None:
    with pytest.raises(TransactionRefused):
        call_of(bad)


@given(data=st.binary(max_size=80))
def test_noise(data: bytes) -> None:
    for text in (data, b"\x02" + data, b"\x03" + data):
        with contextlib.suppress(TransactionRefused):
            call_of(text)


def _nested(depth: int) -> bytes:
    """A type 2 payload whose access list is lists in lists."""
    data = b"\xc0"
    for _ in range(depth):
        size = len(data)
        width = size.to_bytes((size.bit_length() + 7) // 8, "big")
        data = (bytes([0xC0 + size]) if size < 56 else bytes([0xF7 + len(width)]) + width) + data
    return b"\x02" + data


@pytest.mark.parametrize("depth", [10, 20_000])
def test_lists_in_lists_do_not_end_the_process(depth: int) -> None:
    with pytest.raises(TransactionRefused):
        call_of(_nested(depth))


@pytest.mark.parametrize("name", range(12))
@pytest.mark.parametrize("depth", [10, 20_000])
def test_lists_in_a_field_do_not_end_the_process(name: int, depth: int) -> None:
    fields = [rlp.encode(field) for field in rlp.decode(user_raw()[1:])]
    fields[name] = _nested(depth)[1:]
    with pytest.raises(TransactionRefused):
        call_of(b"\x02" + _list_of(fields))
    with pytest.raises(TransactionRefused):
        # As a blob transaction with its blobs beside it.
        call_of(b"\x03" + _list_of([_list_of(fields), b"\xc0", b"\xc0", b"\xc0"]))


def _list_of(encoded: list[bytes]) -> bytes:
    """The RLP of a list of items that are encoded already."""
    payload = b"".join(encoded)
    return bytes(length_prefix(len(payload), 0xC0)) + payload


@given(position=st.integers(0, 150), bit=st.integers(0, 7))
def test_altered_bytes_never_crash(position: int, bit: int) -> None:
    altered = bytearray(user_raw())
    altered[position % len(altered)] ^= 1 << bit
    with contextlib.suppress(TransactionRefused):
        call_of(bytes(altered))


RECORDED = Path(__file__).parents[4] / "shared" / "data" / "flashbots__rpc-endpoint" / "raw_txs.json"


@pytest.mark.skipif(not RECORDED.exists(), reason="recorded transactions are not here")
def test_recorded_transactions() -> None:
    def strings(node: object) -> list[str]:
        if isinstance(node, dict):
            return [s for v in node.values() for s in strings(v)]
        if isinstance(node, list):
            return [s for v in node for s in strings(v)]
        return [node] if isinstance(node, str) and node.startswith("0x") and len(node) > 200 else []

    texts = strings(json.loads(RECORDED.read_text()))
    assert texts
    for text in texts:
        data = bytes.fromhex(text[2:])
        assert call_of(data)["from"] == Account.recover_transaction(HexBytes(data)).lower()
