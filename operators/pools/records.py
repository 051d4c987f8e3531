"""Between a pool and its record on the topic `pools`: the record carries the family's plain state."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from operators.pools import FAMILIES
from operators.pools.base import BadState, Pool
from schemas.plain import pack_plain, unpack_plain
from schemas.pools import PoolRecord


def packed_state(pool: Pool) -> bytes:
    """What `PoolRecord.state` holds of a pool."""
    return pack_plain(pool.to_plain())


def pool_of(record: PoolRecord) -> Pool:
    """The state that a record admits a pool with; the record's refusal, where it has one, wins over the state's own.

    Raises `BadState` naming the pool: for an unknown family, for a state that is none of the family, and for that of another pool.
    """
    family = FAMILIES.get(record.family)
    if family is None:
        raise BadState(f"record of pool 0x{record.address.hex()}: no family is called {record.family!r}")
    try:
        pool = family.from_plain(unpack_plain(record.state))
    except ValueError as error:
        raise BadState(f"record of pool 0x{record.address.hex()}: {error}") from None
    if pool.address != record.address:
        raise BadState(f"record of pool 0x{record.address.hex()} holds the state of pool 0x{pool.address.hex()}")
    return refused(pool, record.refusal) if record.refusal else pool


def refused(pool: Pool, reason: str) -> Pool:
    """The same state under this refusal."""
    # Every family is a msgspec structure with a field of this name; the protocol only promises to show it.
    return cast(Pool, msgspec.structs.replace(cast(Any, pool), refusal=reason))
