"""Signed transactions read by the extension and without it: the same is taken, with the same fields, and the same is refused in the same words."""

from __future__ import annotations

import contextlib
import json
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.chain import hexes, native
from infra.chain.errors import NodeLied
from infra.chain.keccak import keccak
from infra.chain.raw_transactions import encode_signed
from infra.chain.transactions import TransactionRefused, TxRefusal, decode, decode_raw
from infra.ingest.pending_events import hash_and_raw
from tests.bench.pending_socket import transaction_object
from tests.shared_data import DATA, needs_data, recorded
from tests.unit.ingest.test_transactions import signed

pytestmark = pytest.mark.skipif(native.sluice_evm is None, reason="the extension sluice_evm is not built")

BLOCKS = ("risechain__pevm/eth_19932148", "risechain__pevm/eth_12459406", "risc0__zeth/eth_21230867")
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1
#: Own transactions of every type and form that is read.
OWN = (
    *(signed(kind, **change) for kind in (0, 1, 2) for change in ({}, {"to": None}, {"nonce": 0, "value": 0, "data": b"\x05"})),
    signed(0, chainId=None),
    signed(2, accessList=[]),
    signed(2, accessList=[{"address": "0x" + "07" * 20, "storageKeys": []}, {"address": "0x" + "08" * 20, "storageKeys": ["0x" + "01" * 32] * 3}]),
    signed(0, data=bytes(300)),
)  # fmt: skip


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (TransactionRefused, NodeLied) as error:
        return type(error), str(error)


def in_python(read: Callable[[], Any]) -> Any:
    with patch.object(native, "sluice_evm", None):
        return outcome(read)


def same_of_bytes(raw: bytes) -> bool:
    """Hold both readings of these bytes together, and say whether the extension had one."""
    for chain in (None, 1, 5):
        read = partial(decode, raw, chain)
        assert outcome(read) == in_python(read), raw.hex()
    assert outcome(lambda: decode_raw(raw, 1)) == in_python(lambda: decode_raw(raw, 1))
    if native.sluice_evm.read_signed(raw) is None:
        return False
    without = in_python(lambda: decode(raw))
    # Of a signature that is in range, only recovery can say that it is nobody's.
    assert not isinstance(without, tuple) or without[1].startswith(TxRefusal.BAD_SIGNATURE)
    return True


def same_of_object(told: bytes) -> bool:
    """As `same_of_bytes`, of a transaction as a feed tells it."""
    item = msgspec.Raw(told)
    assert outcome(lambda: hash_and_raw(item)) == in_python(lambda: hash_and_raw(item)), told
    return native.sluice_evm.signed_bytes(told) is not None


# ---------------------------------------------------------------- recorded


@cache
def recorded_objects() -> tuple[dict[str, Any], ...]:
    return tuple(
        {name: value for name, value in told.items() if not isinstance(value, float)}
        for block in BLOCKS
        for told in recorded(f"{block}.json.xz")["blocks"][0]["transactions"]
    )


@needs_data
def test_recorded_transactions_are_all_read() -> None:
    path = DATA / "derived/raw_router_txs.jsonl.xz"
    lines = lzma.decompress(path.read_bytes()).splitlines()
    raws = [bytes.fromhex(json.loads(line)["raw"][2:]) for line in lines]
    raws += [encode_signed(told) for told in recorded_objects()]
    assert len(raws) > 1_000
    for raw in raws:
        assert same_of_bytes(raw) == (raw[0] not in (3, 4)), raw.hex()


@needs_data
def test_recorded_objects_are_all_read() -> None:
    read = 0
    for told in recorded_objects():
        told = transaction_object(encode_signed(told)) if told["type"] in ("0x0", "0x1", "0x2") else told
        read += same_of_object(json.dumps(told).encode())
        assert native.sluice_evm.signed_bytes(json.dumps(told, separators=(",", ":")).encode()) is not None or told[
            "type"
        ] not in ("0x0", "0x1", "0x2")
    assert read > 400


@needs_data
def test_the_foundations_test_cases() -> None:
    """Bytes made to be refused, most of them: leading zeros, lengths that overflow, fields too long, wrong signatures."""
    path, seen, read = DATA / "ethereum__tests/TransactionTests.tar.xz", 0, 0
    if not path.is_file():
        pytest.skip("recorded data is not here: ../shared/data/ethereum__tests/TransactionTests.tar.xz")
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            for case in json.load(file).values() if file else ():
                raw = bytes.fromhex(case["txbytes"][2:]) if len(case["txbytes"]) % 2 == 0 else b""
                seen, read = seen + 1, read + same_of_bytes(raw)
    assert seen > 200 and read > 50


# ---------------------------------------------------------------- bytes that somebody changed


@pytest.mark.parametrize("raw", OWN)
def test_own_transactions_are_read(raw: bytes) -> None:
    assert same_of_bytes(raw)
    assert same_of_object(json.dumps(transaction_object(raw)).encode())


def mutated(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                changed += rng.randbytes(rng.randrange(1, 40))
            case 2:
                changed[at:at] = rng.randbytes(1)
            case 3:
                del changed[at : at + rng.randrange(1, 34)]
            case 4 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case _ if at < len(changed):
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0xB8, 0xB9, 0xBF, 0xC0, 0xC1, 0xF8, 0xFF))
    return bytes(changed)


def test_changed_bytes() -> None:
    rng, read = random.Random(3), 0
    for _ in range(2_500):
        read += same_of_bytes(mutated(rng, rng.choice(OWN)))
    assert read > 200


_numbers = st.one_of(
    st.sampled_from((0, 1, 27, 28, 35, 36, 37, 38, 45, 46, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 36, 2**256 - 1, 2**256,
                     HALF_ORDER, HALF_ORDER + 1, ORDER, ORDER - 1)),
    st.integers(0, 2**256 - 1),
    st.integers(0, 300),
)  # fmt: skip


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


_fields = st.one_of(
    _numbers.map(_minimal), _numbers.map(lambda number: b"\0" + _minimal(number)), st.binary(max_size=60)
)
_addresses = st.one_of(st.just(b"\x35" * 20), st.just(b""), st.binary(min_size=18, max_size=22))
_words = st.one_of(st.just(b"\1" * 32), st.binary(min_size=30, max_size=34))
_entries = st.one_of(
    st.tuples(_addresses, st.lists(_words, max_size=3)).map(list), st.lists(_words, max_size=3), st.binary(max_size=2)
)
_access_lists: st.SearchStrategy[Any] = st.one_of(st.just([]), st.lists(_entries, max_size=3), st.binary(max_size=3))


@st.composite
def transactions(draw: st.DrawFn) -> bytes:
    """Transactions whose fields are right, but for some that are not."""
    kind = draw(st.integers(0, 2))
    named = [b"\7", *([b"\x09"] if kind == 2 else []), b"\x0a", b"\x5b\x01", b"\x35" * 20, b"\x05", b"data"]
    fields: list[Any] = [*([b"\1"] if kind else []), *named, *([[]] if kind else [])]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(fields) - 1))
        fields[at] = draw(_access_lists if isinstance(fields[at], list) else st.one_of(_fields, _addresses))
    v = (
        draw(st.sampled_from((0, 1)) if kind else st.sampled_from((27, 28, 37, 38, 45, 46)))
        if draw(st.booleans())
        else draw(_numbers)
    )
    r, s = draw(_numbers), draw(st.one_of(_numbers, st.integers(1, HALF_ORDER)))
    fields += [_minimal(v), _minimal(r), _minimal(s)]
    if draw(st.integers(0, 9)) == 0:
        fields = fields[: draw(st.integers(0, len(fields)))] if draw(st.booleans()) else [*fields, b"\1"]
    return (bytes([kind]) if kind else b"") + _encoded(draw, fields)


def _encoded(draw: st.DrawFn, item: Any) -> bytes:
    """RLP, now and then not in its one form."""
    odd = draw(st.integers(0, 60)) == 0
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80 and not odd:
            return item
        return _headed(item, 0x80, odd)
    return _headed(b"".join(_encoded(draw, each) for each in item), 0xC0, odd)


def _headed(payload: bytes, kind: int, odd: bool) -> bytes:
    length = len(payload)
    if length < 56 and (not odd or length == 1):
        return bytes([kind + length]) + payload
    size = (b"\0" if odd and length % 2 else b"") + (_minimal(length) or b"\0")
    return bytes([kind + 55 + len(size)]) + size + payload


@given(transactions())
@settings(max_examples=600, deadline=None)
def test_fields_of_every_kind(raw: bytes) -> None:
    same_of_bytes(raw)


@given(st.binary(max_size=200), st.sampled_from((b"", b"\1", b"\2", b"\3")))
def test_garbage(data: bytes, kind: bytes) -> None:
    same_of_bytes(kind + data)


def test_the_upper_half_of_s_is_refused() -> None:
    for raw in OWN:
        kind = raw[0] if raw[0] < 0xC0 else 0
        fields = rlp.decode(raw[1:] if kind else raw)
        assert isinstance(fields, list)
        fields[-1] = _minimal(ORDER - int.from_bytes(fields[-1], "big"))
        assert not same_of_bytes((bytes([kind]) if kind else b"") + rlp.encode(fields))


def test_long_access_lists_and_data() -> None:
    entries = [
        {"address": "0x" + f"{n:040x}", "storageKeys": ["0x" + f"{k:064x}" for k in range(n % 5)]} for n in range(400)
    ]
    assert same_of_bytes(signed(1, accessList=entries)) and same_of_bytes(signed(2, data=bytes(128 * 1024)))
    assert same_of_object(json.dumps(transaction_object(signed(2, accessList=entries, data=bytes(70_000)))).encode())


@pytest.mark.parametrize("other", [bytearray(OWN[0]), memoryview(OWN[0]), "0xc0", None, 7])
def test_what_is_no_bytes_is_not_read(other: object) -> None:
    assert native.sluice_evm.read_signed(other) is None is native.sluice_evm.signed_bytes(other)  # type: ignore[arg-type]


# ---------------------------------------------------------------- objects that somebody changed


_NAMES = (*transaction_object(signed(2)), "gasPrice", "maxFeePerGas", "accessList", "chainId", "blockNumber", "input")
_VALUES: tuple[Any, ...] = (
    None, "", "0x", "0x0", "0x00", "0x1", "0x01", "1", "0X1", "0x0x1", "0x+1", "0x-1", "-0x1", " 0x1", "0x1 ", "0x_1", "0x1_0", "0x0000000001",
    "0x2", "0x02", "0x3", "0x1b", "0x25", "0xg", "0x" + "0" * 64, "0x" + "0" * 65, "0x" + "f" * 64, "0x1" + "0" * 64, "0x" + "35" * 20, "35" * 20,
    "0x" + "35" * 19, "0x" + "35" * 21, "0x35 35", "0x\u0663\u0663", "\u00e9", "0x\n", 1, 0, -1, 1.5, 10**30, True, False, [], {}, ["0x1"], [[]],
    [{}], [{"address": "0x" + "06" * 20}], [{"address": "0x" + "06" * 20, "storageKeys": None}], [{"address": None, "storageKeys": []}],
    [{"address": "0x" + "06" * 20, "storageKeys": ["0x" + "01" * 32], "more": 1}], [{"address": "0x" + "06" * 20, "storageKeys": [None]}],
    [["0x" + "06" * 20, []]], [{"address": "0x" + "06" * 20, "storageKeys": ["0x01"]}], {"a": {"b": []}},
)  # fmt: skip


def rewritten(rng: random.Random, told: dict[str, Any]) -> bytes:
    """A transaction object with fields left out, replaced, told twice or in another place, and now and then the hash made right for them again."""
    told = dict(told)
    for _ in range(rng.choice((0, 1, 1, 2))):
        name = rng.choice(_NAMES)
        match rng.randrange(3):
            case 0:
                told.pop(name, None)
            case 1:
                told[name] = rng.choice(_VALUES)
            case _:
                told[name] = hex(rng.getrandbits(rng.choice((1, 8, 63, 64, 128, 256, 260))))
    if rng.random() < 0.7:
        with contextlib.suppress(TransactionRefused, TypeError, AttributeError, OverflowError):
            told["hash"] = hexes.show(keccak(encode_signed(told)))
    pairs = list(told.items())
    if rng.random() < 0.3:
        rng.shuffle(pairs)
    if rng.random() < 0.2:
        name = rng.choice(_NAMES)
        pairs.insert(
            rng.randrange(len(pairs) + 1), (name, told.get(name) if rng.random() < 0.5 else rng.choice(_VALUES))
        )
    space = rng.choice(("", "", " ", "\n\t"))
    ascii_only = rng.random() < 0.5
    parts = (json.dumps(name) + ":" + space + json.dumps(value, ensure_ascii=ascii_only) for name, value in pairs)
    return ("{" + space + ("," + space).join(parts) + "}" + space).encode()


def some_objects() -> Iterator[dict[str, Any]]:
    yield from map(transaction_object, OWN)


def test_rewritten_objects() -> None:
    rng, objects, read = random.Random(4), list(some_objects()), 0
    for _ in range(8_000):
        read += same_of_object(rewritten(rng, rng.choice(objects)))
    assert 1_000 < read < 7_000


def test_changed_objects_and_what_is_none() -> None:
    rng, objects = random.Random(5), [json.dumps(told).encode() for told in some_objects()]
    for _ in range(4_000):
        same_of_object(mutated(rng, rng.choice(objects)))
    for told in (b"", b"null", b"[]", b"{}", b"1", b'"0x12"', b'"0x' + b"ab" * 32 + b'"', b"\xff", b'{"hash":"0x"}'):
        assert not same_of_object(told)


def test_text_that_is_none_is_malformed() -> None:
    told = json.dumps(transaction_object(OWN[0])).encode()
    with pytest.raises(NodeLied, match="malformed"):
        hash_and_raw(msgspec.Raw(told.replace(b'"0x7"', b'"0x7\xff"')))


def test_an_objects_fields_in_a_list_are_no_object() -> None:
    told = transaction_object(OWN[0])
    assert not same_of_object(json.dumps(list(told.values())).encode())


@pytest.mark.parametrize("text", ['"\\u0030x7"', '"\\ud800"', '"\x7f"', '"\\/"'])
def test_escapes(text: str) -> None:
    told = json.dumps(transaction_object(OWN[0]))
    assert same_of_object(told.encode())
    same_of_object(told.replace('"0x7"', text).encode())
    same_of_object(told.replace('"blockHash": null', f'"blockHash": {text}').encode())
    same_of_object(told.replace('"blockHash"', f'"other": {text}, "blockHash"').encode())
    same_of_object(told.replace('"blockHash"', f'{text}: 1, "blockHash"').encode())
