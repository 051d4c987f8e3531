"""Joins each event with what the search said about it: its decision and its opportunities, which come by other topics in any order.

Every event has exactly one decision, which tells how many opportunities there were. So it is known when an event is done with, and an
opportunity for an event that is done with is a repetition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from operators.audit.messages import Due, Head, Tick
from operators.audit.sampling import sampled, threshold
from operators.audit.targets import RecentTargets
from operators.market.heads import Heads
from schemas.blocks import BlockOp, BlockRecord
from schemas.control import ControlRecord
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.opportunities import OpportunityRecord
from schemas.pending import PendingRecord
from schemas.topics import topic

SNAPSHOT_VERSION = 3


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
    seen: dict[bytes, None] = field(default_factory=dict)
    sample: list[OpportunityRecord] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.considered is not None and len(self.seen) >= self.considered


class Join:
    """Pure state machine of one chain."""

    def __init__(self, settings: JoinSettings, state: tuple[Any, ...] | None = None) -> None:
        version, heads, next_seq, contexts, cases, targets = state or (SNAPSHOT_VERSION, (), 0, (), (), ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"audit snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._chain_id = settings.chain_id
        self._below = threshold(settings.rate)
        self._heads = Heads(settings.chain_id, settings.fork, settings.block_seconds, heads)
        #: Events below it have been taken.
        self._next_seq: int = next_seq
        #: The heads that the opportunities of events stand on.
        self._contexts: dict[int, Head] = {seq: Head(*head) for seq, head in contexts}
        self._cases: dict[int, _Case] = {seq: _case_from_plain(plain) for seq, plain in cases}
        self._targets = RecentTargets(state=targets)

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return (
            SNAPSHOT_VERSION,
            self._heads.snapshot(),
            self._next_seq,
            tuple((seq, tuple(head)) for seq, head in self._contexts.items()),
            tuple((seq, _case_to_plain(case)) for seq, case in self._cases.items()),
            self._targets.snapshot(),
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
        elif isinstance(part, PendingRecord):
            self._targets.put(part.hash, part.raw)
        context = self._context(event)
        if context is None:
            # Nothing is searched here, so nothing can be said about it that needs an audit.
            self._cases.pop(event.seq, None)
            return out
        self._contexts[event.seq] = context
        return out + self._settled(event.seq)

    def _context(self, event: Event) -> Head | None:
        part, block = event.parts[0], self._heads.head
        if block is None or isinstance(part, ControlRecord):
            return None
        if isinstance(part, BlockRecord) and part.op is not BlockOp.APPLY:
            return None
        env = self._heads.next_env()
        return Head(block.hash, block.number, env.timestamp, env.base_fee, env.gas_limit, env.coinbase)

    def on_record(self, record: OpportunityRecord | DecisionRecord) -> list[Due | Tick]:
        """Take what the search said, and give out the event's opportunities once all is there."""
        if record.chain != self._chain_id or (record.seq < self._next_seq and record.seq not in self._contexts):
            return []
        case = self._cases.setdefault(record.seq, _Case())
        if isinstance(record, DecisionRecord):
            case.considered = record.considered
            if record.chosen is not None:
                case.chosen, case.data = record.chosen.opportunity_id, record.chosen.data
                for target in record.chosen.targets:
                    self._targets.put(target.hash, target.raw)
        elif record.id not in case.seen:
            case.seen[record.id] = None
            if sampled(record.id, self._below):
                case.sample.append(record)
        return self._settled(record.seq)

    def _settled(self, seq: int) -> list[Due | Tick]:
        case = self._cases.get(seq)
        if case is None or seq not in self._contexts or not case.complete:
            return []
        head = self._contexts.pop(seq)
        del self._cases[seq]
        due: list[Due | Tick] = []
        for opportunity in sorted(case.sample, key=lambda o: o.index):
            chosen = opportunity.id == case.chosen
            follows = (*opportunity.preceding, opportunity.target) if opportunity.target else ()
            due.append(Due(opportunity, head, self._targets.all_of(follows), chosen, case.data if chosen else b""))
        return due


def _case_to_plain(case: _Case) -> tuple[Any, ...]:
    encode = topic(OpportunityRecord.TOPIC).codec.encode
    return case.considered, case.chosen, case.data, tuple(case.seen), tuple(encode(o) for o in case.sample)


def _case_from_plain(plain: tuple[Any, ...]) -> _Case:
    considered, chosen, data, seen, sample = plain
    decode = topic(OpportunityRecord.TOPIC).codec.decode
    return _Case(considered, chosen, data, dict.fromkeys(seen), [decode(encoded) for encoded in sample])
