"""The market view: the graph to search in and the state to simulate on, assembled from the shards' answers.

It holds nothing that the shards do not hold: after a resume their first answers rebuild it, so it is never snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from operators.graph.digest import combine
from operators.graph.dispatch import Listeners
from operators.graph.messages import AccountUpdate, PoolUpdate, ShardOutput
from operators.pools.base import Pool
from operators.search.graph import Graph
from operators.simulation.hashes import keccak
from operators.simulation.model import AccountView, Witness
from schemas.pools import AccountSlots


class MarketView:
    """All tradable pools as they will be in the next block, and every tracked account as it is at the head, of one chain."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.listeners = Listeners()
        self.codes: dict[bytes, bytes] = {}
        self.digest = bytes(32)
        self._accounts: dict[bytes, AccountUpdate] = {}
        self._needs: dict[bytes, tuple[AccountSlots, ...]] = {}
        #: Tradable pools that time alone may change, as of the head.
        self._timed: dict[bytes, Pool] = {}
        self._next_time = 0

    def apply(self, answers: Sequence[ShardOutput], time_before: int, time_after: int) -> list[bytes]:
        """Take the shards' answers to one event, in shard order; the addresses of the tradable pools it changed, also by the time it passed.

        The times are those expected of the next block before and after the event, unix seconds. Pools that time changes are kept as they will
        be then, since that is the block that routes through them are for.
        """
        self._next_time = time_after
        for answer in answers:
            for code in answer.codes:
                self.codes[keccak(code)] = code
            for account in answer.accounts:
                self._apply_account(account)
            for update in answer.pools:
                self._apply_pool(update)
        # By both times, not by what is shown: after a resume that is new, and the same must be searched.
        moved = sorted(address for address, pool in self._timed.items() if pool.moves(time_before, time_after))
        for address in moved:
            self._show(self._timed[address])
        self.digest = combine(answer.digest for answer in answers)
        touched = (address for answer in answers for address in answer.touched)
        return [address for address in dict.fromkeys((*touched, *moved)) if address in self.graph]

    def needs_of(self, pools: Iterable[bytes]) -> tuple[AccountSlots, ...]:
        """Every slot that a route through these pools reads, as far as the pools declare it."""
        return tuple(need for pool in pools for need in self._needs.get(pool, ()))

    def account(self, address: bytes) -> AccountView | None:
        """What is known of an account, with all its tracked slots; None unless nonce, balance and code are known."""
        known = self._accounts.get(address)
        return None if known is None else _account_view(known, known.slots)

    def witness(self, needs: Iterable[AccountSlots], whole: Iterable[bytes]) -> Witness:
        """The part of the state that a simulation reads: the named slots, and the accounts in `whole` with all slots.

        What is not known is left out, and refused by name when an engine asks for it.
        """
        accounts: dict[bytes, AccountView] = {}
        for address in whole:
            view = self.account(address)
            if view is not None:
                accounts[address] = view
        for need in needs:
            known = self._accounts.get(need.address)
            if known is None:
                continue
            view = accounts.get(need.address) or _account_view(known, {})
            if view is None:
                continue
            slots = dict(view.slots)
            slots.update({key: value for key in need.keys if (value := known.slots.get(key)) is not None})
            accounts[need.address] = view._replace(slots=slots)
        hashes = dict.fromkeys(account.code_hash for account in accounts.values())
        return Witness(accounts, {code_hash: self.codes[code_hash] for code_hash in hashes if code_hash in self.codes})

    def _apply_account(self, update: AccountUpdate) -> None:
        known = self._accounts.get(update.address)
        slots = dict(known.slots) if known else {}
        for key, value in update.slots.items():
            if value is None:
                slots.pop(key, None)
            else:
                slots[key] = value
        self._accounts[update.address] = update._replace(slots=slots)

    def _apply_pool(self, update: PoolUpdate) -> None:
        if update.needs is not None:
            self._needs[update.address] = update.needs
        self._timed.pop(update.address, None)
        known = self.graph.get(update.address)
        if update.pool is not None and not update.refusal:
            if known is None:
                self.listeners.add(update.pool)
            if update.pool.TIMED:
                self._timed[update.address] = update.pool
            self._show(update.pool)
        elif known is not None:
            self.listeners.drop(known)
            self.graph.remove(update.address)

    def _show(self, pool: Pool) -> None:
        shown = pool.at(self._next_time) if pool.TIMED else pool
        if shown is not self.graph.get(pool.address):
            self.graph.set(shown)


def _account_view(known: AccountUpdate, slots: dict[bytes, bytes | None]) -> AccountView | None:
    if known.nonce is None or known.balance is None or known.code_hash is None:
        return None
    present = {key: value for key, value in slots.items() if value is not None}
    return AccountView(known.nonce, int.from_bytes(known.balance, "big"), known.code_hash, present)
