"""Signatures against other implementations: recorded vectors, eth-account, and the relays' own test vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.backends import get_default_backend_class
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.relays.signing import UnsignedTransaction, bundle_hash, keccak
from tests.unit.relays.samples import OWNER, OWNER_KEY, signer

BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[{"txs":["0x1234"],"blockNumber":"0xb63dcd"}]}'
HEADER = (
    "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A:0x171b35fe5e71bae797c7188d8904518fc5337df38f5374eca2d92f663570c89f"
    "01d4d022df731c893ebe3cb2db101a0bc80c963d4ca5149d46f45378a0cc4cf71c"
)
VECTORS = Path(__file__).parents[4] / "shared" / "data" / "flashbots__go-utils" / "x_flashbots_signature_vectors.json"

OWNER_SIGNER = signer()
AccessList = tuple[tuple[bytes, tuple[bytes, ...]], ...]
numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
transactions = st.builds(
    UnsignedTransaction,
    chain_id=st.integers(1, 2**40),
    nonce=numbers,
    priority_fee=numbers,
    max_fee=numbers,
    gas_limit=st.integers(21_000, 2**40),
    to=st.binary(min_size=20, max_size=20),
    value=st.integers(0, 2**128),
    data=st.binary(max_size=300),
)
access_lists = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple),
    ),
    max_size=3,
).map(tuple)


def fields(transaction: UnsignedTransaction) -> dict[str, object]:
    return {
        "chainId": transaction.chain_id, "nonce": transaction.nonce, "gas": transaction.gas_limit,
        "to": to_checksum_address(transaction.to), "value": transaction.value, "data": transaction.data,
    }  # fmt: skip


def test_address() -> None:
    assert OWNER_SIGNER.address == OWNER
    assert OWNER_SIGNER.checksum_address == "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


def test_relay_header_vector() -> None:
    assert keccak(BODY).hex() == "d7fe48f4360bfb3ff56835a6ce2a51c5f8554869dcf2b23b5b864552aafb736b"
    assert OWNER_SIGNER.relay_header(BODY) == HEADER


def test_relay_header_is_over_text_with_its_prefix() -> None:
    address, signature = OWNER_SIGNER.relay_header(BODY).split(":")
    right = encode_defunct(text="0x" + keccak(BODY).hex())
    assert Account.recover_message(right, signature=signature) == address
    # The widespread mistake: the digest's hex without 0x. The relay then recovers a stranger.
    wrong = encode_defunct(text=keccak(BODY).hex())
    mistaken = Account.sign_message(wrong, OWNER_KEY).signature
    assert Account.recover_message(right, signature=mistaken) == "0x8f694F60eBBfb482C0439d470870754461396Bb0"
    assert bytes(mistaken).hex() not in signature


@pytest.mark.skipif(not VECTORS.exists(), reason="recorded vectors are not here")
def test_relay_header_recorded_vectors() -> None:
    signed = 0
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        message = encode_defunct(text="0x" + keccak(vector["body"].encode()).hex())
        assert Account.recover_message(message, signature=vector["signature"]) == vector["address"]
        if "private_key" in vector:
            assert (
                signer(vector["private_key"]).relay_header(vector["body"].encode())
                == f"{vector['address']}:{vector['signature']}"
            )
            signed += 1
    assert signed


@settings(max_examples=60)
@given(body=st.binary(max_size=200))
def test_relay_header_equals_eth_account(body: bytes) -> None:
    message = encode_defunct(text="0x" + keccak(body).hex())
    expected = bytes(Account.sign_message(message, OWNER_KEY).signature).hex()
    assert OWNER_SIGNER.relay_header(body) == f"{OWNER_SIGNER.checksum_address}:0x{expected}"


@settings(max_examples=150)
@given(transaction=transactions, access_list=access_lists)
def test_dynamic_fee_transaction_equals_eth_account(transaction: UnsignedTransaction, access_list: AccessList) -> None:
    transaction = replace(transaction, access_list=access_list)
    extra = {
        "type": 2, "maxFeePerGas": transaction.max_fee, "maxPriorityFeePerGas": transaction.priority_fee,
        "accessList": [
            {"address": to_checksum_address(address), "storageKeys": ["0x" + key.hex() for key in keys]}
            for address, keys in access_list
        ],
    }  # fmt: skip
    expected = Account.sign_transaction({**fields(transaction), **extra}, OWNER_KEY)
    signed = OWNER_SIGNER.sign_transaction(transaction)
    assert signed.raw == bytes(expected.raw_transaction)
    assert signed.hash == bytes(expected.hash)


@settings(max_examples=60)
@given(transaction=transactions)
def test_legacy_transaction_equals_eth_account(transaction: UnsignedTransaction) -> None:
    expected = Account.sign_transaction({**fields(transaction), "gasPrice": transaction.max_fee}, OWNER_KEY)
    signed = OWNER_SIGNER.sign_legacy_transaction(transaction)
    assert signed.raw == bytes(expected.raw_transaction)
    assert signed.hash == bytes(expected.hash)


def test_a_list_is_not_dropped_in_silence() -> None:
    listed = UnsignedTransaction(1, 0, 0, 1, 21_000, b"\x22" * 20, 1, b"", ((b"\x06" * 20, ()),))
    with pytest.raises(ValueError, match="no access list"):
        OWNER_SIGNER.sign_legacy_transaction(listed)


def test_bundle_hash_vector() -> None:
    hashes = [
        OWNER_SIGNER.sign_transaction(UnsignedTransaction(1, nonce, 0, 2 * 10**9, 21_000, b"\x22" * 20, 1, b"")).hash
        for nonce in (0, 1)
    ]
    assert hashes[0].hex() == "6f6ea14da378e0289ef758a935f958856c01071ec72c52e4608501a784cd0b21"
    assert hashes[1].hex() == "4bbe205960d7142d42726ec0b1a2c85d28df273d5d2c9396bc4ce7ccf5fa469c"
    assert bundle_hash(hashes).hex() == "4064357cd8e9b000d2af4e89d94b22bed52a12870b1e681ac0806c6983c1a6a6"
    assert bundle_hash(hashes[:1]).hex() == "339598b1b2e7639845e57544129479b9040ca65c8d55b354aea4a34f13ff97af"


def test_signatures_are_deterministic_across_processes() -> None:
    code = (
        "import os; os.environ['K']='0x'+'11'*32\n"
        "from schemas.config import SecretRef; from infra.relays.signing import Signer\n"
        f"print(Signer(SecretRef(ref='env:K')).relay_header({BODY!r}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert printed.stdout.strip() == HEADER


def test_the_environment_has_native_curves() -> None:
    # Senders are recovered through eth-account, which is twenty times slower without them.
    assert get_default_backend_class() == "eth_keys.backends.CoinCurveECCBackend"
