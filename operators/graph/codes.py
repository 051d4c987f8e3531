"""Contract codes, under keys of their own: a key is touched only by an event that brings a code which may be new.

The engine stores the whole state of every key that an epoch touches, and the codes of ten thousand tokens are tens of megabytes. Spread over
a fixed number of keys, a new code has its own key's share of them stored again, and an event without codes none.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from operators.graph.messages import ShardOutput, shards_with_a_part
from schemas.event import Event
from schemas.witness import WitnessRecord

#: Part of the saved state's layout. As many as the engine scans in well under a millisecond: at 80 MB of codes a key holds 0.3 MB.
CODE_SHARDS = 256
#: Bytes of each end of a code that its shard is told by; part of the layout, too.
_END = 64
SNAPSHOT_VERSION = 2


class CodesInput(NamedTuple):
    """The codes of an event that one code shard keeps. `shard` is its number among those that answer: the graph's shards come first."""

    seq: int
    shard: int
    codes: tuple[bytes, ...]


def codes_by_shard(event: Event) -> dict[int, tuple[bytes, ...]]:
    """The codes that come with an event, by the code shard that keeps each: a matter of the code alone, so that one which a restarted
    sequencer publishes again is known there."""
    witness = event.part(WitnessRecord)
    found: dict[int, tuple[bytes, ...]] = {}
    for code in witness.codes if witness else ():
        # Its ends tell codes apart well enough: a compiler writes its hash of the source at one, a proxy holds its target near the other.
        ends = code[:_END] + code[-_END:]
        number = int.from_bytes(blake2b(ends, digest_size=4).digest(), "big") % CODE_SHARDS
        found[number] = (*found.get(number, ()), code)
    return found


def fan_out_codes(event: Event, shards: int, to_all: bool) -> Iterator[tuple[str, CodesInput]]:
    """One input per code shard with a part in the event, or per code shard."""
    found = codes_by_shard(event)
    for number in range(CODE_SHARDS) if to_all else sorted(found):
        yield f"{number:03d}", CodesInput(event.seq, shards + number, found.get(number, ()))


def answers_to(event: Event, shards: int, to_all: bool) -> int:
    """How many messages answer an event in all: of the graph's shards and of the code shards, of each with a part in it or of each."""
    return shards + CODE_SHARDS if to_all else len(shards_with_a_part(event, shards)) + len(codes_by_shard(event))


class CodeShard:
    """The codes of one code shard. Content-addressed, so never undone and no part of the digest."""

    def __init__(self, snapshot: tuple[Any, ...] | None = None) -> None:
        version, codes = snapshot or (SNAPSHOT_VERSION, ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"code shard snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        self.codes: dict[bytes, None] = dict.fromkeys(codes)
        self._announce_all = snapshot is not None

    def apply(self, message: CodesInput) -> ShardOutput:
        """Keep the codes, and answer with those that are new; with all in the first answer after a resume."""
        new = tuple([code for code in dict.fromkeys(message.codes) if code not in self.codes])
        self.codes.update(dict.fromkeys(new))
        full, self._announce_all = self._announce_all, False
        return ShardOutput(message.seq, message.shard, full, (), (), (), tuple(self.codes) if full else new, 0, ())

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return SNAPSHOT_VERSION, tuple(self.codes)
