"""The market view: the graph to search in and the state to simulate on, assembled from the shards' answers.

It holds nothing that the shards do not hold: after a resume their first answers rebuild it, so it is never snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from operators.graph.digest import combine
from operators.graph.dispatch import Listeners
from operators.graph.messages import AccountUpdate, PoolUpdate, ShardOutput
from operators.graph.tracked import Needs
from operators.market.anchor_prices import AnchorPrices
from operators.pools.base import Pool
from operators.search.offers import BadPrice
from operators.search.prices import WeiPrice
from operators.search.tables import Tables
from operators.simulation.hashes import Codes
from operators.simulation.model import AccountView, Witness
from schemas.pools import AccountSlots


class MarketView:
    """All tradable pools as they will be in the next block, and every tracked account as it is at the head, of one chain."""

    def __init__(self, native: bytes, anchors: Sequence[bytes], least_gas: Mapping[str, int]) -> None:
        """`anchors` are the tokens that routes start and end in, `native` (the wrapped native token) among them; `least_gas` as `Tables` has it."""
        self.tables = Tables(anchors, gas=least_gas)
        self.listeners = Listeners()
        self._prices = AnchorPrices(native, anchors)
        #: What an event changes in the tables, put there at once; None: the pool is gone.
        self._changed: dict[bytes, Pool | None] = {}
        self.codes = Codes()
        self.digest = bytes(32)
        #: Of each shard as it last told: one without a part in an event is as it was.
        self._digests: dict[int, int] = {}
        self._accounts: dict[bytes, AccountUpdate] = {}
        self._needs: dict[bytes, Needs] = {}
        #: Tradable pools that time alone may change, as of the head.
        self._timed: dict[bytes, Pool] = {}
        self._next_time = 0

    @property
    def prices(self) -> Mapping[bytes, WeiPrice]:
        """What wei are worth in each anchor that has a price, on the states that the tables show."""
        return self._prices.prices

    def apply(self, answers: Sequence[ShardOutput], time_before: int, time_after: int) -> tuple[list[bytes], list[str]]:
        """Take the shards' answers to one event, in shard order; the addresses of the tradable pools it changed, also by the time it passed, and
        typed reasons for pools that the tables do not take.

        The times are those expected of the next block before and after the event, unix seconds. Pools that time changes are kept as they will
        be then, since that is the block that routes through them are for.
        """
        self._next_time = time_after
        for answer in answers:
            for code in answer.codes:
                self.codes.learn(code)
            for account in answer.accounts:
                self._apply_account(account)
            for update in answer.pools:
                self._apply_pool(update)
        # By both times, not by what is shown: after a resume that is new, and the same must be searched.
        passed = time_before != time_after
        moved = sorted(a for a, pool in self._timed.items() if pool.moves(time_before, time_after)) if passed else []
        for address in moved:
            self._show(self._timed[address])
        digests = {answer.shard: answer.digest for answer in answers}
        if any(self._digests.get(shard) != digest for shard, digest in digests.items()):
            self._digests |= digests
            self.digest = combine(self._digests.values())
        faults = self._show_changed() if self._changed else []
        touched = (address for answer in answers for address in answer.touched)
        return [address for address in dict.fromkeys((*touched, *moved)) if address in self.tables], faults

    def needs_of(self, pools: Iterable[bytes]) -> tuple[AccountSlots, ...]:
        """Every slot that a route through these pools reads, as far as the pools declare it."""
        known = (self._needs[pool] for pool in pools if pool in self._needs)
        return tuple(need for needs in known for need in needs.slots)

    def account(self, address: bytes) -> AccountView | None:
        """What is known of an account, with all its tracked slots; None unless nonce, balance and code are known."""
        known = self._accounts.get(address)
        if known is None:
            return None
        return _account_view(known, {key: value for key, value in known.slots.items() if value is not None})

    def witness(self, needs: Iterable[AccountSlots], whole: Iterable[bytes]) -> Witness:
        """The part of the state that a simulation reads: the named slots, and the accounts in `whole` with all slots.

        What is not known is left out, and refused by name when an engine asks for it.
        """
        slots: dict[bytes, dict[bytes, bytes]] = {}
        for address in whole:
            if (known := self._accounts.get(address)) is not None:
                slots[address] = {key: value for key, value in known.slots.items() if value is not None}
        for need in needs:
            if (known := self._accounts.get(need.address)) is not None:
                found = slots.setdefault(need.address, {})
                present = known.slots
                for key in need.keys:
                    if (value := present.get(key)) is not None:
                        found[key] = value
        views = ((address, _account_view(self._accounts[address], of_it)) for address, of_it in slots.items())
        accounts = {address: view for address, view in views if view is not None}
        return Witness(accounts, self.codes.those_of(account.code_hash for account in accounts.values()))

    def _apply_account(self, update: AccountUpdate) -> None:
        known = self._accounts.get(update.address)
        # The view's own: nobody else is handed it, and that of a token which many pools hold is too long to be copied for each block.
        slots = known.slots if known else {}
        for key, value in update.slots.items():
            if value is None:
                slots.pop(key, None)
            else:
                slots[key] = value
        self._accounts[update.address] = AccountUpdate(
            update.address, update.nonce, update.balance, update.code_hash, slots
        )

    def _apply_pool(self, update: PoolUpdate) -> None:
        if update.needs is not None:
            self._needs[update.address] = update.needs
        self._timed.pop(update.address, None)
        known = self._shown(update.address)
        if update.pool is not None and not update.refusal:
            if known is None:
                self.listeners.add(update.pool)
            if update.pool.TIMED:
                self._timed[update.address] = update.pool
            self._show(update.pool)
        elif known is not None:
            self.listeners.drop(known)
            self._changed[update.address] = None

    def _shown(self, address: bytes) -> Pool | None:
        return self._changed[address] if address in self._changed else self.tables.get(address)

    def _show(self, pool: Pool) -> None:
        shown = pool.at(self._next_time) if pool.TIMED else pool
        if shown is not self._shown(pool.address):
            self._changed[pool.address] = shown

    def _show_changed(self) -> list[str]:
        """Bring the tables up with the event. A pool whose price is no number is left out of them, and said so."""
        pools = {address: pool for address, pool in self._changed.items() if pool is not None}
        gone = [address for address, pool in self._changed.items() if pool is None]
        self._changed = {}
        faults = []
        try:
            self.tables.put_many(pools.values())
        except BadPrice:
            for address, pool in pools.items():
                try:
                    self.tables.put(pool)
                except BadPrice:
                    faults.append("bad_price")
                    gone.append(address)
        for address in gone:
            pools.pop(address, None)
            self._prices.drop(address)
            if address in self.tables:
                self.tables.drop(address)
        for pool in pools.values():
            self._prices.put(pool)
        return faults


def _account_view(known: AccountUpdate, slots: dict[bytes, bytes]) -> AccountView | None:
    if known.nonce is None or known.balance is None or known.code_hash is None:
        return None
    return AccountView(known.nonce, int.from_bytes(known.balance, "big"), known.code_hash, slots)
