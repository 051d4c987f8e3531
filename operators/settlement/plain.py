"""Settlement's facts as plain data and back: what a snapshot holds, so that a moved class does not stop a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operators.settlement.facts import BlockFacts, OwnTransaction
from operators.settlement.outcome import Mined, Sent
from schemas.blocks import BlockOp
from schemas.decisions import EventKind
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import SubmissionStatus
from schemas.types import Signed, Wide

_WIDE = ("predicted_gross", "predicted_gas_cost", "predicted_tip", "realised_gas_cost", "realised_tip")
_SIGNED = ("predicted_net", "realised_gross", "realised_net", "error")


def sent_to_plain(sent: Iterable[Sent]) -> tuple[Any, ...]:
    """Submissions as tuples."""
    return tuple((s.relay, s.status.value, s.tx_hash, s.bundle_hash) for s in sent)


def sent_from_plain(plain: tuple[Any, ...]) -> list[Sent]:
    """Inverse of `sent_to_plain`."""
    return [Sent(relay, SubmissionStatus(status), tx, bundle) for relay, status, tx, bundle in plain]


def blocks_to_plain(blocks: Iterable[BlockFacts]) -> tuple[Any, ...]:
    """Blocks as tuples."""
    return tuple((*b[:1], b.op.value, *b[2:5], tuple(map(tuple, b.own)), *b[6:]) for b in blocks)


def blocks_from_plain(plain: tuple[Any, ...]) -> list[BlockFacts]:
    """Inverse of `blocks_to_plain`."""
    return [
        BlockFacts(seq, BlockOp(op), number, block_hash, fee, tuple(_own(o) for o in own), moved, prefixes)
        for seq, op, number, block_hash, fee, own, moved, prefixes in plain
    ]


def mined_to_plain(mined: Iterable[Mined]) -> tuple[Any, ...]:
    """Mined transactions as tuples."""
    return tuple((m.number, m.block_hash, m.base_fee, tuple(m.transaction)) for m in mined)


def mined_from_plain(plain: tuple[Any, ...]) -> list[Mined]:
    """Inverse of `mined_to_plain`."""
    return [Mined(number, block_hash, fee, _own(own)) for number, block_hash, fee, own in plain]


def row_to_plain(row: SettlementRecord) -> tuple[Any, ...]:
    """A row's fields in the order of the record."""
    values = (getattr(row, name) for name in row.__struct_fields__)
    return tuple(
        value.value if isinstance(value, EventKind | Outcome) else int(value) if isinstance(value, int) else value
        for value in values
    )


def row_from_plain(plain: tuple[Any, ...]) -> SettlementRecord:
    """Inverse of `row_to_plain`."""
    fields = dict(zip(SettlementRecord.__struct_fields__, plain, strict=True))
    fields["event"], fields["outcome"] = EventKind(fields["event"]), Outcome(fields["outcome"])
    for names, kind in ((_WIDE, Wide), (_SIGNED, Signed)):
        for name in names:
            fields[name] = None if fields[name] is None else kind(fields[name])
    return SettlementRecord(**fields)


def _own(plain: tuple[Any, ...]) -> OwnTransaction:
    own = OwnTransaction(*plain)
    return own._replace(deltas=tuple((token, delta) for token, delta in own.deltas))
