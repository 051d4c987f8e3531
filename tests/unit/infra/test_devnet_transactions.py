"""Signed transactions and bundles as bytes, held to recorded mainnet transactions and published vectors."""

from __future__ import annotations

import json
import lzma
from itertools import islice
from pathlib import Path

import pytest

from infra.chain.raw_transactions import encode_hashed
from infra.chain.transactions import TransactionRefused, decode
from infra.devnet.bundles import BadBundle, Bundle, BundlePool, bundle_hash
from infra.devnet.node import data, to_hex
from infra.devnet.relay_signature import BadSignature, verify
from infra.devnet.signer import Signer

RECORDINGS = Path("../shared/data")


def test_recorded_router_transactions_decode_to_their_hash_sender_and_recipient() -> None:
    file = RECORDINGS / "derived/raw_router_txs.jsonl.xz"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    with lzma.open(file, "rt") as lines:
        for line in islice(lines, 200):
            recorded = json.loads(line)
            transaction = decode(data(recorded["raw"]))
            assert to_hex(transaction.hash) == recorded["hash"]
            assert to_hex(transaction.sender) == recorded["sender"].lower()
            assert transaction.to and to_hex(transaction.to) == recorded["to"].lower()
            assert to_hex(transaction.data[:4]) == recorded["selector"]
            assert transaction.tx_type == int(str(recorded["type"]), 0)


@pytest.mark.parametrize("number", ["12459406", "19932703", "21230867"])
def test_all_types_of_a_recorded_block_come_back_from_their_bytes(number: str) -> None:
    found = sorted(RECORDINGS.glob(f"*/eth_{number}.json.xz"))
    if not found:
        pytest.skip(f"no recording of block {number}")
    recorded = json.loads(lzma.decompress(found[0].read_bytes()))["blocks"][0]["transactions"]
    for fields in recorded:
        transaction = decode(encode_hashed(fields))
        assert to_hex(transaction.hash) == fields["hash"] and to_hex(transaction.sender) == fields["from"]
        assert transaction.gas_limit == int(fields["gas"], 16) and transaction.nonce == int(fields["nonce"], 16)
        assert transaction.call()["input"] == fields["input"]


def test_wrong_fields_do_not_encode() -> None:
    signer = Signer.of_seed("wrong")
    raw = signer.sign(chain_id=1, nonce=0, to=signer.address, gas=21_000, max_fee=10, max_priority_fee=1)
    transaction = decode(raw)
    fields = {
        "type": "0x2",
        "chainId": "0x1",
        "hash": to_hex(transaction.hash),
        "r": "0x1",
        "s": "0x1",
        "yParity": "0x0",
        **transaction.call(),
    }
    with pytest.raises(TransactionRefused, match="encodes to bytes of the hash"):
        encode_hashed(fields)


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\x09\xc0", b"\xc0", b"\xf8\xff", b"\xc9" + b"\x01" * 9])
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    with pytest.raises(TransactionRefused):
        decode(raw)


def test_the_tip_follows_eip_1559() -> None:
    signer = Signer.of_seed("tip")
    dynamic = decode(signer.sign(chain_id=1, nonce=0, to=None, gas=1, max_fee=100, max_priority_fee=30))
    legacy = decode(signer.sign(chain_id=1, nonce=0, to=None, gas=1, max_fee=100))
    assert [dynamic.tip(base) for base in (0, 70, 80, 101)] == [30, 30, 20, -1]
    assert [legacy.tip(base) for base in (0, 80, 101)] == [100, 20, -1]


def test_a_signer_tells_no_key() -> None:
    signer = Signer(b"\x11" * 32)
    assert "11111111" not in repr(signer) and to_hex(signer.address) in repr(signer)


# ---------------------------------------------------------------- bundles


def two_transfers() -> list[bytes]:
    """The two transactions of the published bundle hash vector."""
    signer, to = Signer(b"\x11" * 32), b"\x22" * 20
    return [
        signer.sign(chain_id=1, nonce=n, to=to, gas=21_000, value=1, max_fee=2 * 10**9, max_priority_fee=0)
        for n in (0, 1)
    ]


def test_the_bundle_hash_is_the_published_one() -> None:
    hashes = [decode(raw).hash for raw in two_transfers()]
    assert to_hex(hashes[0]) == "0x6f6ea14da378e0289ef758a935f958856c01071ec72c52e4608501a784cd0b21"
    assert to_hex(bundle_hash(hashes)) == "0x4064357cd8e9b000d2af4e89d94b22bed52a12870b1e681ac0806c6983c1a6a6"
    assert to_hex(bundle_hash(hashes[:1])) == "0x339598b1b2e7639845e57544129479b9040ca65c8d55b354aea4a34f13ff97af"


def read(pool: BundlePool, signer: bytes = b"a" * 20, **more: object) -> Bundle:
    return pool.read({"txs": [to_hex(raw) for raw in two_transfers()], "blockNumber": "0x10", **more}, signer)


def test_a_replacement_is_the_same_signers_only() -> None:
    pool = BundlePool()
    pool.add(read(pool, replacementUuid="u"))
    pool.add(read(pool, b"b" * 20, replacementUuid="u"))
    assert len(pool.for_block(16)) == 2
    pool.add(read(pool, replacementUuid="u", blockNumber="0x11"))
    assert [bundle.signer for bundle in pool.for_block(16)] == [b"b" * 20] and len(pool.for_block(17)) == 1
    assert pool.cancel(b"c" * 20, "u") == [] and len(pool.cancel(b"a" * 20, "u")) == 1
    assert pool.for_block(17) == []


def test_a_bundle_sent_twice_is_one() -> None:
    pool = BundlePool()
    for _ in range(2):
        pool.add(read(pool))
    assert len(pool.for_block(16)) == 1
    pool.forget_before(17)
    assert pool.for_block(16) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"blockNumber": 16},
        {"blockNumber": "sixteen"},
        {"blockNumber": None},
        {"txs": ["02"]},
        {"txs": [7]},
        {"txs": []},
        {"minTimestamp": "0x1"},
        {"maxTimestamp": True},
        {"revertingTxHashes": ["0x12"]},
        {"replacementUuid": 5},
    ],
)
def test_wrong_parameters_are_no_bundle(wrong: dict[str, object]) -> None:
    pool = BundlePool()
    with pytest.raises(BadBundle):
        read(pool, **wrong)


# ---------------------------------------------------------------- the relay header

BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[{"txs":["0x1234"],"blockNumber":"0xb63dcd"}]}'
SIGNER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
SIGNATURE = "0x171b35fe5e71bae797c7188d8904518fc5337df38f5374eca2d92f663570c89f01d4d022df731c893ebe3cb2db101a0bc80c963d4ca5149d46f45378a0cc4cf71c"


@pytest.mark.parametrize("address", [SIGNER, SIGNER.lower()])
@pytest.mark.parametrize("v", ["1c", "01"])
def test_the_header_vector_verifies(address: str, v: str) -> None:
    assert verify(f"{address}:{SIGNATURE[:-2]}{v}", BODY) == data(SIGNER)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        SIGNER,
        f"{SIGNER}:{SIGNATURE[2:]}",
        f"{SIGNER}:0x12",
        f"0x{'12' * 20}:{SIGNATURE}",
        f"{SIGNER}:{SIGNATURE[:-2]}1b",
    ],
)
def test_a_wrong_header_does_not(header: str | None) -> None:
    with pytest.raises(BadSignature, match="signature provided"):
        verify(header, BODY)


def test_the_header_of_another_body_does_not() -> None:
    with pytest.raises(BadSignature):
        verify(f"{SIGNER}:{SIGNATURE}", BODY + b" ")
