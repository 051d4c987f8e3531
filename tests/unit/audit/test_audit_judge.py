"""From opportunities due to records, with a scripted node: what is not asked at all, and what a pruned node is not asked again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from flows.audit_judge import AuditJudge
from flows.audit_pools import PoolBook
from operators.audit.messages import Due, Tick
from operators.pools.base import Pool
from schemas import pools
from schemas.audits import AuditRecord
from schemas.audits import AuditResult as R
from schemas.opportunities import Hop
from schemas.pools import PoolRecord
from tests.flow.settled_world import CONFIG
from tests.unit.audit.samples import HEAD, due, opportunity
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode
from tests.unit.judge.test_node_judge import header, sound


def encode(amount_in: int, min_profit: int, hops: Sequence[tuple[Hop, Pool]]) -> bytes:
    if amount_in == 13:
        raise ValueError("no_executor:thirteen")
    return b"\x01".join(pool.address for _, pool in hops)


class _Log:
    """A log of pools that counts how often it is read."""

    def __init__(self, *addresses: bytes) -> None:
        self.reads = 0
        self._addresses = addresses

    def __call__(self) -> Iterable[PoolRecord]:
        self.reads += 1
        for address in self._addresses:
            state = pools.pack_plain((address, b"\x9e" * 20, b"\xa0" * 20, 3000, 10**20, 10**20, ""))
            yield msgspec.structs.replace(pools.GOLDEN, address=address, state=state)
        # What was refused before it had a state.
        yield msgspec.structs.replace(pools.GOLDEN, address=b"\x07" * 20, state=b"")


@pytest.fixture
def book() -> PoolBook:
    return PoolBook(_Log(b"\x06" * 20, b"\x07" * 20))


def judged(script: Any, book: PoolBook, *rounds: Sequence[Due | Tick]) -> tuple[list[list[AuditRecord]], ScriptedNode]:
    with ScriptedNode(script) as node:
        config = CONFIG.model_copy(update={"audit": CONFIG.audit.model_copy(update={"http_url": node.url})})
        judge = AuditJudge(config, encode, book)
        try:
            return [judge.judge(messages) for messages in rounds], node
        finally:
            judge.close()


def at(number: int, **changes: Any) -> Due:
    head = HEAD._replace(number=number, hash=number.to_bytes(32, "big"))
    return due(opportunity(number, head_number=number, **changes), head)


def test_a_judged_one(book: PoolBook) -> None:
    ((record,),), node = judged(sound, book, [at(100)])
    assert record.method == "eth_simulateV1" and record.node_gas_used == 200_000
    assert record.result is R.PROFIT_DIFFERS and node.methods["eth_simulateV1"] == 1


def test_what_cannot_be_asked_is_said_without_asking(book: PoolBook) -> None:
    hops = opportunity(1).hops
    strange = (msgspec.structs.replace(hops[0], pool=b"\x66" * 20), hops[1])
    thirteen = (msgspec.structs.replace(hops[0], amount_in=hops[0].amount_in.__class__(13)), hops[1])
    wrong_head = at(100)._replace(head=HEAD)
    (records,), node = judged(sound, book, [at(100, hops=strange), at(101, hops=thirteen), wrong_head])
    assert [record.cause for record in records] == ["pool_unknown", "not_encodable", "head_mismatch"]
    assert {record.result for record in records} == {R.NODE_CANNOT} and not node.methods
    assert "0x6666" in records[0].detail and "thirteen" in records[1].detail


def test_a_pruned_node_is_not_asked_about_what_is_older(book: PoolBook) -> None:
    def script(method: str, params: list[Any]) -> Any:
        if method == "eth_simulateV1":
            raise Refusal(-32000, "missing trie node 0xab")
        return sound(method, params)

    rounds, node = judged(script, book, [at(100)], [at(99), at(100)], [at(101)])
    assert [[record.cause for record in records] for records in rounds] == [
        ["state_pruned"], ["state_pruned"] * 2, ["state_pruned"],
    ]  # fmt: skip
    assert node.methods["eth_simulateV1"] == 2


def test_a_head_the_node_does_not_have_yet_is_waited_for(book: PoolBook) -> None:
    known = [False]

    def script(method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByHash":
            return header(bytes.fromhex(params[0][2:])) if known[0] else None
        return sound(method, params)

    with ScriptedNode(script) as node:
        config = CONFIG.model_copy(update={"audit": CONFIG.audit.model_copy(update={"http_url": node.url})})
        judge = AuditJudge(config, encode, book)
        assert judge.judge([Tick(100), at(100)]) == []
        assert judge.judge([Tick(101)]) == []
        again = AuditJudge(config, encode, book, judge.snapshot())
        known[0] = True
        (record,) = again.judge([Tick(102)])
        assert record.node_gas_used == 200_000
        known[0] = False
        (late,) = judge.judge([Tick(104)])
        assert (late.result, late.cause) == (R.HEAD_GONE, "head_unknown")
        judge.close()
        again.close()


def test_the_log_is_read_once_for_what_is_not_known() -> None:
    log = _Log(b"\x06" * 20, b"\x07" * 20)
    book = PoolBook(log)
    assert set(book.look_up([b"\x06" * 20, b"\x07" * 20])) == {b"\x06" * 20, b"\x07" * 20}
    assert set(book.look_up([b"\x07" * 20])) == {b"\x07" * 20} and log.reads == 1
    assert book.look_up([b"\x66" * 20]) == {} and log.reads == 2
