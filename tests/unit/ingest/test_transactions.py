"""Signed transactions against eth_account and, where there is one, recorded blocks."""

from __future__ import annotations

import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.chain.answers import AccessAnswer, TransactionAnswer
from infra.chain.keccak import check_backends, keccak
from infra.chain.raw_transactions import raw_from
from infra.chain.transactions import TransactionRefused, TxRefusal, decode_raw

KEY = b"\x01" * 32
TO = "0x3535353535353535353535353535353535353535"
SENDER = bytes.fromhex(Account.from_key(KEY).address[2:])
ACCESS = [{"address": "0x" + "06" * 20, "storageKeys": ["0x" + "00" * 31 + "08"]}]


def signed(kind: int, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "nonce": 7,
        "gas": 90_000,
        "to": TO,
        "value": 10**18,
        "data": b"\x01\x02",
        "chainId": 5,
    }
    fields |= {"gasPrice": 10**10} if kind < 2 else {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    if kind:
        fields |= {"type": kind, "accessList": ACCESS}
    fields |= changes
    return bytes(Account.sign_transaction({k: v for k, v in fields.items() if v is not None}, KEY).raw_transaction)


def test_the_fast_libraries_are_in_use() -> None:
    check_backends()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_fields_hash_and_sender(kind: int) -> None:
    raw = signed(kind)
    tx = decode_raw(raw, 5)
    assert (tx.sender, tx.hash, tx.tx_type, tx.nonce, tx.gas_limit, tx.value) == (
        SENDER,
        keccak(raw),
        kind,
        7,
        90_000,
        10**18,
    )
    assert (tx.max_fee, tx.max_priority_fee) == (10**10, 10**9 if kind == 2 else 10**10)
    assert [(e.address, e.keys) for e in tx.access_list] == (
        [(b"\x06" * 20, ((8).to_bytes(32, "big"),))] if kind else []
    )


def test_a_legacy_transaction_from_before_eip_155() -> None:
    tx = decode_raw(signed(0, chainId=None), 5)
    assert tx.sender == SENDER


def test_a_creation_has_no_recipient() -> None:
    assert decode_raw(signed(2, to=None), 5).to == b""


@given(st.integers(0, 2), st.integers(0, 2**62), st.integers(0, 2**255), st.binary(max_size=300))
@settings(max_examples=30, deadline=None)
def test_any_transaction_comes_back_from_its_json(kind: int, nonce: int, value: int, data: bytes) -> None:
    raw = signed(kind, nonce=nonce, value=value, data=data)
    tx = decode_raw(raw, 5)
    fields = rlp.decode(raw if kind == 0 else raw[1:])
    v, r, s = ("0x" + (f.hex().lstrip("0") or "0") for f in fields[-3:])
    answer = TransactionAnswer(
        hash="0x" + tx.hash.hex(), nonce=hex(nonce), gas=hex(tx.gas_limit), value=hex(value), input="0x" + data.hex(), r=r, s=s, v=v,
        from_="0x" + SENDER.hex(), to="0x" + tx.to.hex(), type=hex(kind), chain_id="0x5", gas_price=hex(tx.max_fee),
        max_fee_per_gas=hex(tx.max_fee), max_priority_fee_per_gas=hex(tx.max_priority_fee),
        access_list=[AccessAnswer(address=ACCESS[0]["address"], storage_keys=ACCESS[0]["storageKeys"])] if kind else None,
    )  # fmt: skip
    assert raw_from(answer) == raw
    # A field that does not belong to the hash is noticed.
    import msgspec

    assert raw_from(msgspec.structs.replace(answer, gas=hex(tx.gas_limit + 1))) is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", TxRefusal.MALFORMED),
        (b"\x03\x01", TxRefusal.BLOB),
        (b"\x04\x01", TxRefusal.SET_CODE),
        (b"\x05\x01", TxRefusal.UNKNOWN_TYPE),
        (b"\x7f", TxRefusal.UNKNOWN_TYPE),
        (b"\x02\xc0", TxRefusal.MALFORMED),
        (b"\x02\xff\xff", TxRefusal.MALFORMED),
        (b"\xc0", TxRefusal.MALFORMED),
        (signed(2)[:-1], TxRefusal.MALFORMED),
        (signed(2) + b"\0", TxRefusal.MALFORMED),
        (signed(2, chainId=6), TxRefusal.WRONG_CHAIN),
        (signed(0, chainId=6), TxRefusal.WRONG_CHAIN),
    ],
)
def test_what_is_not_taken_is_named(raw: bytes, reason: TxRefusal) -> None:
    with pytest.raises(TransactionRefused) as refused:
        decode_raw(raw, 5)
    assert refused.value.reason is reason


def test_a_high_s_is_no_signature() -> None:
    raw = signed(2)
    fields = rlp.decode(raw[1:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    fields[-1] = (order - int.from_bytes(fields[-1], "big")).to_bytes(32, "big")
    fields[-3] = b"" if fields[-3] else b"\x01"
    with pytest.raises(TransactionRefused) as refused:
        decode_raw(b"\x02" + rlp.encode(fields), 5)
    assert refused.value.reason is TxRefusal.BAD_SIGNATURE


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(TransactionRefused):
        decode_raw(raw, 5)
