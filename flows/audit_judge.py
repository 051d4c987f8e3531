"""The audit's side that asks: opportunities due become questions to a node, its answers become records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from infra.chain import hexes
from infra.chain.node import Node
from infra.judge.node_judge import NodeJudge
from infra.judge.question import PASSING, Answer, Cannot, Judged, NotJudged, OurCall, Question
from infra.judge.simulate_v1 import NextBlock
from infra.runtime import audit_metrics as metrics
from operators.audit.compare import Ruling, audited, not_audited
from operators.audit.messages import Due, Tick
from operators.audit.waiting import Waiting
from operators.settlement.facts import token_deltas
from schemas.audits import AuditRecord, AuditResult, NodeVerdict
from schemas.config import Config
from schemas.opportunities import VerdictKind

#: Causes of this file's own, beside those of `Cannot`.
HEAD_MISMATCH, OVERRUN = "head_mismatch", "overrun"
TARGETS_UNKNOWN = "targets_unknown"


class AuditJudge:
    """Has a node judge what is due. Used from one thread; the node's answers are waited for, at most a few times the configured timeout."""

    def __init__(self, config: Config, state: tuple[Any, ...] | None = None) -> None:
        """Connects when first used."""
        self._config = config
        self._accounts = frozenset((config.executor.owner, config.executor.address))
        self._waiting = Waiting(config.audit.patience_blocks, state)
        #: Up to this height the node no longer has the state.
        self._pruned = -1
        self._loop = asyncio.new_event_loop()
        url = config.audit.http_url or config.chain.http_url
        # One attempt: what fails is tried again at the next head, and the flow must not stand still meanwhile.
        self._node = Node(url, config.audit.request_timeout_s, attempts=1)
        self._judge = NodeJudge(self._node, config.audit.batch)

    def snapshot(self) -> tuple[Any, ...]:
        """What waits, as plain data."""
        return self._waiting.snapshot()

    def close(self) -> None:
        """Let go of the node."""
        self._loop.run_until_complete(self._node.__aexit__(None, None, None))
        self._loop.close()

    def judge(self, messages: Sequence[Due | Tick]) -> list[AuditRecord]:
        """A record for each opportunity that is settled now; what the node may judge later waits. Never raises for the node."""
        due, given_up = self._waiting.take(messages)
        records = [not_audited(d, AuditResult.NODE_CANNOT, OVERRUN, "too many audits wait") for d in given_up]
        asked: list[tuple[Due, Question]] = []
        for each in due:
            made = self._question(each)
            if isinstance(made, AuditRecord):
                records.append(made)
            else:
                asked.append((each, made))
        answers = self._loop.run_until_complete(self._judge.ask([question for _, question in asked]))
        for (each, _), answer in zip(asked, answers, strict=True):
            record = self._record(each, answer)
            if record is not None:
                records.append(record)
        metrics.WAITING.labels(str(self._config.chain.id)).set(len(self._waiting))
        return records

    # ---------------------------------------------------------------- asking

    def _question(self, due: Due) -> Question | AuditRecord:
        ours = due.opportunity
        if ours.head_number != due.head.number:
            told = f"found on block {ours.head_number}, its event stands on {due.head.number}"
            return not_audited(due, AuditResult.NODE_CANNOT, HEAD_MISMATCH, told)
        if due.head.number <= self._pruned:
            told = f"the node no longer has the state of block {self._pruned}"
            return not_audited(due, AuditResult.NODE_CANNOT, Cannot.STATE_PRUNED.value, told)
        if due.targets is None:
            told = "a transaction that it follows was announced too long ago"
            return not_audited(due, AuditResult.NODE_CANNOT, TARGETS_UNKNOWN, told)
        executor = self._config.executor
        block = NextBlock(
            number=due.head.number + 1,
            timestamp=due.head.next_time,
            base_fee=due.head.base_fee or None,
            gas_limit=hex(due.head.gas_limit),
            coinbase=hexes.show(due.head.coinbase),
            # What the search assumes: the judges must be given the same block.
            prev_randao=hexes.show(bytes(32)),
        )
        call = OurCall(executor.owner, executor.address, ours.data, self._config.decide.max_gas, ours.access_list)
        return Question(due.head.hash, block, due.targets, call)

    # ---------------------------------------------------------------- what comes of it

    def _record(self, due: Due, answer: Answer) -> AuditRecord | None:
        if isinstance(answer, NotJudged):
            return self._unjudged(due, answer)
        record = audited(due, self._ruling(due, answer))
        if record.differs and not due.doubt and self._waiting.keep(due._replace(doubt=record.detail[:500])):
            # Nodes are not always of one mind about their newest block: anvil's simulation can see half of the block that is being mined.
            # A difference counts when it is there again at the next head.
            return None
        if due.doubt and not record.differs:
            metrics.TAKEN_BACK.inc()
        return record

    def _unjudged(self, due: Due, answer: NotJudged) -> AuditRecord | None:
        if answer.cause in PASSING and self._waiting.keep(due):
            return None
        if answer.cause is Cannot.STATE_PRUNED:
            self._pruned = max(self._pruned, due.head.number)
        gone = answer.cause is Cannot.HEAD_UNKNOWN
        result = AuditResult.HEAD_GONE if gone else AuditResult.NODE_CANNOT
        return not_audited(due, result, answer.cause.value, answer.detail)

    def _ruling(self, due: Due, answer: Judged) -> Ruling:
        token = due.opportunity.hops[0].token_in
        verdict = NodeVerdict.SUCCESS if answer.succeeded else NodeVerdict.REVERTED
        if answer.rejected:
            verdict = NodeVerdict.REJECTED
        profit = dict(token_deltas(answer.logs, (token,), self._accounts)).get(token, 0)
        return Ruling(answer.method, verdict, answer.gas_used, profit, answer.base_fee, answer.detail)


def count(audit: AuditRecord) -> None:
    """Put an audit into the metrics."""
    metrics.AUDITS.labels(audit.result.value).inc()
    if audit.node_verdict is NodeVerdict.NONE:
        metrics.CANNOT.labels(audit.cause).inc()
        return
    metrics.BLOCK.labels(str(audit.chain)).set(audit.head_number)
    if audit.verdict is VerdictKind.REFUSED:
        metrics.REFUSED.labels(audit.node_verdict.value).inc()
    elif audit.verdict is VerdictKind.SUCCESS and audit.node_verdict is NodeVerdict.SUCCESS:
        metrics.GAS_DIFFERENCE.observe(audit.node_gas_used - audit.gas_used)
