"""Small sequenced records for tests without a broker."""

from __future__ import annotations

import msgspec

from infra.kafka.positions import Position
from schemas.blocks import GOLDEN as BLOCK
from schemas.logs import GOLDEN as LOGS
from schemas.pending import GOLDEN as PENDING
from schemas.record import Sequenced
from schemas.witness import GOLDEN as WITNESS

Placed = tuple[Sequenced, Position]


def part(golden: Sequenced, seq: int, index: int, count: int, chain: int = 1) -> Sequenced:
    """A golden record as part `index` of `count` of event `seq`."""
    return msgspec.structs.replace(golden, chain=chain, seq=seq, part=index, parts=count)


def event_parts(kind: int, seq: int, chain: int = 1) -> list[Sequenced]:
    """The parts of one event: a block with logs and witness, a pending with witness, or a pending alone."""
    shape = ((BLOCK, LOGS, WITNESS), (PENDING, WITNESS), (PENDING,))[kind]
    return [part(golden, seq, i, len(shape), chain) for i, golden in enumerate(shape)]


def streams_of(events: list[list[Sequenced]]) -> dict[str, list[Placed]]:
    """The records laid out in their topics, one partition each, in order, with offsets that have holes (as with transactions)."""
    streams: dict[str, list[Placed]] = {}
    for parts in events:
        for record in parts:
            stream = streams.setdefault(record.TOPIC, [])
            stream.append((record, Position(record.TOPIC, 0, 2 * len(stream))))
    return streams
