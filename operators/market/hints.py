"""What a hint lets us know of the market: pools that its transaction touches, and the states it leaves behind where its logs tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from operators.graph.dispatch import Listeners, concerns, keys_of
from operators.market.messages import Candidate, RouteFound
from operators.overlay.pending import PoolOf
from operators.pools.base import BadLog, Pool
from schemas.logs import Log

#: Refusal of a hint none of whose logs is of a pool that is traded here.
NO_POOL = "hint_names_no_pool"
#: Refusal of a route through a pool whose state the hint told: what that is in storage (balances, observations, fees) a log does not say.
NOT_SIMULABLE = "hint_not_simulable"


class Hinted(NamedTuple):
    """`named`: the pools of the logs, in order. `pools`: those whose state after the transaction the logs tell."""

    named: tuple[bytes, ...]
    pools: tuple[Pool, ...]


def read_hint(logs: Sequence[Log], pool_of: PoolOf, listeners: Listeners, timestamp: int) -> Hinted:
    """What the logs say about pools that are traded, in a block of that time.

    A log whose data is withheld, or is no event that the pool's family models, names its pool and no more; a state that was told before it
    is not known any more then.
    """
    named: dict[bytes, None] = {}
    told: dict[bytes, Pool] = {}
    vague: set[bytes] = set()
    for log in logs:
        keys = keys_of(log) or (log.address,)
        for address in dict.fromkeys(one for key in keys for one in listeners.named(key, log)):
            pool = told.get(address) or pool_of(address)
            if pool is None:
                continue
            if not log.topics or log.topics[0] not in pool.LOG_TOPICS:
                # Another word of the pool's: a pair's Swap behind its Sync. A listener's contract speaks of others, too.
                if log.address == address:
                    named[address] = None
                continue
            if not any(concerns(pool, key, log) for key in keys):
                continue
            named[address] = None
            try:
                told[address] = (pool.at(timestamp) if pool.TIMED else pool).apply(log)
            except BadLog:
                vague.add(address)
    return Hinted(tuple(named), tuple(pool for address, pool in told.items() if address not in vague))


def marked(found: Sequence[tuple[RouteFound, Candidate]], pools: Sequence[Pool]) -> list[tuple[RouteFound, Candidate]]:
    """Candidates behind a hint, refused where their route goes through a pool in a state that only the hint told."""
    told = {pool.address for pool in pools}
    return [
        (route, replace(candidate, refusal=NOT_SIMULABLE) if any(hop.pool in told for hop in route.hops) else candidate)
        for route, candidate in found
    ]
