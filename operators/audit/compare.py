"""The comparison of the two judges."""

from __future__ import annotations

from typing import NamedTuple

from operators.audit.messages import Due
from schemas.audits import AuditRecord, AuditResult, NodeVerdict
from schemas.ids import with_id
from schemas.opportunities import VerdictKind
from schemas.types import ZERO_HASH, Signed, Wide

#: What can differ, gravest first, and the result named for it.
_RESULTS = {
    "success": AuditResult.SUCCESS_DIFFERS,
    "profit": AuditResult.PROFIT_DIFFERS,
    "gas": AuditResult.GAS_DIFFERS,
    "base_fee": AuditResult.BASE_FEE_DIFFERS,
}


class Ruling(NamedTuple):
    """What the node makes of an opportunity: gas units, profit in base units of the anchor token, base fee of the next block in wei per
    gas (None where it does not tell), `detail` a sentence on a failure."""

    method: str
    verdict: NodeVerdict
    gas_used: int
    profit: int
    base_fee: int | None
    detail: str


def differences(due: Due, ruling: Ruling) -> tuple[str, ...]:
    """What differs between our engine and the node, gravest first. What our engine refused cannot differ.

    Gas and profit are compared where both succeed: for all else our engine records neither.
    """
    ours = due.opportunity
    if ours.verdict is VerdictKind.REFUSED:
        return ()
    succeeds, theirs = ours.verdict is VerdictKind.SUCCESS, ruling.verdict is NodeVerdict.SUCCESS
    both = succeeds and theirs
    found = {
        "success": succeeds != theirs,
        "profit": both and int(ours.gross) != ruling.profit,
        "gas": both and ours.gas_used != ruling.gas_used,
        "base_fee": ruling.base_fee is not None and ruling.base_fee != due.head.base_fee,
    }
    return tuple(name for name, differs in found.items() if differs)


def audited(due: Due, ruling: Ruling) -> AuditRecord:
    """The record of an opportunity that the node judged."""
    differs = differences(due, ruling)
    refused = due.opportunity.verdict is VerdictKind.REFUSED
    result = _RESULTS[differs[0]] if differs else AuditResult.ENGINE_REFUSED if refused else AuditResult.EQUAL
    return _record(due, ruling, result, differs, due.opportunity.reason if refused else "", _told(due, ruling, differs))


def not_audited(due: Due, result: AuditResult, cause: str, detail: str) -> AuditRecord:
    """The record of an opportunity that the node did not judge: `NODE_CANNOT` or `HEAD_GONE`, and why."""
    return _record(due, Ruling("", NodeVerdict.NONE, 0, 0, None, ""), result, (), cause, detail)


def _told(due: Due, ruling: Ruling, differs: tuple[str, ...]) -> str:
    ours = due.opportunity
    figures = {
        "success": (ruling.verdict.value, ours.verdict.value),
        "profit": (ruling.profit, int(ours.gross)),
        "gas": (ruling.gas_used, ours.gas_used),
        "base_fee": (ruling.base_fee, due.head.base_fee),
    }
    parts = [f"{name} {figures[name][0]} by the node, {figures[name][1]} by our engine" for name in differs]
    first = f"asked once before: {due.doubt}" if due.doubt else ""
    return "; ".join(part for part in (*parts, ruling.detail, first) if part)


def _record(
    due: Due, ruling: Ruling, result: AuditResult, differs: tuple[str, ...], cause: str, detail: str
) -> AuditRecord:
    ours = due.opportunity
    return with_id(
        AuditRecord(
            id=ZERO_HASH,
            chain=ours.chain,
            seq=ours.seq,
            opportunity_id=ours.id,
            index=ours.index,
            head_number=ours.head_number,
            head_hash=due.head.hash,
            strategy=ours.strategy,
            target=ours.target,
            chosen=due.chosen,
            token=ours.hops[0].token_in,
            verdict=ours.verdict,
            gas_used=ours.gas_used,
            profit=Wide(ours.gross),
            base_fee=due.head.base_fee,
            method=ruling.method,
            node_verdict=ruling.verdict,
            node_gas_used=ruling.gas_used,
            node_profit=Signed(ruling.profit),
            node_base_fee=ruling.base_fee or 0,
            result=result,
            differs=differs,
            cause=cause[:64],
            detail=detail[:2000],
        )
    )
