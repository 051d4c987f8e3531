"""Which pools have moved away from the slots that their record names: what a trade reads depends on the price in pools of concentrated liquidity.

Such a pool is followed log by log, and admitted anew when trades around its price would read what its record does not name. Nothing depends on
that but which trades can be simulated: a slot that is missing is a refusal, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from operators.pools import LOG_TOPICS, by_topic
from operators.pools.base import BadLog, Pool
from operators.pools.concentrated import ConcentratedPool
from operators.pools.concentrated_storage import slot_key
from operators.pools.uniswap_v3 import OBSERVATIONS_AHEAD
from schemas.logs import Log
from schemas.pools import AccountSlots

#: How many blocks with logs of a pool go by before it is admitted anew in any case: each may have written one observation of its oracle.
BLOCKS = OBSERVATIONS_AHEAD * 3 // 4
#: The part of the range that a record covers which has to stay covered on either side of the price.
_PART = 4
#: Blocks between two admissions of a pool, whatever moves: a position that comes and goes with every block is not worth a reading each time.
_PAUSE = 4

#: The families whose pools are followed, by the first topic of their logs.
_FAMILIES = {
    topic: tuple(family for family in by_topic(topic) if issubclass(family, ConcentratedPool)) for topic in LOG_TOPICS
}


@dataclass
class _Followed:
    """A pool since its admission; `pool` is None where its present state is not known."""

    pool: ConcentratedPool | None
    around: int
    covered: frozenset[bytes]
    since: int
    blocks: int = 0
    last: int = 0


class Drift:
    """Follows the pools of one session."""

    def __init__(self) -> None:
        self._followed: dict[bytes, _Followed] = {}

    def admitted(self, pool: Pool, needs: Iterable[AccountSlots], number: int, *, known: bool) -> None:
        """A pool is in the log with these needs as of a block; not `known`: its state has changed since, in blocks that were not seen."""
        if not isinstance(pool, ConcentratedPool):
            return
        covered = frozenset(key for need in needs if need.address == pool.holder for key in need.keys)
        self._followed[pool.address] = _Followed(pool if known else None, pool.tick, covered, number)

    def dropped(self, address: bytes) -> None:
        """A pool is not in the log any more, or not traded."""
        self._followed.pop(address, None)

    def reverted(self, number: int) -> None:
        """This block was taken off: what pools were before it is not kept here."""
        for followed in self._followed.values():
            if followed.last >= number:
                followed.pool = None

    def block(self, number: int, logs: Sequence[Log]) -> list[bytes]:
        """The logs of a block after those before it; the pools that are to be admitted anew, as of its end or later."""
        mine: dict[bytes, list[Log]] = {}
        for log in logs:
            for key in _keys(log):
                if key in self._followed:
                    mine.setdefault(key, []).append(log)
        return [key for key, its_logs in mine.items() if self._moved(self._followed[key], number, its_logs)]

    def _moved(self, followed: _Followed, number: int, logs: Sequence[Log]) -> bool:
        followed.last = number
        followed.blocks += 1
        try:
            for log in logs:
                followed.pool = followed.pool.apply(log) if followed.pool is not None else None
        except BadLog:
            followed.pool = None
        if number < followed.since + _PAUSE:
            return False
        return followed.pool is None or followed.blocks >= BLOCKS or _left(followed.pool, followed)


def _keys(log: Log) -> Iterable[bytes]:
    keys: dict[bytes, None] = {}
    for family in _FAMILIES.get(log.topics[0], ()) if log.topics else ():
        try:
            keys[family.key_of(log)] = None
        except BadLog:
            continue
    return keys


def _left(pool: ConcentratedPool, followed: _Followed) -> bool:
    """Whether the price has left the middle of what is covered, or a tick near it is not covered."""
    lowest, highest = pool.reach()
    near = max(1, (highest - lowest) // 2 // _PART)
    if abs(pool.tick - followed.around) > (_PART - 1) * near:
        return True
    layout = pool.layout()
    first, end = pool.ticks.below(pool.tick - near) + 1, pool.ticks.below(pool.tick + near) + 1
    return any(slot_key(layout.tick(tick)[0]) not in followed.covered for tick in pool.ticks.index[first:end])
