"""What the extension takes of a node's traces means what Python makes of the same bytes, to the byte; what it does not take, Python judges as ever."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.chain import reads
from infra.chain.answers import BlockTrace
from infra.chain.diffs import PlainDiffs, ToldDiffs, balance_steps, block_diffs
from infra.chain.errors import NodeError
from infra.chain.native import sluice_evm
from infra.chain.node import NOT_JSON, Node
from infra.chain.reads import PlainRead, Read, ToldRead, read_call, read_of
from operators.simulation.packed import pack_states
from tests.shared_data import DATA, recorded
from tests.unit.ingest.told_text import ADDRESSES, batches, block_bodies, singles

pytestmark = pytest.mark.skipif(sluice_evm is None, reason="the extension sluice_evm is not built")

SENDER, NONCE = ADDRESSES[1], 77
HASHES = [bytes([n]) * 32 for n in (0xA1, 0xB2)]
CALL = read_call("debug_traceCall")
BATCH = 3
#: More where somebody has the time.
EXAMPLES = settings(max_examples=300, deadline=None)


class Deaf(Node):
    """A node of which a test knows the answer."""

    body: bytes

    async def _post(self, body: Any, decode: Callable[[bytes], Any], patient: bool) -> Any:
        try:
            return decode(self.body)
        except NOT_JSON as error:
            raise NodeError("no JSON-RPC") from error


@cache
def _node() -> Deaf:
    return Deaf("http://127.0.0.1:1", 1.0)


def deaf(body: bytes) -> Deaf:
    """The one node, which takes long to make, with this answer."""
    _node().body = body
    return _node()


def ran(work: Any) -> Any:
    """What a coroutine that never waits returns, or the kind and text of the error it ends with."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    except NodeError as error:
        return type(error), str(error)
    raise AssertionError("it waits")


def shown(answer: Any) -> Any:
    """All that can be asked of an answer."""
    if isinstance(answer, Exception | tuple):
        return type(answer), str(answer)
    try:
        read = read_of(answer)
    except NodeError as error:
        return type(error), str(error)
    changes = {address: astuple(change) for address, change in read.changes().items()}
    packed = [read.packed(sender, NONCE, pack_states) for sender in ADDRESSES]
    return changes, [(each.packed, dict(each.codes)) for each in packed]


def single(body: bytes, quick: bool) -> Any:
    node = deaf(body)
    return shown(ran(node.answer(CALL if quick else replace(CALL, quick=None), patient=False)))


def batch(body: bytes, quick: bool) -> Any:
    node = deaf(body)
    calls = [CALL if quick else replace(CALL, quick=None)] * BATCH
    try:
        answers = node._decode_batch(body, calls)
    except (*NOT_JSON, NodeError) as error:
        return type(error), str(error)
    return [shown(answer) for answer in answers]


@given(singles)
@EXAMPLES
def test_a_single_answer_is_what_python_says(body: bytes) -> None:
    assert single(body, quick=True) == single(body, quick=False)


@given(batches(BATCH))
@EXAMPLES
def test_a_batch_is_what_python_says(body: bytes) -> None:
    assert batch(body, quick=True) == batch(body, quick=False)


def block(body: bytes, plain: bool, tracked: dict[bytes, frozenset[bytes] | None], patched: pytest.MonkeyPatch) -> Any:
    if not plain:
        patched.setattr("infra.chain.diffs.sluice_evm", None)
    diffs = ran(block_diffs(deaf(body), bytes(32), HASHES))
    patched.undo()
    if isinstance(diffs, tuple) or diffs is None:
        return diffs
    try:
        found = diffs.changes(tracked)
        steps = [balance_steps(diffs, account, 7, 9) for account in ADDRESSES]
        return found, [diffs.balances(account) for account in ADDRESSES], steps
    except NodeError as error:
        return type(error), str(error)


_tracked = st.dictionaries(
    st.sampled_from(ADDRESSES),
    st.one_of(st.none(), st.frozensets(st.integers(0, 40).map(lambda n: n.to_bytes(32, "big")))),
)


@given(block_bodies(HASHES), _tracked)
@EXAMPLES
def test_a_blocks_diffs_are_what_python_says(body: bytes, tracked: dict[bytes, frozenset[bytes] | None]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        assert block(body, True, tracked, patched) == block(body, False, tracked, patched)


# ---------------------------------------------------------------- what is usual is taken


def body_of(result: Any, number: int = 0) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def as_bytes(answer: Any) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def taken(read: Read) -> bool:
    return isinstance(read, PlainRead)


ACCOUNT = {
    "balance": "0x7",
    "nonce": 3,
    "code": "0x" + "5b" * 600,
    "storage": {"0x" + "00" * 32: "0x" + "00" * 31 + "09"},
}
NAME = "0x" + "ab" * 20


def test_an_error_of_one_request_costs_the_others_nothing() -> None:
    error = {"code": -32003, "message": 'insufficient funds for "gas"'}
    answers = [body_of({NAME: ACCOUNT}, 2), {"jsonrpc": "2.0", "id": 0, "error": error}, body_of({NAME: ACCOUNT}, 1)]
    found = deaf(b"")._decode_batch(as_bytes(answers), [CALL] * 3)
    assert str(found[0]) == 'debug_traceCall: insufficient funds for "gas" (code -32003)'
    assert taken(read_of(found[1])) and taken(read_of(found[2]))
    assert batch(as_bytes(answers), quick=True) == batch(as_bytes(answers), quick=False)


def test_an_odd_answer_is_python_s_and_the_others_are_not() -> None:
    answers = [body_of({NAME: ACCOUNT}, 0), body_of({NAME: {"extra": {"deep": [1]}, **ACCOUNT}}, 1), body_of({}, 2)]
    found = [read_of(each) for each in deaf(b"")._decode_batch(as_bytes(answers), [CALL] * 3)]
    assert [type(each) for each in found] == [PlainRead, ToldRead, PlainRead]
    assert found[0].changes() == found[1].changes()


def test_a_code_that_comes_again_is_the_same_object() -> None:
    first, again = (read_of(ran(deaf(as_bytes(body_of({NAME: ACCOUNT}))).answer(CALL))) for _ in range(2))
    assert first.changes()[b"\xab" * 20].code is again.changes()[b"\xab" * 20].code


def test_without_the_extension_python_reads_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_quick", None)
    assert not taken(read_of(ran(deaf(as_bytes(body_of({NAME: ACCOUNT}))).answer(read_call("debug_traceCall")))))


# ---------------------------------------------------------------- recorded

_TESTS = "ethereum__go-ethereum/tracetest_testdata.tar.xz"


def gethtests(kind: str) -> Iterator[tuple[str, Any]]:
    """The answers that geth's own tests of its tracer expect."""
    if not (DATA / _TESTS).is_file():
        pytest.skip(f"recorded data is not here: ../shared/data/{_TESTS}")
    with tarfile.open(DATA / _TESTS) as archive:
        for member in archive:
            file = archive.extractfile(member) if f"{kind}/" in member.name else None
            if file is not None:
                yield member.name, json.load(io.TextIOWrapper(file))["result"]


@pytest.mark.parametrize("kind", ["prestate_tracer", "prestate_tracer_legacy"])
def test_geth_s_own_answers_are_taken(kind: str) -> None:
    for name, result in gethtests(kind):
        body = as_bytes(body_of(result))
        assert taken(read_of(ran(deaf(body).answer(CALL)))), name
        assert single(body, quick=True) == single(body, quick=False), name


def test_geth_s_own_diffs_are_taken() -> None:
    results = [result for _, result in gethtests("prestate_tracer_with_diff_mode")]
    hashes = [bytes([n]) * 32 for n in range(len(results))]
    body = as_bytes(body_of([{"txHash": "0x" + h.hex(), "result": r} for h, r in zip(hashes, results, strict=True)]))
    plain = ran(block_diffs(deaf(body), bytes(32), hashes))
    assert isinstance(plain, PlainDiffs)
    told = ToldDiffs([trace.result for trace in msgspec.json.decode(body, type=_Answer).result if trace.result])
    touched = plain.plain.touched()
    assert plain.changes(dict.fromkeys(touched)) == told.changes(dict.fromkeys(touched)) and len(touched) > 20
    assert all(plain.balances(account) == told.balances(account) for account in touched)


class _Answer(msgspec.Struct):
    result: list[BlockTrace]


@pytest.mark.parametrize("block", ["risechain__pevm/eth_12047794", "risc0__zeth/eth_21230867"])
def test_recorded_states_are_taken(block: str) -> None:
    """Shaped as an answer, with a code for each hash."""
    recording = recorded(f"{block}.json.xz")
    codes = recording["codes"]
    accounts = {
        address: {
            "balance": told["balance"],
            "nonce": int(str(told["nonce"]), 0),
            **({"code": codes[told["code_hash"]]} if told.get("code_hash") in codes else {}),
            **({"storage": told["storage"]} if told.get("storage") else {}),
        }
        for address, told in recording["prestate"].items()
    }
    names = list(accounts)
    answers = [body_of({name: accounts[name] for name in names[at::BATCH]}, at) for at in range(BATCH)]
    for _ in range(2):  # the second time all codes are known
        found = deaf(b"")._decode_batch(as_bytes(answers), [CALL] * BATCH)
        assert all(taken(read_of(each)) for each in found)
        assert batch(as_bytes(answers), quick=True) == batch(as_bytes(answers), quick=False)
