"""Which pools a log is about: the families that know its first topic say so, by their own events."""

from __future__ import annotations

from collections.abc import Callable

from operators.pools import FAMILIES, LOG_TOPICS
from operators.pools.base import ALL_POOLS, BadLog, Pool
from schemas.logs import Log

_ALL = (ALL_POOLS,)


def _readers(topic: bytes) -> tuple[Callable[[Log], bytes], ...]:
    """How the families that know a topic read a key from its logs, each way once: forks inherit it."""
    known = {family.key_of.__func__: family.key_of for family in FAMILIES.values() if topic in family.LOG_TOPICS}  # type: ignore[attr-defined]
    return tuple(known.values())


_READERS = {topic: _readers(topic) for topic in LOG_TOPICS}


def keys_of(log: Log) -> tuple[bytes, ...]:
    """The keys of the pools that a log may be about; `ALL_POOLS` for one that concerns every pool that listens to its contract.

    Mostly one. Families that share an event may read different keys from it; the pool that is at a key decides. A log that names no pool as
    its family's logs do is taken to concern all: what it did to whom is not known, and each of them says what is wrong with it.
    """
    readers = _READERS.get(log.topics[0]) if log.topics else None
    if readers is None:
        return ()
    try:
        if len(readers) == 1:
            return (readers[0](log),)
        return tuple(dict.fromkeys([key_of(log) for key_of in readers]))
    except BadLog:
        return _ALL


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

    def hears(self, source: bytes) -> bool:
        """Whether a pool listens to this contract, which is not its own address."""
        return source in self._by_source

    def named(self, key: bytes, log: Log) -> tuple[bytes, ...]:
        """The addresses that a key of `keys_of` stands for: itself, or everybody who listens to the log's contract, in order."""
        return (key,) if key else (log.address, *sorted(self._by_source.get(log.address, ())))
