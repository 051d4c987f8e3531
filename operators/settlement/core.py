"""One shard of settlement: decisions, submissions and blocks joined by decision, expired by block height.

Records of the three streams arrive in any order relative to each other; the last row of a decision does not depend on it, as
long as records are not more than `history_blocks` behind the blocks they speak of. A row is stated when something is known
that makes it final for now, and restated when a reorg or a late record changes it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from operators.settlement.facts import BlockFacts
from operators.settlement.outcome import (
    Mined,
    Open,
    Sent,
    best_first,
    better,
    explain_error,
    realise,
    without_inclusion,
)
from operators.settlement.plain import (
    blocks_from_plain,
    blocks_to_plain,
    mined_from_plain,
    mined_to_plain,
    row_from_plain,
    row_to_plain,
    sent_from_plain,
    sent_to_plain,
)
from schemas.blocks import BlockOp
from schemas.decisions import DecisionRecord, EventKind
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import SubmissionRecord, SubmissionStatus
from schemas.types import Signed, Wide

SNAPSHOT_VERSION = 3
#: How many of our newest mined (and retracted) transactions are known beyond the recent blocks: a search flow that crashed
#: with a bundle under way may announce its decision hours later.
KEEP_OWN = 1024
#: How many forgotten decisions are recognised when they are announced again, and the bytes of the id kept of each.
KEEP_CLOSED = 8192
_CLOSED_BYTES = 8
_ON_CHAIN = (Outcome.INCLUDED, Outcome.REVERTED)


@dataclass(frozen=True)
class SettlementSettings:
    """`patience_blocks` after its target block a decision that is not on chain is settled; `history_blocks` after it, it is
    forgotten (never less than the depth of reorgs the flow can follow)."""

    chain_id: int
    patience_blocks: int
    history_blocks: int


@dataclass
class _Case:
    """A decision with all that is known of it. `cancelled` is why it was called off, if it was; `stated` is the last row; `born` the highest block when it was first heard
    of, None while there was no block."""

    born: int | None
    decision: Open | None = None
    sent: dict[str, Sent] = field(default_factory=dict)
    cancelled: str = ""
    stated: SettlementRecord | None = None


class SettlementShard:
    """The cases of one shard, the recent blocks, and our newest transactions in them."""

    def __init__(self, settings: SettlementSettings, state: tuple[Any, ...] | None = None) -> None:
        self._settings = settings
        self._cases: dict[bytes, _Case] = {}
        self._closed: dict[bytes, None] = {}
        #: Cases past their history that never had a submission: one may come yet, from a search flow that was down.
        self._dormant: dict[bytes, None] = {}
        self._blocks: list[BlockFacts] = []
        self._mined: dict[bytes, Mined] = {}
        #: Transactions of ours in reverted blocks, with the height they had.
        self._retracted: dict[bytes, int] = {}
        self._highest: int | None = None
        #: Indexes over the cases, not saved: by target block, and by the height at which a case may be forgotten.
        self._targets: dict[int, dict[bytes, None]] = {}
        self._due: list[tuple[int, bytes]] = []
        if state is not None:
            self._restore(state)

    # ---------------------------------------------------------------- input

    def on_decision(self, record: DecisionRecord) -> Iterator[SettlementRecord]:
        """A decision. One that chose nothing is settled at once and not kept."""
        if record.chosen is None:
            yield _nothing_chosen(record)
            return
        case = self._case(record.id)
        if case is None or case.decision is not None:
            return
        case.decision = _open(record)
        self._targets.setdefault(record.target_block, {})[record.id] = None
        yield from self._state(case)

    def on_cancel(self, decision_id: bytes, reason: str = "head_reverted") -> Iterator[SettlementRecord]:
        """A decision was called off: the head that it was made on has been reverted, or what it follows was replaced."""
        case = self._case(decision_id)
        if case is None or case.cancelled:
            return
        case.cancelled = reason
        yield from self._state(case)

    def on_submission(self, record: SubmissionRecord) -> Iterator[SettlementRecord]:
        """A submission's outcome at the edge. A repetition after a restart may know less: the better answer stays."""
        if _answers_a_cancel(record):
            return  # that the decision is void, the decision that cancels it says
        case = self._case(record.decision_id)
        if case is None:
            return
        known = case.sent.get(record.relay)
        sent = better(known, Sent(record.relay, record.status, record.tx_hash, record.bundle_hash))
        if sent == known:
            return
        case.sent[record.relay] = sent
        yield from self._state(case)

    def on_block(self, facts: BlockFacts) -> Iterator[SettlementRecord]:
        """A block applied or reverted. Raises `ValueError` where a revert does not name the head."""
        if facts.op is BlockOp.REVERT:
            self._revert(facts)
        else:
            self._apply(facts)
        # Beyond the horizon a case is final; ahead of the next block nothing can have happened to it.
        for target in range(self._horizon() + 1, (self._highest or 0) + 2):
            for decision_id in sorted(self._targets.get(target, ())):
                yield from self._state(self._cases[decision_id])
        yield from self._forget()

    # ---------------------------------------------------------------- the chain

    def _apply(self, facts: BlockFacts) -> None:
        self._blocks.append(facts)
        self._highest = facts.number if self._highest is None else max(self._highest, facts.number)
        horizon = self._horizon()
        while self._blocks[0].number <= horizon:
            del self._blocks[0]
        for transaction in facts.own:
            self._mined[transaction.tx_hash] = Mined(facts.number, facts.block_hash, facts.base_fee, transaction)
            self._retracted.pop(transaction.tx_hash, None)
        _keep_newest(self._mined, KEEP_OWN)

    def _revert(self, facts: BlockFacts) -> None:
        if self._blocks:
            if self._blocks[-1].block_hash != facts.block_hash:
                raise ValueError(f"revert of block {facts.number} (0x{facts.block_hash.hex()}), which is not the head")
            self._blocks.pop()
        for tx_hash in [h for h, mined in self._mined.items() if mined.block_hash == facts.block_hash]:
            self._retracted[tx_hash] = self._mined.pop(tx_hash).number
        _keep_newest(self._retracted, KEEP_OWN)

    def _horizon(self) -> int:
        """The height at and below which nothing changes any more."""
        return -1 if self._highest is None else self._highest - self._settings.history_blocks

    def _block(self, number: int) -> BlockFacts | None:
        """The chain's block of that height, if it is a recent one."""
        return next((block for block in reversed(self._blocks) if block.number == number), None)

    def _patience_over(self, decision: Open) -> bool:
        head = self._blocks[-1].number if self._blocks else -1
        return (
            head >= decision.target_block + self._settings.patience_blocks or decision.target_block <= self._horizon()
        )

    # ---------------------------------------------------------------- cases

    def _case(self, decision_id: bytes) -> _Case | None:
        """The decision's case, opened if need be; None if it was settled for good long ago."""
        case = self._cases.get(decision_id)
        if case is None and decision_id[:_CLOSED_BYTES] not in self._closed:
            case = self._cases[decision_id] = _Case(self._highest)
            heapq.heappush(self._due, (_age(case), decision_id))
        return case

    def _forget(self) -> Iterator[SettlementRecord]:
        horizon = self._horizon()
        while self._due and self._due[0][0] <= horizon:
            _, decision_id = heapq.heappop(self._due)
            case = self._cases[decision_id]
            if case.born is None:
                # Heard of before the first block; if its block is older than that, nothing will come of it.
                case.born = self._highest
                yield from self._state(case)
            if (age := _age(case)) > horizon:
                heapq.heappush(self._due, (age, decision_id))
                continue
            self._let_go(decision_id, case)
        while len(self._dormant) > KEEP_OWN:
            oldest = next(iter(self._dormant))
            del self._dormant[oldest], self._cases[oldest]
            self._closed[oldest[:_CLOSED_BYTES]] = None
        _keep_newest(self._closed, KEEP_CLOSED)

    def _let_go(self, decision_id: bytes, case: _Case) -> None:
        if case.decision is None:
            # There is no row yet, so the decision may still come and get its first.
            del self._cases[decision_id]
            return
        self._drop_target(case.decision)
        if case.sent:
            del self._cases[decision_id]
            self._closed[decision_id[:_CLOSED_BYTES]] = None
        else:
            self._dormant[decision_id] = None

    def _drop_target(self, decision: Open) -> None:
        ids = self._targets[decision.target_block]
        del ids[decision.decision_id]
        if not ids:
            del self._targets[decision.target_block]

    # ---------------------------------------------------------------- rows

    def _state(self, case: _Case) -> Iterator[SettlementRecord]:
        """The case's row, if what is known now says something else than the last one."""
        row = None if case.decision is None else self._row(case.decision, case)
        if row is None:
            return
        if case.stated is not None:
            row = msgspec.structs.replace(row, revision=case.stated.revision)
            if row == case.stated:
                return
            row = msgspec.structs.replace(row, revision=case.stated.revision + 1)
        case.stated = row
        yield row

    def _row(self, decision: Open, case: _Case) -> SettlementRecord | None:
        sent = best_first(list(case.sent.values()))
        for submission in sent:
            if mined := self._mined.get(submission.tx_hash):
                return self._on_chain(decision, mined, submission, case.stated)
        retracted = [self._retracted[s.tx_hash] for s in sent if s.tx_hash in self._retracted]
        if case.stated is not None and case.stated.outcome in _ON_CHAIN and not retracted:
            return case.stated  # so long on chain that the transaction itself is not kept any more
        over = self._patience_over(decision)
        outcome, reason = without_inclusion(decision, sent, case.cancelled, self._block(decision.target_block))
        final_at = decision.target_block + self._settings.patience_blocks
        if retracted:
            # It was on chain and is not any more: that, and not what became of the bundle after, is its end.
            reason = reason if over else "block_reverted"
            return _without(decision, sent, Outcome.REORGED, reason, final_at if over else retracted[0])
        if sent and all(s.status is SubmissionStatus.DRY_RUN for s in sent):
            return _without(decision, sent, outcome, reason, decision.target_block - 1)
        return _without(decision, sent, outcome, reason, final_at) if over else None

    def _on_chain(self, decision: Open, mined: Mined, sent: Sent, stated: SettlementRecord | None) -> SettlementRecord:
        realised = realise(decision, mined)
        block = self._block(mined.number)
        reason = explain_error(decision, mined, realised, block)
        if block is None and stated is not None and stated.block_hash == mined.block_hash:
            reason = stated.reason  # explained while the block's facts were there
        return _record(
            decision,
            outcome=Outcome.INCLUDED if mined.transaction.status == 1 else Outcome.REVERTED,
            reason=reason,
            settled_at=mined.number,
            block_number=mined.number,
            block_hash=mined.block_hash,
            bundle_hash=sent.bundle_hash,
            tx_hash=sent.tx_hash,
            realised_gross=Signed(realised.gross),
            realised_gas_cost=Wide(realised.gas_cost),
            realised_tip=Wide(realised.tip),
            realised_net=Signed(realised.net),
            error=Signed(realised.net - decision.net),
        )

    # ---------------------------------------------------------------- saved state

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        cases = tuple(
            (
                decision_id,
                case.born,
                None if case.decision is None else tuple(case.decision),
                sent_to_plain(case.sent.values()),
                case.cancelled,
                None if case.stated is None else row_to_plain(case.stated),
            )
            for decision_id, case in self._cases.items()
        )
        return (
            SNAPSHOT_VERSION,
            cases,
            b"".join(self._closed),
            tuple(self._dormant),
            blocks_to_plain(self._blocks),
            mined_to_plain(self._mined.values()),
            tuple(self._retracted.items()),
            self._highest,
        )

    def _restore(self, state: tuple[Any, ...]) -> None:
        if state[0] != SNAPSHOT_VERSION:
            raise ValueError(f"settlement snapshot of version {state[0]}, this code reads {SNAPSHOT_VERSION}")
        _, cases, closed, dormant, blocks, mined, retracted, self._highest = state
        self._dormant = dict.fromkeys(dormant)
        for decision_id, born, decision, sent, cancelled, stated in cases:
            case = _Case(
                born,
                None if decision is None else Open(*decision),
                {s.relay: s for s in sent_from_plain(sent)},
                cancelled,
                None if stated is None else row_from_plain(stated),
            )
            self._cases[decision_id] = case
            if decision_id in self._dormant:
                continue
            self._due.append((_age(case), decision_id))
            if case.decision is not None:
                self._targets.setdefault(case.decision.target_block, {})[decision_id] = None
        heapq.heapify(self._due)
        self._closed = {closed[i : i + _CLOSED_BYTES]: None for i in range(0, len(closed), _CLOSED_BYTES)}
        self._blocks = blocks_from_plain(blocks)
        self._mined = {m.transaction.tx_hash: m for m in mined_from_plain(mined)}
        self._retracted = dict(retracted)


def _age(case: _Case) -> int:
    """The height from which the history of a case counts."""
    return max(-1 if case.born is None else case.born, case.decision.target_block if case.decision else -1)


def _answers_a_cancel(record: SubmissionRecord) -> bool:
    """Whether a relay answered the request to cancel: such a record names no bundle, as only a dry run and a bundle that
    could not be built do besides."""
    return not record.bundle_hash and record.status not in (SubmissionStatus.DRY_RUN, SubmissionStatus.NOT_CERTIFIED)


def _keep_newest(table: dict[bytes, Any], count: int) -> None:
    for key in list(table)[: max(0, len(table) - count)]:
        del table[key]


def _open(record: DecisionRecord) -> Open:
    call = record.chosen
    assert call is not None
    return Open(
        record.id, record.chain, record.seq, record.event.value, record.target_block,
        tuple(target.hash for target in call.targets), call.sender,
        tuple(hop.pool for hop in call.hops), call.hops[0].token_in, int(call.rate.wei), int(call.rate.units),
        call.gas_used, int(call.gross_wei), int(call.gas_cost), int(call.tip), int(call.net),
    )  # fmt: skip


def _without(decision: Open, sent: list[Sent], outcome: Outcome, reason: str, settled_at: int) -> SettlementRecord:
    """A row of a decision that is not on chain."""
    return _record(
        decision,
        outcome=outcome,
        reason=reason,
        settled_at=settled_at,
        block_number=0,
        block_hash=b"",
        bundle_hash=sent[0].bundle_hash if sent else b"",
        tx_hash=sent[0].tx_hash if sent else b"",
        realised_gross=None,
        realised_gas_cost=None,
        realised_tip=None,
        realised_net=None,
        error=None,
    )


def _record(decision: Open, **fields: Any) -> SettlementRecord:
    return SettlementRecord(
        decision_id=decision.decision_id,
        chain=decision.chain,
        seq=decision.seq,
        event=EventKind(decision.event),
        revision=0,
        detail="",
        target_block=decision.target_block,
        predicted_gross=Wide(decision.gross),
        predicted_gas_cost=Wide(decision.gas_cost),
        predicted_tip=Wide(decision.tip),
        predicted_net=Signed(decision.net),
        **fields,
    )


def _nothing_chosen(record: DecisionRecord) -> SettlementRecord:
    zero = Wide(0)
    return SettlementRecord(
        decision_id=record.id, chain=record.chain, seq=record.seq, event=record.event, revision=0,
        outcome=Outcome.NOT_INCLUDED, reason="nothing_chosen", detail=",".join(record.reasons)[:2000],
        settled_at=record.head_number, target_block=0, block_number=0, block_hash=b"", bundle_hash=b"", tx_hash=b"",
        predicted_gross=zero, predicted_gas_cost=zero, predicted_tip=zero, predicted_net=Signed(0), realised_gross=None,
        realised_gas_cost=None, realised_tip=None, realised_net=None, error=None,
    )  # fmt: skip
