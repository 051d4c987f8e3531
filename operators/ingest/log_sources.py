"""Whose logs the log records: the contracts of tracked pools, and of the contracts that many pools share only what concerns those."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from operators.pools import FAMILIES, LOG_TOPICS, by_topic
from operators.pools.base import ALL_POOLS, BadLog, Pool
from schemas.config import FactoryConfig
from schemas.logs import Log


class LogSources:
    """The sources of each tracked pool; a contract is listened to until the last pool that needs it is dropped."""

    def __init__(self, factories: Sequence[FactoryConfig] = ()) -> None:
        """Of `factories` the announcements are recorded, whether they have pools or not."""
        self._announcements: dict[bytes, frozenset[bytes]] = {}
        for factory in factories:
            known = self._announcements.get(factory.address, frozenset())
            self._announcements[factory.address] = known | frozenset(FAMILIES[factory.family].FACTORY_TOPICS)
        #: First topics of all logs that may be recorded: what some family listens to, and announcements.
        self.topics: frozenset[bytes] = frozenset(LOG_TOPICS).union(*self._announcements.values())
        self._sources: dict[bytes, tuple[bytes, ...]] = {}
        self._pools: dict[bytes, dict[bytes, None]] = {}

    def put(self, pool: bytes, sources: Iterable[bytes]) -> None:
        """Replace the contracts whose logs change this pool."""
        self.drop(pool)
        self._sources[pool] = tuple(dict.fromkeys(sources))
        for source in self._sources[pool]:
            self._pools.setdefault(source, {})[pool] = None

    def drop(self, pool: bytes) -> None:
        """Forget a pool."""
        for source in self._sources.pop(pool, ()):
            left = self._pools[source]
            del left[pool]
            if not left:
                del self._pools[source]

    def __contains__(self, address: object) -> bool:
        """Whether any log of this contract may be recorded."""
        return address in self._pools or address in self._announcements

    def wants(self, log: Log) -> bool:
        """Whether a log is to be recorded: a factory's announcement, and of what some family listens to all that a pool's own contract says,
        and of a contract that pools share what is about one of them or about all."""
        topic, address = log.topics[0] if log.topics else b"", log.address
        pools = self._pools.get(address)
        if pools is not None and address in pools and topic in self.topics:
            return True
        if topic in self._announcements.get(address, ()):
            return True
        return pools is not None and any(_is_about(family, log, pools) for family in by_topic(topic))


def _is_about(family: type[Pool], log: Log, pools: Container[bytes]) -> bool:
    try:
        key = family.key_of(log)
    except BadLog:
        return False
    # A log that names its own contract comes from one that is no pool of its own, such as a metapool's base.
    return key in pools or key in (ALL_POOLS, log.address)
