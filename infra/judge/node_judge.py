"""Questions to a node, many per request, by the best method it has. Never raises for what the node does."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.chain import hexes
from infra.chain.blocks import Header, header_by_hash, header_by_number
from infra.chain.errors import HeadMoved, NodeError, NodeLied, NodeTimeout, NodeUnavailable, RpcError
from infra.chain.node import Call, Node, call_of
from infra.chain.transactions import TransactionRefused, call_access_list, decode
from infra.judge import simulate_v1, trace_call
from infra.judge.question import Answer, Cannot, Judged, NotJudged, OurCall, Question
from infra.judge.simulate_v1 import CallResult, Malformed, NextBlock
from schemas.logs import Log

log = logging.getLogger("sluice.judge")

_METHODS = (simulate_v1.METHOD, trace_call.METHOD)
_KEPT_HEADS = 16
#: A method that the node did not have is tried again after so many new heads: nodes are restarted with other settings.
RECHECK_HEADS = 16


@dataclass(frozen=True, slots=True)
class _Known:
    """A head the node has; `base_fee` of the block after it, None where it does not tell."""

    base_fee: int | None


class NodeJudge:
    """Belongs to one event loop."""

    def __init__(self, node: Node, batch: int) -> None:
        """`batch`: most questions of one request."""
        self._node = node
        self._batch = batch
        self._heads: OrderedDict[bytes, _Known] = OrderedDict()
        #: Method -> how many more new heads it is left alone.
        self._missing: dict[str, int] = {}

    async def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer for each. After a request that failed as a whole nothing more is asked: what is left fails for the same reason."""
        answers: list[Answer] = []
        failed: NotJudged | None = None
        for start in range(0, len(questions), self._batch):
            part = questions[start : start + self._batch]
            found = failed or await self._part(part)
            if isinstance(found, NotJudged):
                failed = found
                answers += [found] * len(part)
            else:
                answers += found
        return answers

    async def _part(self, questions: Sequence[Question]) -> list[Answer] | NotJudged:
        """Answers, or why the node as a whole gives none."""
        try:
            heads = {q.head_hash: await self._head(q) for q in questions}
            answers: list[Answer] = []
            ready: list[tuple[int, Question, list[dict[str, Any]]]] = []
            for question in questions:
                head = heads[question.head_hash]
                made = head if isinstance(head, NotJudged) else _calls(question, head)
                if isinstance(made, NotJudged):
                    answers.append(made)
                else:
                    ready.append((len(answers), *made))
                    answers.append(NotJudged(Cannot.METHOD_MISSING, f"the node has none of {', '.join(_METHODS)}"))
            for method in _METHODS:
                if ready and not self._missing.get(method):
                    ready = await self._by(method, ready, answers, heads)
            return answers
        except NodeError as error:
            return _not_judged(error)

    # ---------------------------------------------------------------- heads

    async def _head(self, question: Question) -> _Known | NotJudged:
        found = self._heads.get(question.head_hash)
        if found is None:
            try:
                found = await self._read_head(question)
            except (HeadMoved, RpcError) as error:
                return _not_judged(error)
            self._heads[question.head_hash] = found
            self._missing = {method: left - 1 for method, left in self._missing.items() if left > 1}
            while len(self._heads) > _KEPT_HEADS:
                self._heads.popitem(last=False)
        return found

    async def _read_head(self, question: Question) -> _Known:
        header = await header_by_hash(self._node, question.head_hash)
        if not header.base_fee:
            return _Known(None)
        fee = await self._forecast(header)
        # Looked at afterwards: anvil's history ends with the fee of the block to come, whatever block is asked about.
        child = await header_by_number(self._node, header.number + 1)
        if child is None:
            return _Known(fee)
        return _Known(child.base_fee if child.parent_hash == header.hash else None)

    async def _forecast(self, header: Header) -> int | None:
        """The base fee of the block after the newest one."""
        try:
            history = await self._node.call(Any, "eth_feeHistory", "0x1", hex(header.number), [])
        except RpcError:
            return None
        fees = history.get("baseFeePerGas") if isinstance(history, dict) else None
        # By number, so it may be that of another block: then it says nothing.
        if not isinstance(fees, list) or len(fees) != 2 or fees[0] != hex(header.base_fee):
            return None
        return hexes.uint(fees[1])

    # ---------------------------------------------------------------- the methods

    async def _by(
        self,
        method: str,
        ready: list[tuple[int, Question, list[dict[str, Any]]]],
        answers: list[Answer],
        heads: dict[bytes, _Known | NotJudged],
    ) -> list[tuple[int, Question, list[dict[str, Any]]]]:
        """Fill in answers by one method; what it is missing for is given back."""
        ask = self._simulate if method == simulate_v1.METHOD else self._trace
        results = await ask([(question, calls) for _, question, calls in ready])
        left = []
        for item, result in zip(ready, results, strict=True):
            index, question, _ = item
            if isinstance(result, RpcError) and result.unsupported:
                left.append(item)
                continue
            head = heads[question.head_hash]
            assert isinstance(head, _Known)
            answers[index] = _answer(method, question, result, head)
        if left:
            log.warning("the node does not have %s; it is tried again in %d blocks", method, RECHECK_HEADS)
            self._missing[method] = RECHECK_HEADS
        return left

    async def _simulate(self, asked: list[tuple[Question, list[dict[str, Any]]]]) -> list[Any]:
        requests = [
            call_of(Any, simulate_v1.METHOD, simulate_v1.request(q.next_block, calls), _at(q)) for q, calls in asked
        ]
        return [
            result if isinstance(result, RpcError) else _read_simulated(result, question, len(calls))
            for (question, calls), result in zip(asked, await self._node.batch(requests), strict=True)
        ]

    async def _trace(self, asked: list[tuple[Question, list[dict[str, Any]]]]) -> list[Any]:
        """Targets first, in order: what they do and what they change; then ours on that."""
        states: list[Any] = [{} for _ in asked]
        for step in range(max(len(calls) for _, calls in asked) - 1):
            wanted = [
                (place, question, calls[step])
                for place, (question, calls) in enumerate(asked)
                if step < len(calls) - 1 and isinstance(states[place], dict)
            ]
            every = [call for place, question, target in wanted for call in _of_target(question, target, states[place])]
            told = iter(await self._node.batch(every))
            for place, _, _ in wanted:
                states[place] = _behind_target(states[place], next(told), next(told))
        behind: list[Call] = []
        for (question, calls), state in zip(asked, states, strict=True):
            if isinstance(state, dict):
                options = trace_call.outcome_options(question.next_block, state)
                behind.append(call_of(Any, trace_call.METHOD, calls[-1], _at(question), options))
        ours = iter(await self._node.batch(behind))
        return [_read_traced(next(ours)) if isinstance(state, dict) else state for state in states]


def _of_target(question: Question, target: dict[str, Any], state: dict[str, Any]) -> tuple[Call, Call]:
    block = question.next_block
    outcome, effect = trace_call.outcome_options(block, state), trace_call.effect_options(block, state)
    return (
        call_of(Any, trace_call.METHOD, target, _at(question), outcome),
        call_of(Any, trace_call.METHOD, target, _at(question), effect),
    )


def _at(question: Question) -> dict[str, str]:
    return {"blockHash": hexes.show(question.head_hash)}


def _calls(question: Question, head: _Known) -> tuple[Question, list[dict[str, Any]]] | NotJudged:
    """The question at the base fee that the node computes, and its calls."""
    base_fee = question.next_block.base_fee if head.base_fee is None else head.base_fee
    question = replace(question, next_block=replace(question.next_block, base_fee=base_fee))
    try:
        targets = [decode(target).call() for target in question.targets]
    except TransactionRefused as error:
        return NotJudged(Cannot.TARGET_UNREADABLE, str(error))
    return question, [*targets, _our_call(question.ours, question.next_block)]


def _our_call(ours: OurCall, block: NextBlock) -> dict[str, Any]:
    price = {"gasPrice": "0x0"}
    if block.base_fee is not None:
        price = {"maxFeePerGas": hex(block.base_fee), "maxPriorityFeePerGas": "0x0"}
    return {
        "from": hexes.show(ours.sender),
        "to": hexes.show(ours.to),
        "gas": hex(ours.gas_limit),
        "value": "0x0",
        "input": hexes.show(ours.data),
        **price,
        **({"accessList": call_access_list(ours.access_list)} if ours.access_list else {}),
    }


def _read_simulated(result: Any, question: Question, count: int) -> Any:
    try:
        calls = simulate_v1.read_block(result, question.next_block.number, question.next_block.base_fee, count)
    except Malformed as error:
        return error
    failed = next((call for call in calls[:-1] if not call.succeeded), None)
    return calls[-1] if failed is None else _target_fails(failed)


def _read_traced(result: Any) -> Any:
    if isinstance(result, RpcError):
        return result
    try:
        return trace_call.read_outcome(result)
    except Malformed as error:
        return error


def _behind_target(state: dict[str, Any], outcome: Any, effect: Any) -> Any:
    """State overrides with one more target's effect, or what is to be said instead of judging what stands behind it."""
    for result in (outcome, effect):
        if isinstance(result, RpcError):
            return result
    try:
        result = trace_call.read_outcome(outcome)
        return trace_call.laid(state, trace_call.overrides_of(effect)) if result.succeeded else _target_fails(result)
    except Malformed as error:
        return error


def _target_fails(target: CallResult) -> CallResult:
    return CallResult(False, 0, (), f"the target fails: {target.cause}")


def _answer(method: str, question: Question, result: Any, head: _Known) -> Answer:
    if isinstance(result, RpcError):
        if simulate_v1.is_invalid_transaction(result.code, result.message):
            return Judged(method, False, True, 0, (), head.base_fee, result.message[:300])
        return _not_judged(result)
    if isinstance(result, Malformed):
        return NotJudged(Cannot.MALFORMED, str(result))
    assert isinstance(result, CallResult)
    if result.gas_used > question.ours.gas_limit:
        return NotJudged(Cannot.MALFORMED, f"gas {result.gas_used} above the limit {question.ours.gas_limit}")
    try:
        logs = tuple(_log(item) for item in result.logs)
    except (NodeLied, KeyError, TypeError, AttributeError) as error:
        return NotJudged(Cannot.MALFORMED, f"a log of the simulation: {type(error).__name__} {error}")
    return Judged(method, result.succeeded, False, result.gas_used, logs, head.base_fee, result.cause)


def _log(item: Any) -> Log:
    """A simulated log; its place in the block says nothing."""
    topics = tuple(hexes.hash32(topic) for topic in item["topics"])
    return Log(hexes.address(item["address"]), topics, hexes.data(item["data"]), 0, 0)


def _not_judged(error: NodeError) -> NotJudged:
    return NotJudged(_cause(error), str(error)[:500])


def _cause(error: NodeError) -> Cannot:
    if isinstance(error, NodeTimeout):
        return Cannot.TIMEOUT
    if isinstance(error, NodeUnavailable):
        return Cannot.UNREACHABLE
    if isinstance(error, HeadMoved) or (isinstance(error, RpcError) and error.unknown_block):
        return Cannot.HEAD_UNKNOWN
    if isinstance(error, RpcError) and error.no_state:
        return Cannot.STATE_PRUNED
    if isinstance(error, RpcError) and error.unsupported:
        return Cannot.METHOD_MISSING
    return Cannot.MALFORMED if isinstance(error, NodeLied) else Cannot.RPC_ERROR
