"""Which pools a log is about: the families that know its first topic say so, by their own events."""

from __future__ import annotations

from operators.pools import by_topic
from operators.pools.base import ALL_POOLS, BadLog, Pool
from schemas.logs import Log

_NOBODY = (ALL_POOLS,)


def keys_of(log: Log) -> tuple[bytes, ...]:
    """The keys of the pools that a log may be about; `ALL_POOLS` for one that concerns every pool that listens to its contract.

    Mostly one. Families that share an event may read different keys from it; the pool that is at a key decides. A log that names no pool as
    its family's logs do is taken to concern all: what it did to whom is not known, and each of them says what is wrong with it.
    """
    families = by_topic(log.topics[0]) if log.topics else ()
    try:
        if len(families) == 1:
            return (families[0].key_of(log),)
        return tuple(dict.fromkeys([family.key_of(log) for family in families]))
    except BadLog:
        return _NOBODY


def concerns(pool: Pool, key: bytes, log: Log) -> bool:
    """Whether a log that leads to this pool by `key` is an event of the pool's family, about this pool, and of a contract that the pool
    listens to. Anybody may emit a log that names any pool."""
    if log.topics[0] not in pool.LOG_TOPICS:
        return False
    if log.address == pool.address:
        return True
    return log.address in pool.log_sources and (not key or pool.key_of(log) == key)


class Listeners:
    """The pools that listen to a contract which is not their own address, by that contract."""

    def __init__(self) -> None:
        self._by_source: dict[bytes, dict[bytes, None]] = {}

    def add(self, pool: Pool) -> None:
        """A pool that is tracked from now on."""
        for source in pool.log_sources:
            if source != pool.address:
                self._by_source.setdefault(source, {})[pool.address] = None

    def drop(self, pool: Pool) -> None:
        """A pool that is not tracked any more."""
        for source in pool.log_sources:
            others = self._by_source.get(source)
            if others is not None:
                others.pop(pool.address, None)
                if not others:
                    del self._by_source[source]

    def named(self, key: bytes, log: Log) -> tuple[bytes, ...]:
        """The addresses that a key of `keys_of` stands for: itself, or everybody who listens to the log's contract, in order."""
        return (key,) if key else (log.address, *sorted(self._by_source.get(log.address, ())))
