"""What the watching shards say to the one who looks at the chain."""

from __future__ import annotations

from typing import NamedTuple

from operators.pools.base import Found, Pool
from operators.tripwire.tally import Tally


class Sampled(NamedTuple):
    """A pool of the sample: how it was found, its state at the sampled block, and its logs in our log.

    `since` is the block after whose end the tallies count, `then` reaches to the sampled block, `now` to the head.
    """

    found: Found
    pool: Pool
    since: int
    then: Tally
    now: Tally


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
