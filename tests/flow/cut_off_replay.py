"""`python -m tests.flow.cut_off_replay CONFIG EVENTS OUT BATCH`: the search flow over events from a file, its decisions to another.

The flow is the live one (`flows.search.build`); what differs is that its source is a list. Nothing here knows of Kafka.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax.testing import TestingSource

from flows import search
from flows.replay import DecisionFileSink
from infra.relays.null_sink import ShadowSink
from infra.runtime.run_flow import run_flow
from schemas.config import load_config
from schemas.event import Event, assemble
from schemas.record import Sequenced
from schemas.topics import topic


def write_events(path: Path, events: Iterable[Event]) -> int:
    """Events as they are on the wire: per event its parts, each a topic's name and the bytes of the record. Says how many."""
    plain = [[(part.TOPIC, topic(part.TOPIC).codec.encode(part)) for part in event.parts] for event in events]
    path.write_bytes(msgspec.msgpack.encode(plain))
    return len(plain)


def read_events(path: Path) -> Iterator[Event]:
    """What `write_events` wrote."""
    for parts in msgspec.msgpack.decode(path.read_bytes(), type=list[list[tuple[str, bytes]]]):
        yield assemble(tuple(_sequenced(name, data) for name, data in parts))


def _sequenced(name: str, data: bytes) -> Sequenced:
    record = topic(name).codec.decode(data)
    assert isinstance(record, Sequenced)
    return record


def main(config_path: str, events: str, out: str, batch_size: str) -> None:
    """Replay all events of the file."""
    config = load_config(Path(config_path))
    source = TestingSource(list(read_events(Path(events))), int(batch_size))
    flow = search.build(config, source, DecisionFileSink(Path(out)), ShadowSink())
    run_flow(flow, state_dir=None, epoch=timedelta(milliseconds=config.runtime.epoch_ms))


if __name__ == "__main__":
    main(*sys.argv[1:])
