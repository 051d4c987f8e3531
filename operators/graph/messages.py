"""What goes into a graph shard and what comes out: one message per event and shard with a part in it, and one answer to each.

What there are many of in a block are structures: they are made several times faster than named tuples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

import msgspec

from operators.graph.dispatch import keys_of
from operators.graph.tracked import Needs
from operators.pools.base import Pool
from schemas.blocks import BlockRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from schemas.pools import PoolRecord
from schemas.witness import AccountState, WitnessRecord


class ShardInput(msgspec.Struct, frozen=True, gc=False):
    """An event's share for one shard. `number`, `block_hash` and `timestamp` (unix seconds) are of the block applied or reverted (else 0
    and empty). `logs` come with the key of the pool that each is about, `ALL_POOLS` for one that concerns all; in the block's order."""

    seq: int
    shard: int
    kind: EventKind
    number: int
    block_hash: bytes
    timestamp: int
    logs: tuple[tuple[bytes, Log], ...]
    pool: PoolRecord | None
    accounts: tuple[AccountState, ...]


class PoolUpdate(msgspec.Struct, frozen=True, gc=False):
    """A pool's state after the event. `pool` is None where the pool is gone (its admission was reverted). `refusal` is why it is not
    traded, empty if it may be. `needs` is None where it is what it was."""

    address: bytes
    pool: Pool | None
    refusal: str
    needs: Needs | None


class AccountUpdate(NamedTuple):
    """An account's tracked state after the event; None fields are unknown. `slots` maps key to value, None: forgotten."""

    address: bytes
    nonce: int | None
    balance: bytes | None
    code_hash: bytes | None
    slots: dict[bytes, bytes | None]


class ShardOutput(msgspec.Struct, frozen=True, gc=False):
    """A shard's answer to one event; `codes` are of code shards only (see `operators.graph.codes`). `full` marks the whole state (first answer after a resume) instead of changes;
    `touched` names the pools that this event changed, in either case, so that a resume cannot alter what is searched.
    `digest` is the shard's state digest as an integer (see `operators.graph.digest`). `faults` are typed reasons."""

    seq: int
    shard: int
    full: bool
    touched: tuple[bytes, ...]
    pools: tuple[PoolUpdate, ...]
    accounts: tuple[AccountUpdate, ...]
    codes: tuple[bytes, ...]
    digest: int
    faults: tuple[str, ...]


def shard_of(address: bytes, shards: int) -> int:
    """The shard that owns an address or pool key. The last bytes of both are uniformly distributed."""
    return int.from_bytes(address[-4:], "big") % shards


def shard_key(shard: int) -> str:
    """The Bytewax key of a shard: from a fixed set, never an address."""
    return f"{shard:03d}"


def shards_with_a_part(event: Event, shards: int) -> Collection[int]:
    """The shards that an event has something for: all for a block, whose number each keeps; those of the pool and of the accounts of its
    witness for a pool; for others none. What a shard is not told it need not answer, nor store at the end of an epoch."""
    if event.kind in (EventKind.BLOCK, EventKind.REVERT):
        return range(shards)
    head, witness = event.parts[0], event.part(WitnessRecord)
    if not isinstance(head, PoolRecord):
        return ()
    accounts = witness.accounts if witness else ()
    return {shard_of(address, shards) for address in (head.address, *(account.address for account in accounts))}


def fan_out(event: Event, shards: int) -> Iterator[tuple[str, ShardInput]]:
    """Split an event into one input per shard, empty for shards without a part.

    A pending transaction's witness is not state of the chain: of a pending event the shards get nothing.
    """
    seq, kind, head = event.seq, event.kind, event.parts[0]
    number, block_hash, timestamp = (
        (head.number, head.hash, head.timestamp) if isinstance(head, BlockRecord) else (0, b"", 0)
    )
    # By shard and only where there is something: most shards have no part in most events.
    logs: defaultdict[int, list[tuple[bytes, Log]]] = defaultdict(list)
    accounts: dict[int, list[AccountState]] = {}
    if kind is not EventKind.PENDING:
        record, witness = event.part(LogsRecord), event.part(WitnessRecord)
        for log in record.logs if record else ():
            for key in keys_of(log):
                if key:
                    logs[int.from_bytes(key[-4:], "big") % shards].append((key, log))
                else:
                    for shard in range(shards):
                        logs[shard].append((key, log))
        for account in witness.accounts if witness else ():
            accounts.setdefault(shard_of(account.address, shards), []).append(account)
    pool = head if isinstance(head, PoolRecord) else None
    pool_shard = -1 if pool is None else shard_of(pool.address, shards)
    for shard, name in enumerate(_shard_keys(shards)):
        yield (
            name,
            ShardInput(
                seq,
                shard,
                kind,
                number,
                block_hash,
                timestamp,
                tuple(logs.get(shard, ())),
                pool if shard == pool_shard else None,
                tuple(accounts.get(shard, ())),
            ),
        )


def fan_out_parts(event: Event, shards: int, to_all: bool) -> list[tuple[str, ShardInput]]:
    """The inputs of `fan_out` for the shards with a part in the event, or for all."""
    asked = range(shards) if to_all else shards_with_a_part(event, shards)
    return [keyed for keyed in fan_out(event, shards) if keyed[1].shard in asked] if asked else []


@cache
def _shard_keys(shards: int) -> tuple[str, ...]:
    return tuple(shard_key(shard) for shard in range(shards))
