"""Events before they have a number, and the stamping that gives them one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

import msgspec

from schemas.record import Record, Sequenced
from schemas.witness import WitnessRecord


@dataclass(frozen=True)
class Draft:
    """The records of one event in part order, unstamped, with the contract codes its witness could carry (by keccak). `beside` are records
    that have no place in the order and are written in the event's transaction."""

    records: tuple[Sequenced, ...]
    codes: Mapping[bytes, bytes] = field(default_factory=dict)
    beside: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Stamped:
    """Records ready to be written, the number after them, and the code hashes that are published once they are written."""

    records: tuple[Record, ...]
    next_seq: int
    published: frozenset[bytes]


def stamp(drafts: Iterable[Draft], next_seq: int, published: Set[bytes]) -> Stamped:
    """Number the events from `next_seq` on. A code goes with the first witness that needs it and is not `published` yet."""
    records: list[Record] = []
    fresh: set[bytes] = set()
    for draft in drafts:
        parts = len(draft.records)
        for part, record in enumerate(draft.records):
            if isinstance(record, WitnessRecord):
                wanted = [h for h in sorted(draft.codes) if h not in published and h not in fresh]
                record = msgspec.structs.replace(record, codes=tuple(draft.codes[h] for h in wanted))
                fresh.update(wanted)
            records.append(msgspec.structs.replace(record, seq=next_seq, part=part, parts=parts))
        records += draft.beside
        next_seq += 1
    return Stamped(tuple(records), next_seq, frozenset(fresh))


def without_witness(draft: Draft) -> Draft:
    """The event without its witness: for one too big to be written."""
    return Draft(tuple(r for r in draft.records if not isinstance(r, WitnessRecord)))
