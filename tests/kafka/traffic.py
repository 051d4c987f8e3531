"""Made-up traffic of a chain: events of every kind, as the sequencer would write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from infra.kafka.transactional import TransactionalWriter
from schemas.blocks import GOLDEN as BLOCK
from schemas.config import KafkaConfig
from schemas.control import GOLDEN as CONTROL
from schemas.event import Event, assemble
from schemas.logs import GOLDEN as LOGS
from schemas.pending import GOLDEN as PENDING
from schemas.pools import GOLDEN as POOL
from schemas.receipts import GOLDEN as RECEIPTS
from schemas.record import Sequenced
from schemas.witness import GOLDEN as WITNESS

_SHAPES: tuple[tuple[Sequenced, ...], ...] = (
    (BLOCK, LOGS, RECEIPTS, WITNESS),
    (PENDING, WITNESS),
    (PENDING,),
    (POOL, WITNESS),
    (CONTROL,),
)


def parts_of(chain: int, seq: int) -> tuple[Sequenced, ...]:
    """The records of event `seq`; its kind goes round by number."""
    shape = _SHAPES[seq % len(_SHAPES)]
    return tuple(
        msgspec.structs.replace(r, chain=chain, seq=seq, part=i, parts=len(shape)) for i, r in enumerate(shape)
    )


def events(chain: int, first: int, count: int) -> list[Event]:
    """`count` events from number `first` on."""
    return [assemble(parts_of(chain, seq)) for seq in range(first, first + count)]


def in_groups(chain: int, seqs: Iterable[int], size: int) -> Iterator[list[Sequenced]]:
    """The records of the events, `size` events to a group."""
    group: list[int] = []
    for seq in seqs:
        group.append(seq)
        if len(group) == size:
            yield [r for s in group for r in parts_of(chain, s)]
            group = []
    if group:
        yield [r for s in group for r in parts_of(chain, s)]


def write_events(kafka: KafkaConfig, chain: int, seqs: Iterable[int], *, group: int = 7) -> None:
    """Write events as the sequencer does: groups of whole events, each group one transaction."""
    with TransactionalWriter(kafka, f"{kafka.topic_prefix}ingest.{chain}") as writer:
        for records in in_groups(chain, seqs, group):
            writer.commit(records)
