"""Which transactions go into a block, in which order: bundles by effective value, each in one piece, the users' by fee around them.

The algorithm is a plain greedy one. Items (a bundle, or a user's transaction) are taken by wei per gas for the builder, as soon as
their nonces allow; the whole block is simulated; a bundle with a failing transaction is dropped and the block made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from infra.chain.transactions import SignedTransaction
from infra.devnet.bundles import Bundle
from infra.devnet.node import to_hex
from infra.devnet.simulation import BlockEnv, Result, SimulationRefused

Simulate = Callable[[Sequence[SignedTransaction], range], list[Result]]


class Drop(StrEnum):
    """Why a bundle is not in the block."""

    REVERTED = "reverted"
    CONFLICT = "conflict"
    """Another bundle of more value took the same transaction or nonce."""
    NONCE = "nonce"
    BASE_FEE = "base_fee"
    TIMESTAMP = "timestamp"
    BLOCK_FULL = "block_full"
    UNFUNDED = "unfunded"
    PLACEMENT = "placement"
    """In a faithful block: transactions of the block in the bundle are not at its start, or not as they follow in the block."""
    REFUSED = "refused"
    """The node's pool does not take one of its transactions."""
    LATE = "late"
    """It came while its block was being built."""


@dataclass(frozen=True)
class Dropped:
    """A bundle that is left out."""

    bundle: Bundle
    reason: Drop
    detail: str


@dataclass(frozen=True)
class Scored:
    """A bundle that works by itself, and what it pays."""

    bundle: Bundle
    value: int
    """Wei to the builder."""
    gas: int

    @property
    def price(self) -> int:
        """Wei per gas: what bundles are ordered by."""
        return self.value // max(1, self.gas)


@dataclass
class Plan:
    """A block to be mined."""

    transactions: list[SignedTransaction] = field(default_factory=list)
    included: dict[int, Scored] = field(default_factory=dict)
    """Bundles by the index of their first transaction."""
    dropped: list[Dropped] = field(default_factory=list)


@dataclass(frozen=True)
class Assembly:
    """Everything one block is made from."""

    env: BlockEnv
    nonces: Mapping[bytes, int]
    """Next nonce of each sender at the head."""
    simulate: Simulate

    def by_value(self, users: Sequence[SignedTransaction], bundles: Sequence[Bundle]) -> Plan:
        """The most valuable block: bundles and users' transactions by wei per gas."""

        def before(bundle: Bundle) -> Sequence[SignedTransaction]:
            return _needed_before(bundle, users)

        return self._settle(bundles, before, lambda accepted: self._place_by_value(users, accepted))

    def faithful(self, given: Sequence[SignedTransaction], bundles: Sequence[Bundle]) -> Plan:
        """The given transactions in the given order, each bundle right behind its target, those without a target at the end."""
        index_of = {transaction.hash: index for index, transaction in enumerate(given)}

        def before(bundle: Bundle) -> Sequence[SignedTransaction]:
            return given[
                : min((index_of[t.hash] for t in bundle.transactions if t.hash in index_of), default=len(given))
            ]

        return self._settle(bundles, before, lambda accepted: self._place_behind(given, index_of, accepted))

    def _settle(
        self,
        bundles: Sequence[Bundle],
        before: Callable[[Bundle], Sequence[SignedTransaction]],
        place: Callable[[list[Scored]], Plan],
    ) -> Plan:
        """Place, simulate the whole, drop what fails, and again until nothing fails."""
        accepted: list[Scored] = []
        dropped: list[Dropped] = []
        for bundle in bundles:
            verdict = self._score(bundle, before(bundle))
            if isinstance(verdict, Scored):
                accepted.append(verdict)
            else:
                dropped.append(verdict)
        # Best first; of equals the one that came first.
        accepted.sort(key=lambda scored: (-scored.price, scored.bundle.received))
        while True:
            plan = place(accepted)
            failed = self._first_failure(plan)
            if failed is None:
                plan.dropped = dropped + plan.dropped
                return plan
            dropped.append(failed)
            accepted = [scored for scored in accepted if scored.bundle is not failed.bundle]

    # ------------------------------------------------------------ one bundle by itself

    def _score(self, bundle: Bundle, before: Sequence[SignedTransaction]) -> Scored | Dropped:
        """Simulate the bundle at the first place it can stand: behind `before`."""
        if bundle.min_timestamp is not None and self.env.timestamp < bundle.min_timestamp:
            return Dropped(bundle, Drop.TIMESTAMP, f"block time {self.env.timestamp} is before {bundle.min_timestamp}")
        if bundle.max_timestamp is not None and self.env.timestamp > bundle.max_timestamp:
            return Dropped(bundle, Drop.TIMESTAMP, f"block time {self.env.timestamp} is after {bundle.max_timestamp}")
        for transaction in bundle.transactions:
            if transaction.tip(self.env.base_fee) < 0:
                why = f"{_name(transaction)} pays {transaction.max_fee}, the base fee is {self.env.base_fee}"
                return Dropped(bundle, Drop.BASE_FEE, why)
            if transaction.nonce < self.nonces.get(transaction.sender, 0):
                return Dropped(bundle, Drop.NONCE, f"nonce {transaction.nonce} of {_name(transaction)} is used")
        measured = range(len(before), len(before) + len(bundle.transactions))
        try:
            results = self.simulate([*before, *bundle.transactions], measured)[len(before) :]
        except SimulationRefused as error:
            return Dropped(bundle, Drop.UNFUNDED, str(error))
        if (failure := _failing(bundle, results)) is not None:
            return Dropped(bundle, Drop.REVERTED, failure)
        return Scored(
            bundle, sum(result.coinbase_diff for result in results), sum(result.gas_used for result in results)
        )

    # ------------------------------------------------------------ the two ways to place

    def _place_by_value(self, users: Sequence[SignedTransaction], accepted: list[Scored]) -> Plan:
        plan = Plan()
        state = _Placed(dict(self.nonces))
        payable = [user for user in users if user.tip(self.env.base_fee) >= 0]
        waiting: list[Scored | SignedTransaction] = [*accepted, *payable]
        # A stable order also between equals: bundles first, by arrival, then users as the pool gave them.
        waiting.sort(key=lambda item: -(item.price if isinstance(item, Scored) else item.tip(self.env.base_fee)))
        while (item := self._next(waiting, payable, state, plan)) is not None:
            waiting.remove(item)
            if isinstance(item, Scored):
                for user in _needed_before(item.bundle, payable):
                    if user.hash not in state.hashes:
                        state.put(plan, user)
                state.put_bundle(plan, item)
            else:
                state.put(plan, item)
        return plan

    @staticmethod
    def _next(
        waiting: list[Scored | SignedTransaction], payable: Sequence[SignedTransaction], state: _Placed, plan: Plan
    ) -> Scored | SignedTransaction | None:
        """The most valuable item whose nonces allow it now; bundles that cannot come any more are dropped on the way."""
        for bundle in [item for item in waiting if isinstance(item, Scored)]:
            if (lost := state.conflict(bundle)) is not None:
                waiting.remove(bundle)
                plan.dropped.append(lost)
        while True:
            # A target waits for its bundle: taken by itself it would leave the bundle nothing to follow.
            reserved = {t.hash for item in waiting if isinstance(item, Scored) for t in item.bundle.transactions}
            for item in waiting:
                if isinstance(item, Scored):
                    ahead = [user for user in _needed_before(item.bundle, payable) if user.hash not in state.hashes]
                    if state.follows([*ahead, *item.bundle.transactions]):
                        return item
                elif item.hash not in reserved and item.hash not in state.hashes and item.nonce == state.nonce(item):
                    return item
            stuck = [item for item in waiting if isinstance(item, Scored)]
            if not stuck:
                return None
            plan.dropped += [_nonce_gap(item, state) for item in stuck]
            for gone in stuck:
                waiting.remove(gone)

    def _place_behind(
        self, given: Sequence[SignedTransaction], index_of: Mapping[bytes, int], accepted: list[Scored]
    ) -> Plan:
        taken: dict[bytes, Bundle] = {}
        behind: dict[int, list[Scored]] = {}
        plan = Plan()
        for scored in accepted:
            places = [index_of[t.hash] for t in scored.bundle.transactions if t.hash in index_of]
            first = [t.hash for t in scored.bundle.transactions[: len(places)]]
            if places and [t.hash for t in given[places[0] : places[0] + len(places)]] != first:
                why = "the block's own transactions are not at its start as they follow in the block"
                plan.dropped.append(Dropped(scored.bundle, Drop.PLACEMENT, why))
                continue
            if (
                rival := next((taken[t.hash] for t in scored.bundle.transactions if t.hash in taken), None)
            ) is not None:
                plan.dropped.append(Dropped(scored.bundle, Drop.CONFLICT, f"lost to {to_hex(rival.hash)}"))
                continue
            taken |= dict.fromkeys((t.hash for t in scored.bundle.transactions), scored.bundle)
            behind.setdefault(places[-1] if places else len(given), []).append(scored)
        state = _Placed(dict(self.nonces))
        for index, transaction in enumerate([*given, None]):
            if transaction is not None:
                state.put(plan, transaction)
            for scored in behind.get(index, ()):
                own = [t for t in scored.bundle.transactions if t.hash not in index_of]
                if (lost := state.conflict(scored, own)) is not None:
                    plan.dropped.append(lost)
                elif not state.follows(own):
                    plan.dropped.append(_nonce_gap(scored, state, own))
                else:
                    state.put_bundle(plan, scored, own)
        return plan

    # ------------------------------------------------------------ the block as a whole

    def _first_failure(self, plan: Plan) -> Dropped | None:
        """The bundle to be dropped from this block, None when the block is good. Users that do not fit are cut off the plan."""
        if not plan.transactions:
            return None
        try:
            results = self.simulate(plan.transactions, range(0))
        except SimulationRefused as error:
            # Somebody's funds are gone at this place; the least valuable bundle is the likeliest to be too many.
            if not plan.included:
                raise
            least = min(plan.included.values(), key=lambda scored: (scored.price, -scored.bundle.received))
            return Dropped(least.bundle, Drop.UNFUNDED, str(error))
        for start, scored in sorted(plan.included.items()):
            size = len(scored.bundle.transactions)
            if (failure := _failing(scored.bundle, results[start : start + size])) is not None:
                return Dropped(scored.bundle, Drop.REVERTED, f"in its place of the block: {failure}")
        return self._overflow(plan, results)

    def _overflow(self, plan: Plan, results: list[Result]) -> Dropped | None:
        """Hold the block to its gas limit: a transaction's whole gas limit must fit where it stands (Yellow Paper, 6.2)."""
        used = 0
        for index, (transaction, result) in enumerate(zip(plan.transactions, results, strict=True)):
            if used + transaction.gas_limit > self.env.gas_limit:
                if plan.included:
                    least = min(plan.included.values(), key=lambda scored: (scored.price, -scored.bundle.received))
                    return Dropped(
                        least.bundle,
                        Drop.BLOCK_FULL,
                        f"the block has no room for {transaction.gas_limit} gas at index {index}",
                    )
                del plan.transactions[index:]
                return None
            used += result.gas_used
        return None


class _Placed:
    """What stands in the block so far."""

    def __init__(self, nonces: dict[bytes, int]) -> None:
        self._nonces = nonces
        self.hashes: set[bytes] = set()
        self._owner: dict[tuple[bytes, int], Bundle | None] = {}

    def nonce(self, transaction: SignedTransaction) -> int:
        return self._nonces.get(transaction.sender, 0)

    def put(self, plan: Plan, transaction: SignedTransaction, bundle: Bundle | None = None) -> None:
        plan.transactions.append(transaction)
        self.hashes.add(transaction.hash)
        self._owner[transaction.sender, transaction.nonce] = bundle
        self._nonces[transaction.sender] = transaction.nonce + 1

    def put_bundle(self, plan: Plan, scored: Scored, own: Sequence[SignedTransaction] | None = None) -> None:
        """Place a bundle; `own` are its transactions that do not stand there already, right before."""
        own = own if own is not None else scored.bundle.transactions
        plan.included[len(plan.transactions) - (len(scored.bundle.transactions) - len(own))] = scored
        for transaction in own:
            self.put(plan, transaction, scored.bundle)

    def follows(self, transactions: Sequence[SignedTransaction]) -> bool:
        """Whether these can come next, in this order, by their nonces."""
        nonces: dict[bytes, int] = {}
        for transaction in transactions:
            if transaction.nonce != nonces.get(transaction.sender, self.nonce(transaction)):
                return False
            nonces[transaction.sender] = transaction.nonce + 1
        return True

    def conflict(self, scored: Scored, own: Sequence[SignedTransaction] | None = None) -> Dropped | None:
        """The loss of a bundle that wants what stands in the block already, None when it wants nothing of that."""
        for transaction in own if own is not None else scored.bundle.transactions:
            key = (transaction.sender, transaction.nonce)
            if key in self._owner:
                rival = self._owner[key]
                what = f"lost to {to_hex(rival.hash)}" if rival is not None else "a transaction of the block took it"
                return Dropped(
                    scored.bundle, Drop.CONFLICT, f"nonce {transaction.nonce} of {_name(transaction)}: {what}"
                )
        return None


def _nonce_gap(scored: Scored, state: _Placed, own: Sequence[SignedTransaction] | None = None) -> Dropped:
    transactions = own if own is not None else scored.bundle.transactions
    gap = next((t for t in transactions if t.nonce != state.nonce(t)), transactions[0])
    return Dropped(
        scored.bundle, Drop.NONCE, f"{_name(gap)} has nonce {gap.nonce}, its sender's next is {state.nonce(gap)}"
    )


def _needed_before(bundle: Bundle, around: Sequence[SignedTransaction]) -> list[SignedTransaction]:
    """What of the surrounding transactions must come before this bundle: its senders' earlier nonces."""
    own = {transaction.hash for transaction in bundle.transactions}
    first: dict[bytes, int] = {}
    for transaction in bundle.transactions:
        first[transaction.sender] = min(transaction.nonce, first.get(transaction.sender, transaction.nonce))
    return sorted(
        (t for t in around if t.hash not in own and t.nonce < first.get(t.sender, 0)), key=lambda t: (t.sender, t.nonce)
    )


def _failing(bundle: Bundle, results: Sequence[Result]) -> str | None:
    """The first transaction that failed and may not, in words."""
    for index, (transaction, result) in enumerate(zip(bundle.transactions, results, strict=True)):
        if not result.success and transaction.hash not in bundle.may_revert:
            return f"txs[{index}] {_name(transaction)} failed with {to_hex(result.output[:132])}"
    return None


def _name(transaction: SignedTransaction) -> str:
    return to_hex(transaction.hash)
