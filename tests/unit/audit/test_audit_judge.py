"""From opportunities due to records, with a scripted node: what is not asked at all, and what a pruned node is not asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.audit_judge import AuditJudge
from operators.audit.messages import Due, Tick
from schemas.audits import AuditRecord
from schemas.audits import AuditResult as R
from tests.flow.settled_world import CONFIG
from tests.unit.audit.samples import HEAD, due, opportunity
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode
from tests.unit.judge.test_node_judge import header, sound


def judged(script: Any, *rounds: Sequence[Due | Tick]) -> tuple[list[list[AuditRecord]], ScriptedNode]:
    with ScriptedNode(script) as node:
        config = CONFIG.model_copy(update={"audit": CONFIG.audit.model_copy(update={"http_url": node.url})})
        judge = AuditJudge(config)
        try:
            return [judge.judge(messages) for messages in rounds], node
        finally:
            judge.close()


def at(number: int, **changes: Any) -> Due:
    head = HEAD._replace(number=number, hash=number.to_bytes(32, "big"))
    return due(opportunity(number, head_number=number, **changes), head)


def test_a_judged_one() -> None:
    ((record,),), node = judged(sound, [Tick(104), at(100)])
    assert record.method == "eth_simulateV1" and record.node_gas_used == 200_000
    assert record.result is R.PROFIT_DIFFERS and node.methods["eth_simulateV1"] == 1


def test_what_cannot_be_asked_is_said_without_asking() -> None:
    wrong_head = at(100)._replace(head=HEAD)
    (records,), node = judged(sound, [wrong_head])
    assert [(record.result, record.cause) for record in records] == [(R.NODE_CANNOT, "head_mismatch")]
    assert not node.methods


def test_a_pruned_node_is_not_asked_about_what_is_older() -> None:
    def script(method: str, params: list[Any]) -> Any:
        if method == "eth_simulateV1":
            raise Refusal(-32000, "missing trie node 0xab")
        return sound(method, params)

    rounds, node = judged(script, [at(100)], [at(99), at(100)], [at(101)])
    assert [[record.cause for record in records] for records in rounds] == [
        ["state_pruned"], ["state_pruned"] * 2, ["state_pruned"],
    ]  # fmt: skip
    assert node.methods["eth_simulateV1"] == 2


def test_a_head_the_node_does_not_have_yet_is_waited_for() -> None:
    known = [False]

    def script(method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByHash":
            return header(bytes.fromhex(params[0][2:])) if known[0] else None
        return sound(method, params)

    with ScriptedNode(script) as node:
        config = CONFIG.model_copy(update={"audit": CONFIG.audit.model_copy(update={"http_url": node.url})})
        judge = AuditJudge(config)
        assert judge.judge([Tick(100), at(100)]) == []
        assert judge.judge([Tick(101)]) == []
        again = AuditJudge(config, judge.snapshot())
        known[0] = True
        (record,) = again.judge([Tick(104)])
        assert record.node_gas_used == 200_000
        known[0] = False
        (late,) = judge.judge([Tick(104)])
        assert (late.result, late.cause) == (R.HEAD_GONE, "head_unknown")
        judge.close()
        again.close()


def test_a_difference_counts_when_it_is_there_again() -> None:
    rounds, _ = judged(sound, [Tick(100), at(100)], [Tick(101)])
    assert rounds[0] == [] and rounds[1][0].result is R.PROFIT_DIFFERS
    assert "asked once before: profit" in rounds[1][0].detail
