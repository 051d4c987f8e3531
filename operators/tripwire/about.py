"""Which of the chain's logs are about a pool: the same question the shards ask of each log, asked of a list."""

from __future__ import annotations

from operators.graph.dispatch import concerns, keys_of
from operators.pools.base import Pool
from schemas.logs import Log


def about(pool: Pool, log: Log) -> bool:
    """Whether the graph would apply this log to the pool."""
    if not log.topics:
        return False
    return any(concerns(pool, key, log) and (key == pool.address or not key) for key in keys_of(log))
