"""One shard of the graph state: its pools and its tracked accounts, kept in step with the log.

Pure: `apply(ShardInput) -> ShardOutput`. The state can be snapshot to plain data and restored from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from operators.graph.digest import MODULUS, entry_digest
from operators.graph.journal import DEPTH, Entry, Journal
from operators.graph.messages import AccountUpdate, PoolUpdate, ShardInput, ShardOutput
from operators.pools import FAMILIES
from operators.pools.base import BadLog, BadState, Pool
from schemas.decisions import EventKind
from schemas.pools import AccountSlots, PoolOp, PoolRecord
from schemas.witness import AccountState

SNAPSHOT_VERSION = 1


class Tracked(NamedTuple):
    """A pool as the shard keeps it: its state, why it is not traded (or empty), the slots that a simulation reads."""

    pool: Pool
    refusal: str
    needs: tuple[AccountSlots, ...]


class Account:
    """Tracked state of one account; None is unknown."""

    __slots__ = ("balance", "code_hash", "nonce", "slots")

    def __init__(self) -> None:
        self.nonce: int | None = None
        self.balance: bytes | None = None
        self.code_hash: bytes | None = None
        self.slots: dict[bytes, bytes] = {}


class UndoPool(NamedTuple):
    """Puts a pool back; `before` None: the pool was not known."""

    address: bytes
    before: Tracked | None


class UndoAccount(NamedTuple):
    """Puts an account's fields and the named slots back; slot value None: the slot was not known."""

    address: bytes
    nonce: int | None
    balance: bytes | None
    code_hash: bytes | None
    slots: dict[bytes, bytes | None]


class GraphShard:
    """Pools and accounts of one shard. See `operators.graph.messages` for what goes in and out."""

    def __init__(self, snapshot: tuple[Any, ...] | None = None, journal_depth: int = DEPTH) -> None:
        self.pools: dict[bytes, Tracked] = {}
        self.accounts: dict[bytes, Account] = {}
        self.codes: dict[bytes, None] = {}
        self.digest = 0
        self._journal: Journal[UndoPool | UndoAccount] = Journal(depth=journal_depth)
        self._announce_all = snapshot is not None
        self._changed_pools: dict[bytes, None] = {}
        self._changed_accounts: dict[bytes, dict[bytes, None]] = {}
        self._faults: list[str] = []
        if snapshot is not None:
            self._restore(snapshot)

    def apply(self, message: ShardInput) -> ShardOutput:
        """Take one event's share and answer with what changed. Raises `JournalError` on an impossible revert."""
        new_codes = self._add_codes(message.codes)
        if message.kind is EventKind.REVERT:
            self._journal.revert(message.number, message.block_hash, self._undo)
        else:
            if message.kind is EventKind.BLOCK:
                self._journal.begin(message.number, message.block_hash)
            for log in message.logs:
                tracked = self.pools.get(log.address)
                if tracked is not None and log.topics and log.topics[0] in tracked.pool.LOG_TOPICS:
                    self._apply_log(tracked, log)
            if message.pool is not None:
                self._apply_pool(message.pool)
            for account in message.accounts:
                self._apply_account(account)
        return self._answer(message, new_codes)

    def snapshot(self) -> tuple[Any, ...]:
        """The whole state as versioned plain data (tuples, bytes, ints, strings)."""
        return (
            SNAPSHOT_VERSION,
            tuple(_plain_tracked(t) for t in self.pools.values()),
            tuple((a, x.nonce, x.balance, x.code_hash, dict(x.slots)) for a, x in self.accounts.items()),
            tuple(self.codes),
            tuple((e.number, e.block_hash, tuple(_plain_undo(u) for u in e.undo)) for e in self._journal.entries),
        )

    def _restore(self, snapshot: tuple[Any, ...]) -> None:
        version, pools, accounts, codes, journal = snapshot
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"graph shard snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        for plain in pools:
            tracked = _tracked_from_plain(plain)
            self._put_pool(tracked.pool.address, tracked)
        for address, nonce, balance, code_hash, slots in accounts:
            account = self.accounts.setdefault(address, Account())
            account.nonce, account.balance, account.code_hash, account.slots = nonce, balance, code_hash, dict(slots)
        self.codes = dict.fromkeys(codes)
        self._journal.entries = [Entry(n, h, [_undo_from_plain(u) for u in undo]) for n, h, undo in journal]
        self._changed_pools.clear()

    def _add_codes(self, codes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        # Content-addressed, so never undone; a restarted sequencer may publish a code again.
        new = tuple(code for code in codes if code not in self.codes)
        self.codes.update(dict.fromkeys(new))
        return new

    def _apply_log(self, tracked: Tracked, log: Any) -> None:
        try:
            pool = tracked.pool.apply(log)
        except BadLog as error:
            # The pool said something our model does not know: keep its last state, stop trading it, count it.
            self._faults.append(f"bad_log:{error.reason}")
            self._set_pool(log.address, tracked._replace(refusal=f"bad_log:{error.reason}"))
            return
        self._set_pool(log.address, tracked._replace(pool=pool))

    def _apply_pool(self, record: PoolRecord) -> None:
        known = self.pools.get(record.address)
        if record.op is PoolOp.SUSPEND:
            if known is None:
                self._faults.append("suspended_unknown_pool")
            else:
                self._set_pool(record.address, known._replace(refusal=record.refusal or "suspended"))
            return
        family = FAMILIES.get(record.family)
        if family is None:
            self._faults.append("unknown_family")
            return
        try:
            pool = family.from_record(record)
        except BadState:
            # A refused address need not be a pool at all: there is nothing to track. One that was admitted is a fault.
            if not record.refusal:
                self._faults.append("bad_state")
            if known is not None:
                self._set_pool(record.address, None)
            return
        self._set_pool(record.address, Tracked(pool, record.refusal, record.needs))

    def _apply_account(self, state: AccountState) -> None:
        account = self.accounts.setdefault(state.address, Account())
        pairs = state.slots
        slots = {pairs[i : i + 32]: pairs[i + 32 : i + 64] for i in range(0, len(pairs), 64)}
        before = {key: account.slots.get(key) for key in slots}
        self._journal.note(UndoAccount(state.address, account.nonce, account.balance, account.code_hash, before))
        account.nonce = account.nonce if state.nonce is None else state.nonce
        account.balance = account.balance if state.balance is None else state.balance
        account.code_hash = account.code_hash if state.code_hash is None else state.code_hash
        account.slots.update(slots)
        self._changed_accounts.setdefault(state.address, {}).update(dict.fromkeys(slots))

    def _set_pool(self, address: bytes, tracked: Tracked | None) -> None:
        self._journal.note(UndoPool(address, self.pools.get(address)))
        self._put_pool(address, tracked)

    def _put_pool(self, address: bytes, tracked: Tracked | None) -> None:
        before = self.pools.get(address)
        if before is not None:
            self.digest -= entry_digest(before.pool.digest_entry(), before.refusal)
        if tracked is None:
            self.pools.pop(address, None)
        else:
            self.pools[address] = tracked
            self.digest += entry_digest(tracked.pool.digest_entry(), tracked.refusal)
        self.digest %= MODULUS
        self._changed_pools[address] = None

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
        self._changed_accounts.setdefault(undo.address, {}).update(dict.fromkeys(undo.slots))

    def _answer(self, message: ShardInput, new_codes: tuple[bytes, ...]) -> ShardOutput:
        full = self._announce_all
        self._announce_all = False
        pools = self.pools if full else self._changed_pools
        accounts = (
            {address: dict.fromkeys(account.slots) for address, account in self.accounts.items()}
            if full
            else self._changed_accounts
        )
        answer = ShardOutput(
            message.seq,
            message.shard,
            full,
            tuple(sorted(self._changed_pools)),
            tuple(self._pool_update(address) for address in sorted(pools)),
            tuple(self._account_update(address, accounts[address]) for address in sorted(accounts)),
            tuple(self.codes) if full else new_codes,
            self.digest,
            tuple(self._faults),
        )
        self._changed_pools.clear()
        self._changed_accounts.clear()
        self._faults.clear()
        return answer

    def _pool_update(self, address: bytes) -> PoolUpdate:
        tracked = self.pools.get(address)
        if tracked is None:
            return PoolUpdate(address, "", None, "", ())
        return PoolUpdate(address, tracked.pool.FAMILY, tracked.pool.to_plain(), tracked.refusal, tracked.needs)

    def _account_update(self, address: bytes, keys: dict[bytes, None]) -> AccountUpdate:
        account = self.accounts[address]
        slots = {key: account.slots.get(key) for key in keys}
        return AccountUpdate(address, account.nonce, account.balance, account.code_hash, slots)


def _plain_tracked(tracked: Tracked) -> tuple[Any, ...]:
    needs = tuple((n.address, n.keys) for n in tracked.needs)
    return (tracked.pool.FAMILY, tracked.pool.to_plain(), tracked.refusal, needs)


def _tracked_from_plain(plain: tuple[Any, ...]) -> Tracked:
    family, pool, refusal, needs = plain
    return Tracked(FAMILIES[family].from_plain(pool), refusal, tuple(AccountSlots(a, tuple(k)) for a, k in needs))


def _plain_undo(undo: UndoPool | UndoAccount) -> tuple[Any, ...]:
    if isinstance(undo, UndoPool):
        return ("pool", undo.address, None if undo.before is None else _plain_tracked(undo.before))
    return ("account", *undo)


def _undo_from_plain(plain: tuple[Any, ...]) -> UndoPool | UndoAccount:
    kind, *fields = plain
    if kind == "pool":
        address, before = fields
        return UndoPool(address, None if before is None else _tracked_from_plain(before))
    return UndoAccount(*fields)
