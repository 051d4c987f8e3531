"""What goes into a graph shard and what comes out: one message per event and shard with a part in it, and one answer to each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

from operators.graph.dispatch import keys_of
from operators.graph.tracked import Needs
from operators.pools.base import Pool
from schemas.blocks import BlockRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from schemas.pools import PoolRecord
from schemas.witness import AccountState, WitnessRecord


class ShardInput(NamedTuple):
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
    codes: tuple[bytes, ...]


class PoolUpdate(NamedTuple):
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


class ShardOutput(NamedTuple):
    """A shard's answer to one event. `full` marks the whole state (first answer after a resume) instead of changes;
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
    witness for a pool; for others whoever keeps new codes. What a shard is not told it need not answer, nor store at the end of an epoch."""
    if event.kind in (EventKind.BLOCK, EventKind.REVERT):
        return range(shards)
    head, witness = event.parts[0], event.part(WitnessRecord)
    found = {0} if witness is not None and witness.codes else set()
    if isinstance(head, PoolRecord):
        found.add(shard_of(head.address, shards))
        found.update(shard_of(account.address, shards) for account in (witness.accounts if witness else ()))
    return found


def fan_out(event: Event, shards: int) -> Iterator[tuple[str, ShardInput]]:
    """Split an event into one input per shard, empty for shards without a part.

    A pending transaction's witness is not state of the chain: of a pending event the shards get the codes only, which are
    content-addressed and which the sequencer publishes once.
    """
    seq, kind, head = event.seq, event.kind, event.parts[0]
    number, block_hash, timestamp = (
        (head.number, head.hash, head.timestamp) if isinstance(head, BlockRecord) else (0, b"", 0)
    )
    # By shard and only where there is something: most shards have no part in most events.
    logs: dict[int, list[tuple[bytes, Log]]] = {}
    accounts: dict[int, list[AccountState]] = {}
    witness = event.part(WitnessRecord)
    codes = witness.codes if witness else ()
    if kind is not EventKind.PENDING:
        record = event.part(LogsRecord)
        for log in record.logs if record else ():
            for key in keys_of(log):
                for shard in (int.from_bytes(key[-4:], "big") % shards,) if key else range(shards):
                    share = logs.get(shard)
                    if share is None:
                        share = logs[shard] = []
                    share.append((key, log))
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
                # Codes belong to no address; shard 0 keeps them all.
                codes if shard == 0 else (),
            ),
        )


@cache
def _shard_keys(shards: int) -> tuple[str, ...]:
    return tuple(shard_key(shard) for shard in range(shards))
