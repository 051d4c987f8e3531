"""What contract codes cost the graph state: all of them at a resume, and a new one in between."""

from __future__ import annotations

import pickle
import random
import time
from dataclasses import dataclass
from statistics import median

import msgspec

import schemas.blocks
import schemas.witness
from operators.graph.codes import CODE_SHARDS, CodeShard, fan_out_codes
from schemas.event import Event, assemble
from tests.bench.graph_rows import SHARDS

#: Bytes of a token's code.
LENGTH = 8_000


@dataclass(frozen=True)
class CodeRow:
    """Codes of `LENGTH` bytes each. Seconds and bytes: of a snapshot of all keys, of the key that one new code touches (the median over
    many), and from all stored bytes to the codes."""

    size: int
    snapshot: float
    stored: int
    new_snapshot: float
    new_stored: float
    resume: float


def code_shards(size: int) -> CodeRow:
    """All code shards, filled with this many codes."""
    rng = random.Random(1)
    shards = [CodeShard() for _ in range(CODE_SHARDS)]
    for _ in range(size // 10):
        _feed(shards, _event(*(rng.randbytes(LENGTH) for _ in range(10))))
    start = time.perf_counter()
    stored = [_stored(shard) for shard in shards]
    snapshot = time.perf_counter() - start
    seconds, lengths = [], []
    for _ in range(50):
        touched = _feed(shards, _event(rng.randbytes(LENGTH)))
        start = time.perf_counter()
        again = [_stored(shards[number]) for number in touched]
        seconds.append(time.perf_counter() - start)
        lengths.append(sum(map(len, again)))
    start = time.perf_counter()
    resumed = [CodeShard(pickle.loads(value)) for value in stored]  # our own bytes of a moment ago
    resume = time.perf_counter() - start
    assert sum(len(shard.codes) for shard in resumed) == size
    return CodeRow(size, snapshot, sum(map(len, stored)), median(seconds), median(lengths), resume)


def _event(*codes: bytes) -> Event:
    return assemble((schemas.blocks.GOLDEN, msgspec.structs.replace(schemas.witness.GOLDEN, accounts=(), codes=codes)))


def _feed(shards: list[CodeShard], event: Event) -> list[int]:
    touched = [(int(key), message) for key, message in fan_out_codes(event, SHARDS, to_all=False)]
    for number, message in touched:
        shards[number].apply(message)
    return [number for number, _ in touched]


def _stored(shard: CodeShard) -> bytes:
    return pickle.dumps(shard.snapshot(), protocol=pickle.HIGHEST_PROTOCOL)
