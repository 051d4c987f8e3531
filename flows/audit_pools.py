"""The pools that audited routes go through, read from the log when one is asked for that is not known yet.

What encoding needs of a pool (its id, its tokens, its key in a singleton) never changes, so the state it was admitted with will do, and nothing
of it needs to be saved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from infra.kafka.reading import read_records
from operators.pools.base import BadState, Pool
from operators.pools.records import pool_of
from schemas.config import KafkaConfig
from schemas.pools import PoolRecord

#: Pools remembered; routes go through few of the many.
_MOST = 4096

#: The records of all pools, oldest first.
Records = Callable[[], Iterable[PoolRecord]]


class PoolBook:
    """Pools by address."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: OrderedDict[bytes, Pool] = OrderedDict()

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Pool]:
        """Those of the pools that the log has. Reads the topic once for all that are not known."""
        asked = dict.fromkeys(addresses)
        wanted = {address for address in asked if address not in self._known}
        if wanted:
            self._read(wanted)
        found = {address: self._known[address] for address in asked if address in self._known}
        for address in found:
            self._known.move_to_end(address)
        while len(self._known) > max(_MOST, len(found)):
            self._known.popitem(last=False)
        return found

    def _read(self, wanted: set[bytes]) -> None:
        newest = {r.address: r for r in self._records() if r.address in wanted and r.state}
        for address, record in newest.items():
            try:
                self._known[address] = pool_of(record)
            except BadState:
                continue


def pools_of_log(kafka: KafkaConfig, chain: int) -> Records:
    """Reads the topic `pools` of a chain."""

    def records() -> Iterable[PoolRecord]:
        for _, record in read_records(kafka, PoolRecord.TOPIC):
            if isinstance(record, PoolRecord) and record.chain == chain:
                yield record

    return records
