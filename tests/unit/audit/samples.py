"""Events, decisions and opportunities for the tests of the audit."""

from __future__ import annotations

from typing import Any

import msgspec

from operators.audit.compare import Ruling
from operators.audit.messages import Due, Head
from schemas import blocks, decisions, opportunities, pending
from schemas.audits import NodeVerdict
from schemas.blocks import BlockOp, BlockRecord
from schemas.decisions import DecisionRecord, Target
from schemas.event import Event, assemble
from schemas.ids import with_id
from schemas.opportunities import OpportunityRecord, VerdictKind

CHAIN = 1
BASE_FEE = 10**10
HEAD = Head(b"\x05" * 32, 19_932_148, 1_716_461_975, BASE_FEE, 30_000_000, b"\x95" * 20)
GAS = opportunities.GOLDEN.gas_used
PROFIT = int(opportunities.GOLDEN.gross)


def opportunity(seq: int, index: int = 0, **changes: Any) -> OpportunityRecord:
    return with_id(
        msgspec.structs.replace(opportunities.GOLDEN, chain=CHAIN, seq=seq, index=index, **{"preceding": (), **changes})
    )


def refused_one(seq: int = 8) -> OpportunityRecord:
    return opportunity(seq, verdict=VerdictKind.REFUSED, reason="missing_slot", gas_used=0)


def reverted_one(seq: int = 8) -> OpportunityRecord:
    return opportunity(seq, verdict=VerdictKind.REVERTED, gas_used=0)


def decision(
    seq: int, considered: int, chosen: OpportunityRecord | None = None, targets: tuple[Target, ...] = ()
) -> DecisionRecord:
    call = None
    if chosen is not None:
        assert decisions.GOLDEN.chosen is not None
        call = msgspec.structs.replace(decisions.GOLDEN.chosen, opportunity_id=chosen.id, targets=targets)
    made = msgspec.structs.replace(decisions.GOLDEN, chain=CHAIN, seq=seq, considered=considered, chosen=call)
    return with_id(made)


def _hash(number: int, fork: int = 0) -> bytes:
    return bytes([fork]) + number.to_bytes(31, "big")


def block(seq: int, number: int, op: BlockOp = BlockOp.APPLY, fork: int = 0, parent_fork: int = 0) -> Event:
    record: BlockRecord = msgspec.structs.replace(
        blocks.GOLDEN, chain=CHAIN, seq=seq, parts=1, op=op, number=number, hash=_hash(number, fork),
        parent_hash=_hash(number - 1, parent_fork),
    )  # fmt: skip
    return assemble((record,))


def pending_event(seq: int, raw: bytes = b"\x02raw", tx_hash: bytes = pending.GOLDEN.hash) -> Event:
    return assemble((msgspec.structs.replace(pending.GOLDEN, chain=CHAIN, seq=seq, parts=1, raw=raw, hash=tx_hash),))


def due(made: OpportunityRecord | None = None, head: Head = HEAD, chosen: bool = False) -> Due:
    return Due(made or opportunity(8), head, (), chosen, b"")


def ruling(**changes: Any) -> Ruling:
    """What a node says that agrees with the golden opportunity."""
    return Ruling("eth_simulateV1", NodeVerdict.SUCCESS, GAS, PROFIT, BASE_FEE, "")._replace(**changes)
