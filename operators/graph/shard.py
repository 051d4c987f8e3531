"""One shard of the graph state: its pools and its tracked accounts, kept in step with the log.

Pure: `apply(ShardInput) -> ShardOutput`. The state can be snapshot to plain data and restored from it.
"""

from __future__ import annotations

from typing import Any

from operators.graph.digest import MODULUS, entry_digest
from operators.graph.dispatch import Listeners, concerns
from operators.graph.journal import DEPTH, Journal, UndoForm
from operators.graph.messages import AccountUpdate, PoolUpdate, ShardInput, ShardOutput
from operators.graph.tracked import Account, Needs, Tracked, UndoAccount, UndoPool, pack_undo, unpack_undo
from operators.pools import FAMILIES
from operators.pools.base import BadLog, BadLogReason, BadState
from operators.pools.records import pool_of
from schemas.decisions import EventKind
from schemas.logs import Log
from schemas.pools import PoolOp, PoolRecord
from schemas.witness import AccountState

SNAPSHOT_VERSION = 3
_UNDO = UndoForm(pack_undo, unpack_undo)
_NO_NEEDS = Needs(())


class GraphShard:
    """Pools and accounts of one shard. See `operators.graph.messages` for what goes in and out."""

    def __init__(self, snapshot: tuple[Any, ...] | None = None, journal_depth: int = DEPTH) -> None:
        self.pools: dict[bytes, Tracked] = {}
        self.accounts: dict[bytes, Account] = {}
        self.digest = 0
        #: What each pool has added to the digest.
        self._shares: dict[bytes, int] = {}
        self._listeners = Listeners()
        #: The time of the block whose logs are applied, unix seconds.
        self._time = 0
        self._journal: Journal[UndoPool | UndoAccount] = Journal(_UNDO, journal_depth)
        #: Pools whose state before the newest block is in the journal already, or in what goes there after the event at hand.
        self._noted: set[bytes] = set()
        self._undos: list[UndoPool | UndoAccount] = []
        self._announce_all = snapshot is not None
        #: Pools changed by the event at hand, with whether their needs changed too.
        self._changed_pools: dict[bytes, bool] = {}
        self._changed_accounts: dict[bytes, dict[bytes, None]] = {}
        self._faults: list[str] = []
        if snapshot is not None:
            self._restore(snapshot)

    def apply(self, message: ShardInput) -> ShardOutput:
        """Take one event's share and answer with what changed. Raises `JournalError` on an impossible revert."""
        if message.kind is EventKind.REVERT:
            self._journal.revert(message.number, message.block_hash, self._undo)
            self._noted = self._changed_since_block()
        else:
            if message.kind is EventKind.BLOCK:
                self._journal.begin(message.number, message.block_hash)
                self._noted, self._time = set(), message.timestamp
            for key, log in message.logs:
                tracked = self.pools.get(key) if key == log.address else None
                # The usual way: a pool's own contract speaks. All others are looked at more closely.
                if tracked is not None and log.topics[0] in tracked.pool.LOG_TOPICS:
                    self._apply_log(tracked, log)
                else:
                    self._take_log(key, log)
            if message.pool is not None:
                self._apply_pool(message.pool)
            for account in message.accounts:
                self._apply_account(account)
            if self._undos:
                self._journal.note(self._undos)
                self._undos.clear()
        return self._answer(message)

    def snapshot(self) -> tuple[Any, ...]:
        """The whole state as versioned plain data: tuples of packed pools, of their needs, of accounts, and the journal."""
        return (
            SNAPSHOT_VERSION,
            tuple([tracked.pack() for tracked in self.pools.values()]),
            tuple([tracked.needs.pack() for tracked in self.pools.values()]),
            tuple([account.pack() for account in self.accounts.values()]),
            self._journal.snapshot(),
        )

    def _restore(self, snapshot: tuple[Any, ...]) -> None:
        version = snapshot[0]
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"graph shard snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        _, pools, needs, accounts, journal = snapshot
        for packed, its_needs in zip(pools, needs, strict=True):
            tracked = Tracked.unpack(packed, Needs.unpack(its_needs))
            self._put_pool(tracked.pool.address, tracked)
        self.accounts = {account.address: account for account in map(Account.unpack, accounts)}
        self._journal.restore(journal)
        self._noted = self._changed_since_block()
        self._count_changes()
        self._changed_pools.clear()

    def _changed_since_block(self) -> set[bytes]:
        return {undo.address for undo in self._journal.newest if isinstance(undo, UndoPool)}

    def _take_log(self, key: bytes, log: Log) -> None:
        for address in self._listeners.named(key, log):
            tracked = self.pools.get(address)
            if tracked is None:
                # A pool of a singleton that we do not track is not ours.
                continue
            if concerns(tracked.pool, key, log):
                self._apply_log(tracked, log)
            elif key and key != log.address:
                # Counted, but the pool stays: or any contract could have any pool suspended.
                self._faults.append(f"bad_log:{BadLogReason.WRONG_CONTRACT}")

    def _apply_log(self, tracked: Tracked, log: Log) -> None:
        if tracked.lost:
            return
        pool, address = tracked.pool, tracked.pool.address
        try:
            # Time first, and only for pools that say something: it is no part of the digest, and who quotes brings it up to date again.
            after = (pool.at(self._time) if pool.TIMED else pool).apply(log)
        except BadLog as error:
            # The pool said something our model does not know: keep its last state, stop trading it, count it.
            self._faults.append(f"bad_log:{error.reason}")
            refusal = tracked.refusal or f"bad_log:{error.reason}"
            self._set_pool(address, Tracked(pool, refusal, tracked.needs, lost=True))
            return
        # As `_set_pool` would, less what a log cannot change: this runs once a log.
        if address not in self._noted:
            self._note(address, tracked)
        self.pools[address] = Tracked(after, tracked.refusal, tracked.needs)
        self._changed_pools.setdefault(address, False)

    def _apply_pool(self, record: PoolRecord) -> None:
        known = self.pools.get(record.address)
        if record.op is PoolOp.SUSPEND:
            if known is None:
                self._faults.append("suspended_unknown_pool")
            else:
                refusal = record.refusal or "suspended"
                self._set_pool(record.address, Tracked(known.pool, refusal, known.needs, known.lost))
            return
        if record.family not in FAMILIES and not record.refusal:
            self._faults.append("unknown_family")
            return
        try:
            pool = pool_of(record)
        except BadState:
            # A refused address need not be a pool at all: there is nothing to track. One that was admitted is a fault.
            if not record.refusal:
                self._faults.append("bad_state")
            if known is not None:
                self._set_pool(record.address, None)
            return
        needs = Needs(record.needs)
        if known is not None and known.needs == needs:
            needs = known.needs
        self._set_pool(record.address, Tracked(pool, record.refusal, needs))

    def _apply_account(self, state: AccountState) -> None:
        account = self.accounts.get(state.address)
        if account is None:
            account = self.accounts[state.address] = Account(state.address)
        pairs = state.slots
        slots = {pairs[i : i + 32]: pairs[i + 32 : i + 64] for i in range(0, len(pairs), 64)}
        before = {key: account.slots.get(key) for key in slots}
        self._undos.append(UndoAccount(state.address, account.nonce, account.balance, account.code_hash, before))
        account.nonce = account.nonce if state.nonce is None else state.nonce
        account.balance = account.balance if state.balance is None else state.balance
        account.code_hash = account.code_hash if state.code_hash is None else state.code_hash
        account.slots.update(slots)
        account.changed()
        self._changed_accounts.setdefault(state.address, {}).update(dict.fromkeys(slots))

    def _set_pool(self, address: bytes, tracked: Tracked | None) -> None:
        if address not in self._noted:
            self._note(address, self.pools.get(address))
        self._put_pool(address, tracked)

    def _note(self, address: bytes, before: Tracked | None) -> None:
        self._noted.add(address)
        self._undos.append(UndoPool(address, before))

    def _put_pool(self, address: bytes, tracked: Tracked | None) -> None:
        before = self.pools.get(address)
        if before is not None:
            self._listeners.drop(before.pool)
        if tracked is None:
            self.pools.pop(address, None)
        else:
            self.pools[address] = tracked
            self._listeners.add(tracked.pool)
        same_needs = before is not None and tracked is not None and before.needs == tracked.needs
        self._changed_pools[address] = self._changed_pools.get(address, False) or not same_needs

    def _count_changes(self) -> None:
        """Bring the digest up to date with the changed pools: once an event, however often each changed."""
        digest, shares = self.digest, self._shares
        for address in self._changed_pools:
            tracked = self.pools.get(address)
            if tracked is None:
                digest -= shares.pop(address, 0)
                continue
            share = entry_digest(tracked.pool.digest_entry(), tracked.reason)
            digest += share - shares.get(address, 0)
            shares[address] = share
        self.digest = digest % MODULUS

    def _undo(self, undo: UndoPool | UndoAccount) -> None:
        if isinstance(undo, UndoPool):
            self._put_pool(undo.address, undo.before)
            return
        account = self.accounts[undo.address]
        account.nonce, account.balance, account.code_hash = undo.nonce, undo.balance, undo.code_hash
        for key, value in undo.slots.items():
            if value is None:
                account.slots.pop(key, None)
            else:
                account.slots[key] = value
        account.changed()
        self._changed_accounts.setdefault(undo.address, {}).update(dict.fromkeys(undo.slots))

    def _answer(self, message: ShardInput) -> ShardOutput:
        full = self._announce_all
        if not (full or self._changed_pools or self._changed_accounts or self._faults):
            # What most shards answer to most events.
            return ShardOutput(message.seq, message.shard, False, (), (), (), (), self.digest, ())
        self._count_changes()
        self._announce_all = False
        pools = self.pools if full else self._changed_pools
        accounts = (
            {address: dict.fromkeys(account.slots) for address, account in self.accounts.items()}
            if full
            else self._changed_accounts
        )
        touched = sorted(self._changed_pools)
        answer = ShardOutput(
            message.seq,
            message.shard,
            full,
            tuple(touched),
            tuple([self._pool_update(address, full) for address in (sorted(pools) if full else touched)]),
            tuple([self._account_update(address, accounts[address]) for address in sorted(accounts)]),
            (),
            self.digest,
            tuple(self._faults),
        )
        self._changed_pools.clear()
        self._changed_accounts.clear()
        self._faults.clear()
        return answer

    def _pool_update(self, address: bytes, full: bool) -> PoolUpdate:
        tracked = self.pools.get(address)
        if tracked is None:
            return PoolUpdate(address, None, "", _NO_NEEDS)
        needs = tracked.needs if full or self._changed_pools[address] else None
        return PoolUpdate(address, tracked.pool, tracked.reason, needs)

    def _account_update(self, address: bytes, keys: dict[bytes, None]) -> AccountUpdate:
        account = self.accounts[address]
        slots = {key: account.slots.get(key) for key in keys}
        return AccountUpdate(address, account.nonce, account.balance, account.code_hash, slots)
