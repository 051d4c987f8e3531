"""What the watching shards say to the one who looks at the chain."""

from __future__ import annotations

from typing import Any, NamedTuple

from operators.pools import FAMILIES
from operators.pools.base import Found, Pool
from operators.tripwire.tally import Tally


class Mark(NamedTuple):
    """What was counted of a pool's logs up to the end of a block."""

    number: int
    tally: Tally


class Sampled(NamedTuple):
    """A pool of the sample: how it was found, its state at the sampled block, and its logs in our log.

    `since` is the block with whose state it was admitted: from there on its logs are counted, up to the sampled block in `at_block`, up to
    the head in `at_head`. `last` is its sample before this one, or its admission.
    """

    found: Found
    pool: Pool
    since: int
    last: Mark
    at_block: Tally
    at_head: Tally


class Sample(NamedTuple):
    """A shard's sample of one block, told when the log stood at `head_number`; empty where the shard has nothing."""

    seq: int
    shard: int
    number: int
    block_hash: bytes
    timestamp: int
    head_number: int
    pools: tuple[Sampled, ...]


class TakenOff(NamedTuple):
    """A block of which samples may be out was reverted."""

    number: int
    block_hash: bytes


def sample_to_plain(sample: Sample) -> tuple[Any, ...]:
    """A sample as plain data, for snapshots."""
    *head, pools = sample
    return (*head, tuple(_sampled_to_plain(sampled) for sampled in pools))


def _sampled_to_plain(sampled: Sampled) -> tuple[Any, ...]:
    found, pool, since, last, at_block, at_head = sampled
    state = pool.FAMILY, pool.to_plain()
    return tuple(found), state, since, (last.number, tuple(last.tally)), tuple(at_block), tuple(at_head)


def sample_from_plain(plain: tuple[Any, ...]) -> Sample:
    """Inverse of `sample_to_plain`."""
    seq, shard, number, block_hash, timestamp, head_number, pools = plain
    return Sample(seq, shard, number, block_hash, timestamp, head_number, tuple(_sampled_from_plain(p) for p in pools))


def _sampled_from_plain(plain: tuple[Any, ...]) -> Sampled:
    found, (family, state), since, (number, tally), at_block, at_head = plain
    return Sampled(
        Found(*found),
        FAMILIES[family].from_plain(state),
        since,
        Mark(number, Tally(*tally)),
        Tally(*at_block),
        Tally(*at_head),
    )
