"""What the extension takes of a block's receipts means what Python makes of the same bytes; what it does not take, Python judges as ever."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Container
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.chain import hexes, receipts
from infra.chain.answers import HeaderAnswer
from infra.chain.blocks import Header, decode_header
from infra.chain.errors import LieReason, NodeError
from infra.chain.native import sluice_evm
from infra.chain.receipts import Mined, PlainMined, ToldMined, mined_in, plain_receipts
from tests.shared_data import needs_data, recorded
from tests.unit.ingest.test_quick_reads import deaf, ran

pytestmark = pytest.mark.skipif(sluice_evm is None, reason="the extension sluice_evm is not built")

BUNDLES = (
    "risechain__pevm/eth_12459406",
    "risechain__pevm/eth_13287210",  # 1,414 transactions
    "risechain__pevm/eth_15537394",  # 10,041 logs
    "risechain__pevm/eth_19932148",
    "risc0__zeth/eth_21230867",
    "consensys__linea-monorepo/linea_41640-41649",
    "consensys__linea-monorepo/linea_28279135-28279249",  # 115 blocks
)
HASH = b"\x0b" * 32
TOPICS = [bytes([n]) * 32 for n in (0x1A, 0x2B, 0x3C)]
EMITTERS = [bytes([n]) * 20 for n in (0xAA, 0xBB, 0xCC)]
#: Examples of each kind; more where somebody has the time.
EXAMPLES = settings(max_examples=400, deadline=None)

Receipts = list[dict[str, Any]]


def a_log(transaction: int, index: int) -> dict[str, Any]:
    return {
        "address": hexes.show(EMITTERS[index % 3]), "topics": [hexes.show(topic) for topic in TOPICS[index % 4 :]], "data": "0x" + "5f" * 32 * (index % 3),
        "blockNumber": "0x9", "transactionHash": hexes.show(bytes([transaction + 1]) * 32), "transactionIndex": hex(transaction),
        "blockHash": hexes.show(HASH), "logIndex": hex(index), "removed": False,
    }  # fmt: skip


def a_receipt(index: int, logs: range) -> dict[str, Any]:
    return {
        "type": "0x2", "status": hex(index % 2), "cumulativeGasUsed": hex(50_000 * (index + 1)), "logs": [a_log(index, n) for n in logs],
        "logsBloom": "0x" + "00" * 256, "transactionHash": hexes.show(bytes([index + 1]) * 32), "transactionIndex": hex(index), "blockHash": hexes.show(HASH),
        "blockNumber": "0x9", "gasUsed": hex(50_000), "effectiveGasPrice": hex(3 << (40 * index)), "from": hexes.show(bytes([index + 7]) * 20),
        "to": None if index == 1 else hexes.show(EMITTERS[index % 3]), "contractAddress": hexes.show(EMITTERS[0]) if index == 1 else None,
    }  # fmt: skip


def good() -> Receipts:
    return [a_receipt(0, range(4)), a_receipt(1, range(4, 4)), a_receipt(2, range(4, 7))]


HEADER = Header(9, HASH, b"\x04" * 32, 1, 1, 1, 150_000, bytes(20), bytes(32), 0, 0, tuple(bytes([n]) * 32 for n in (1, 2, 3)))  # fmt: skip


def body_of(told: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 0, "result": told}, separators=(",", ":")).encode()


# ---------------------------------------------------------------- both


def told_by(mined: Mined | tuple[Any, ...], header: Header) -> Any:
    """All that can be asked of receipts, or the error there was instead of them."""
    if isinstance(mined, tuple):
        return mined
    emitters = set(EMITTERS).union(
        *(answer(lambda i=i: {log.address for log in mined.logs(i)}, set()) for i in range(len(mined.receipts)))
    )  # type: ignore[misc]
    some: list[tuple[Container[bytes], Container[bytes] | None]] = [
        (emitters, None), (frozenset(sorted(emitters)[::2]), None), (emitters, TOPICS[1:]), ((), None), (emitters, ()),
    ]  # fmt: skip
    assert [receipt.tx_hash for receipt in mined.receipts] == list(header.tx_hashes or ())
    assert all(type(receipt.effective_gas_price) is receipts.Wide for receipt in mined.receipts)
    return (
        mined.receipts,
        [answer(lambda i=i: mined.logs(i)) for i in range(len(mined.receipts))],  # type: ignore[misc]
        [answer(lambda which=which: mined.logs_of(*which)) for which in some],  # type: ignore[misc]
    )


def answer(ask: Callable[[], Any], instead: Any = None) -> Any:
    try:
        return ask()
    except NodeError as error:
        return (type(error), str(error)) if instead is None else instead


def both(body: bytes, header: Header = HEADER) -> tuple[bool, Any]:
    """Whether the extension took the answer, and what was made of it: the same with the extension and without."""
    mined = ran(mined_in(deaf(body), header))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(receipts, "sluice_evm", None)
        judged = ran(mined_in(deaf(body), header))
    assert not isinstance(judged, PlainMined)
    told = told_by(judged, header)
    assert told_by(mined, header) == told, body
    return isinstance(mined, PlainMined), told


# ---------------------------------------------------------------- recorded


def header_of(block: dict[str, Any], told: Receipts) -> Header:
    hashes = [one if isinstance(one, str) else one["hash"] for one in block["transactions"]]
    # Receipts were recorded by executing the blocks again, a few of them with other gas than the chain's.
    gas_used = told[-1]["cumulativeGasUsed"] if told else block["gasUsed"]
    return decode_header(msgspec.convert({**block, "transactions": hashes, "gasUsed": gas_used}, HeaderAnswer))


@needs_data
@pytest.mark.parametrize("bundle", BUNDLES)
def test_recorded_receipts_are_taken(bundle: str) -> None:
    recording = recorded(f"{bundle}.json.xz")
    for block, told in zip(recording["blocks"], recording["receipts"], strict=True):
        header = header_of(block, told)
        taken, shown = both(body_of(told), header)
        assert taken == bool(header.tx_hashes)
        assert sum(map(len, shown[1])) == sum(len(each["logs"]) for each in told)


@needs_data
def test_recorded_receipts_that_somebody_damaged() -> None:
    recording = recorded("risc0__zeth/eth_21230867.json.xz")
    told = recording["receipts"][0]
    header, body = header_of(recording["blocks"][0], told), body_of(told)
    dice = random.Random(7)
    for _ in range(150):
        at = dice.randrange(len(body))
        both(body[:at] + dice.choice([b"", b'"', b"0", b"f", b"G", b"}", b"\xff", b"\\"]) + body[at + 1 :], header)


# ---------------------------------------------------------------- one thing wrong


def bent(*path: str | int, to: Any) -> bytes:
    """The good receipts with one thing in another way; `...` takes it out."""
    told = good()
    at: Any = told
    for step in path[:-1]:
        at = at[step]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return body_of(told)


OTHER, LOG = "0x" + "07" * 32, (0, "logs", 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (body_of(good()[:2]), LieReason.RECEIPT_COUNT),
        (body_of([*good(), a_receipt(3, range(7, 7))]), LieReason.RECEIPT_COUNT),
        (body_of([good()[1], good()[0], good()[2]]), LieReason.RECEIPT_MISMATCH),
        (bent(1, "transactionHash", to=OTHER), LieReason.RECEIPT_MISMATCH),
        (bent(1, "transactionIndex", to="0x2"), LieReason.RECEIPT_MISMATCH),
        (bent(2, "blockHash", to=OTHER), LieReason.RECEIPT_MISMATCH),
        (bent(2, "cumulativeGasUsed", to=hex(150_001)), LieReason.GAS_MISMATCH),
        (bent(*LOG, "blockHash", to=OTHER), LieReason.LOG_MISMATCH),
        (bent(*LOG, "transactionIndex", to="0x1"), LieReason.LOG_MISMATCH),
        (bent(*LOG, "logIndex", to="0x2"), LieReason.LOG_MISMATCH),
        (bent(*LOG, to=...), LieReason.LOG_MISMATCH),
        (bent(0, "logs", to=[a_log(0, n) for n in range(5)]), LieReason.LOG_MISMATCH),
        (bent(0, "transactionHash", to="0x" + "01" * 31), LieReason.MALFORMED),
        (bent(0, "from", to="0x" + "01" * 21), LieReason.MALFORMED),
        (bent(0, "to", to="0x" + "zz" * 20), LieReason.MALFORMED),
        (bent(0, "status", to="0x"), LieReason.MALFORMED),
        (bent(0, "gasUsed", to=hex(1 << 63)), LieReason.MALFORMED),
        (bent(2, "cumulativeGasUsed", to="150000"), LieReason.MALFORMED),
        (bent(0, "effectiveGasPrice", to=hex(1 << 256)), LieReason.MALFORMED),
        (bent(0, "effectiveGasPrice", to="-0x1"), LieReason.MALFORMED),
        (bent(0, "logs", to=None), LieReason.MALFORMED),
        (bent(0, "from", to=...), LieReason.MALFORMED),
        (bent(0, "gasUsed", to=7), LieReason.MALFORMED),
        (bent(*LOG, "topics", to=...), LieReason.MALFORMED),
        (bent(*LOG, "data", to=None), LieReason.MALFORMED),
        (bent(*LOG, to="log"), LieReason.MALFORMED),
    ],
)
def test_what_is_wrong_is_refused_in_the_same_words(body: bytes, reason: LieReason) -> None:
    taken, (error, words) = both(body)
    assert not taken and issubclass(error, NodeError) and str(reason) in words, words


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "0x12"),
        ("address", "0x0x" + "aa" * 19),
        ("topics", ["0x12"]),
        ("topics", [OTHER] * 5),
        ("data", "0x123"),
        ("data", "12"),
        ("data", "0x0x12"),
    ],
)
def test_logs_without_the_form_of_one_are_left_to_those_who_want_them(field: str, value: Any) -> None:
    taken, (_, logs, _) = both(bent(*LOG, field, to=value))
    assert not taken and logs[0][0].__name__ == "NodeLied"


@pytest.mark.parametrize("result", [None, {}, "0x", 7, [None]])
def test_what_are_no_receipts(result: Any) -> None:
    taken, (error, _) = both(body_of(result))
    assert not taken and issubclass(error, NodeError)


def test_errors_are_the_nodes() -> None:
    error = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"no \\"block\\""}}'
    assert both(error) == (False, ran(mined_in(deaf(error), HEADER)))


# ---------------------------------------------------------------- written in another way


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (body_of(good()), True),
        (json.dumps({"result": good(), "id": 0, "error": None}, indent=2).encode(), True),
        (bent(0, "transactionHash", to="0x" + "01" * 32), True),
        (bent(0, "blockHash", to="0x" + "0B" * 32), True),
        (bent(*LOG, "blockHash", to="0x" + "0B" * 32), True),
        (bent(0, "transactionIndex", to="0x00"), True),
        (bent(*LOG, "logIndex", to="0x01"), True),
        (bent(*LOG, "address", to="0x" + "aB" * 20), True),
        (bent(*LOG, "data", to="0x"), True),
        (bent(*LOG, "topics", to=[]), True),
        (bent(*LOG, "topics", to=[OTHER] * 4), True),
        (bent(*LOG, "removed", to=...), True),
        (bent(0, "to", to=...), True),
        (bent(0, "status", to=...), True),
        (bent(0, "status", to=None), True),
        (bent(0, "effectiveGasPrice", to=...), True),
        (bent(0, "effectiveGasPrice", to=None), True),
        (bent(0, "effectiveGasPrice", to=hex((1 << 256) - 1)), True),
        (bent(0, "gasUsed", to=hex((1 << 63) - 1)), True),
        (bent(0, "l1FeeScalar", to="0.684"), True),
        # Python takes these as well.
        (bent(0, "to", to=""), False),
        (bent(0, "status", to="0x2"), False),
        (bent(0, "status", to="0x01"), False),
        (bent(0, "cumulativeGasUsed", to="of no interest"), False),
        (bent(0, "effectiveGasPrice", to="0x1_0"), False),
        (bent(*LOG, "blockHash", to=None), False),
        (bent(0, "logs", 0, "logIndex", to=...), False),
        (bent(0, "logs", 0, "transactionIndex", to=None), False),
        (bent(0, "authorizationList", to=[{"nonce": "0x1"}]), False),
        (bent(0, "type", to="\u00e9"), False),
        (body_of(good()).replace(b'"status":"0x0"', b'"status":"0x1","status":"0x0"', 1), False),
    ],
)
def test_what_is_only_written_otherwise_means_the_same(body: bytes, taken: bool) -> None:
    was_taken, told = both(body)
    assert was_taken == taken and len(told) == 3 and len(told[0]) == 3


_names = st.sampled_from([*good()[0], *a_log(0, 0), "extra"])
_values = st.one_of(
    st.sampled_from(["0x0", "0x1", "0x01", "0x", "", "0X1", "0x-1", "0x 1", "0x_1", "0xzz", OTHER, "0x" + "aA" * 20, "0x0x" + "aa" * 19, "\u00e9", None, True, 7,
                     -1, 1.5, [], {}, [OTHER], [OTHER] * 5, ["0x1"], hex(1 << 63), hex(1 << 64), hex(1 << 256), hexes.show(HASH), ...]),
    st.integers(0, 1 << 70).map(hex),
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 3)), _names, _values), max_size=2),
    st.sampled_from([None, 1]),
)
@EXAMPLES
def test_fields_of_any_kind(changes: list[tuple[int, int | None, str, Any]], indent: int | None) -> None:
    told = good()
    for receipt, log, name, value in changes:
        place = told[receipt]
        logs = place.get("logs")
        if log is not None and isinstance(logs, list) and log < len(logs):
            place = logs[log]
        if not isinstance(place, dict):
            continue
        if value is ...:
            place.pop(name, None)
        else:
            place[name] = copy.deepcopy(value)
    both(json.dumps({"jsonrpc": "2.0", "id": 0, "result": told}, indent=indent).encode())


@given(st.lists(st.tuples(st.integers(0, len(body_of(good())) - 1), st.sampled_from(['"', "0", "x", "f", "G", "{", "]", ",", "", "\\", "\x00", "\xff"]), st.integers(0, 3)), min_size=1, max_size=3))  # fmt: skip
@EXAMPLES
def test_bytes_of_any_kind(changes: list[tuple[int, str, int]]) -> None:
    body = body_of(good())
    for at, by, length in changes:
        body = body[:at] + by.encode("latin-1") + body[at + length :]
    both(body)


# ---------------------------------------------------------------- the object


class Asked:
    """A container that remembers what it was asked."""

    def __init__(self, *held: bytes) -> None:
        self._held = held
        self.asked: list[bytes] = []

    def __contains__(self, value: object) -> bool:
        assert isinstance(value, bytes)
        self.asked.append(value)
        return value in self._held


def test_a_container_is_asked_once_about_each() -> None:
    plain = plain_receipts(HEADER, body_of(good()))
    assert isinstance(plain, PlainMined)
    sources, topics = Asked(EMITTERS[0], EMITTERS[2]), Asked(TOPICS[0])
    assert [log.log_index for log in plain.logs_of(sources, topics)] == [0]
    assert sources.asked == EMITTERS and topics.asked == [TOPICS[0], TOPICS[2], TOPICS[1]]


def test_what_a_container_raises_is_raised() -> None:
    class Broken:
        def __contains__(self, value: object) -> bool:
            raise KeyError(value)

    plain = plain_receipts(HEADER, body_of(good()))
    assert plain is not None
    with pytest.raises(KeyError):
        plain.logs_of(Broken())


def test_a_transaction_that_is_not_there_has_no_logs() -> None:
    plain = plain_receipts(HEADER, body_of(good()))
    assert plain is not None and len(plain.plain) == 3 and plain.logs(3) == ()


def test_arguments_that_are_no_header_are_refused() -> None:
    body = body_of(good())
    for bad in ((b"\x0b" * 31, 1, (HASH,)), (HASH, -1, (HASH,)), (HASH, 1, (b"",)), (HASH, 1, ("0x",))):
        with pytest.raises(sluice_evm.BlockError):
            sluice_evm.BlockReceipts.read(body, *bad)


def test_without_the_extension_python_reads_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "sluice_evm", None)
    assert isinstance(ran(mined_in(deaf(body_of(good())), HEADER)), ToldMined)
