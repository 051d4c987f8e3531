"""Joins each event with what the search said about it: its decision and its opportunities, which come by other topics in any order.

Every event has exactly one decision, which tells how many opportunities there were. So it is known when an event is done with, and an
opportunity for an event that is done with is a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from operators.audit.messages import Due, Head, Tick
from operators.audit.sampling import sampled, threshold
from operators.market.heads import Heads
from schemas.blocks import BlockOp, BlockRecord
from schemas.control import ControlRecord
from schemas.decisions import DecisionRecord, Target
from schemas.event import Event
from schemas.opportunities import OpportunityRecord
from schemas.pending import PendingRecord
from schemas.topics import topic

SNAPSHOT_VERSION = 2


@dataclass(frozen=True)
class JoinSettings:
    """The chain's facts that the next block follows from, and the share of opportunities to audit, in [0, 1]."""

    chain_id: int
    fork: str
    block_seconds: int
    rate: float


@dataclass
class _Case:
    """What the search said about one event so far. `seen` are ids: what comes twice counts once."""

    considered: int | None = None
    chosen: bytes = b""
    data: bytes = b""
    targets: tuple[Target, ...] = ()
    seen: dict[bytes, None] = field(default_factory=dict)
    sample: list[OpportunityRecord] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.considered is not None and len(self.seen) >= self.considered


#: The head an event's opportunities stand on, and the hash and bytes of its pending transaction (empty: none).
_Context = tuple[Head, bytes, bytes]


class Join:
    """Pure state machine of one chain."""

    def __init__(self, settings: JoinSettings, state: tuple[Any, ...] | None = None) -> None:
        version, heads, next_seq, contexts, cases = state or (SNAPSHOT_VERSION, (), 0, (), ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"audit snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._chain_id = settings.chain_id
        self._below = threshold(settings.rate)
        self._heads = Heads(settings.chain_id, settings.fork, settings.block_seconds, heads)
        #: Events below it have been taken.
        self._next_seq: int = next_seq
        self._contexts: dict[int, _Context] = {seq: (Head(*head), *target) for seq, head, *target in contexts}
        self._cases: dict[int, _Case] = {seq: _case_from_plain(plain) for seq, plain in cases}

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return (
            SNAPSHOT_VERSION,
            self._heads.snapshot(),
            self._next_seq,
            tuple((seq, tuple(head), *target) for seq, (head, *target) in self._contexts.items()),
            tuple((seq, _case_to_plain(case)) for seq, case in self._cases.items()),
        )

    @property
    def events_ahead(self) -> int:
        """How many events wait for their decisions or opportunities."""
        return len(self._contexts)

    @property
    def records_ahead(self) -> int:
        """How many events are only known by what the search said about them."""
        return len(self._cases) - sum(seq in self._contexts for seq in self._cases)

    def on_event(self, event: Event) -> list[Due | Tick]:
        """Take the next event. A tick for a new head, and the opportunities that waited for this event."""
        part = event.parts[0]
        out: list[Due | Tick] = []
        self._next_seq = event.seq + 1
        if isinstance(part, BlockRecord):
            self._heads.move(part)
            if part.op is BlockOp.APPLY:
                out.append(Tick(part.number))
        context = self._context(event)
        if context is None:
            # Nothing is searched here, so nothing can be said about it that needs an audit.
            self._cases.pop(event.seq, None)
            return out
        self._contexts[event.seq] = context
        return out + self._settled(event.seq)

    def _context(self, event: Event) -> _Context | None:
        part, block = event.parts[0], self._heads.head
        if block is None or isinstance(part, ControlRecord):
            return None
        if isinstance(part, BlockRecord) and part.op is not BlockOp.APPLY:
            return None
        env = self._heads.next_env()
        head = Head(block.hash, block.number, env.timestamp, env.base_fee, env.gas_limit, env.coinbase)
        return (head, part.hash, part.raw) if isinstance(part, PendingRecord) else (head, b"", b"")

    def on_record(self, record: OpportunityRecord | DecisionRecord) -> list[Due | Tick]:
        """Take what the search said, and give out the event's opportunities once all is there."""
        if record.chain != self._chain_id or (record.seq < self._next_seq and record.seq not in self._contexts):
            return []
        case = self._cases.setdefault(record.seq, _Case())
        if isinstance(record, DecisionRecord):
            case.considered = record.considered
            if record.chosen is not None:
                case.chosen, case.data = record.chosen.opportunity_id, record.chosen.data
                case.targets = record.chosen.targets
        elif record.id not in case.seen:
            case.seen[record.id] = None
            if sampled(record.id, self._below):
                case.sample.append(record)
        return self._settled(record.seq)

    def _settled(self, seq: int) -> list[Due | Tick]:
        case = self._cases.get(seq)
        if case is None or seq not in self._contexts or not case.complete:
            return []
        head, target, raw = self._contexts.pop(seq)
        del self._cases[seq]
        due: list[Due | Tick] = []
        for opportunity in sorted(case.sample, key=lambda o: o.index):
            chosen = opportunity.id == case.chosen
            known = case.targets or (Target(target, raw),)
            due.append(Due(opportunity, head, _targets(opportunity, known), chosen, case.data if chosen else b""))
        return due


def _targets(opportunity: OpportunityRecord, known: Sequence[Target]) -> tuple[bytes, ...] | None:
    """The bytes of all that an opportunity follows, where they are among the first that are known."""
    if not opportunity.target:
        return ()
    wanted = (*opportunity.preceding, opportunity.target)
    first = known[: len(wanted)]
    return tuple(one.raw for one in first) if tuple(one.hash for one in first) == wanted else None


def _case_to_plain(case: _Case) -> tuple[Any, ...]:
    encode = topic(OpportunityRecord.TOPIC).codec.encode
    targets = tuple((target.hash, target.raw) for target in case.targets)
    return case.considered, case.chosen, case.data, targets, tuple(case.seen), tuple(encode(o) for o in case.sample)


def _case_from_plain(plain: tuple[Any, ...]) -> _Case:
    considered, chosen, data, targets, seen, sample = plain
    decode = topic(OpportunityRecord.TOPIC).codec.decode
    known = tuple(Target(tx_hash, raw) for tx_hash, raw in targets)
    return _Case(considered, chosen, data, known, dict.fromkeys(seen), [decode(encoded) for encoded in sample])
