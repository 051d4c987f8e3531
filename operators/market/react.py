"""What each kind of event makes of the market: search after blocks and new pools, overlay and search behind pending ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from operators.graph.messages import ShardOutput
from operators.market.candidates import Behind, EncodeCall, NotEncodable, Writer
from operators.market.heads import Heads
from operators.market.hints import NO_POOL, marked, read_hint
from operators.market.mempool import Followed, Mempool, MempoolLimits, Modelled, Prestate
from operators.market.messages import Candidate, EventSummary, RouteFound
from operators.market.plans import Limits, Plan, find_plans
from operators.market.view import MarketView
from operators.overlay.pending import Overlay, Traced, reads_a_pool, simulate_sequence
from operators.search.net import GasModel, Terms
from operators.search.offers import BadPrice
from operators.simulation.engine import Engine
from operators.simulation.model import BlockEnv, Transaction, Witness
from schemas.blocks import BlockRecord
from schemas.control import ControlRecord
from schemas.decisions import EventKind, Target
from schemas.event import Event
from schemas.hints import HintRecord
from schemas.opportunities import Strategy
from schemas.pending import PendingRecord
from schemas.witness import WitnessRecord


@dataclass(frozen=True)
class MarketSettings:
    """What the market stage is configured with. `anchors`: tokens that routes start and end in, the wrapped native token first. `gas` is what
    routes cost besides what their pools estimate, `least_gas` the least of a hop by family. `mempool` bounds what is
    kept of pending transactions. Routes must earn more than `min_net_wei` after gas at the next base fee; up to `max_cycles` of them go
    into one call."""

    chain_id: int
    fork: str
    block_seconds: int
    anchors: tuple[bytes, ...]
    executor: bytes
    owner: bytes
    max_hops: int
    max_candidates: int
    min_net_wei: int
    max_position_wei: int
    max_gas: int
    max_cycles: int = 1
    gas: GasModel = field(default_factory=lambda: GasModel(0, {}))
    least_gas: Mapping[str, int] = field(default_factory=dict)
    mempool: MempoolLimits = field(default_factory=MempoolLimits)


class Market:
    """View, heads and pending transactions of one chain, and the reaction to each event. Pure; the engine it is given must be too."""

    def __init__(
        self, settings: MarketSettings, engine: Engine, encode_call: EncodeCall, heads: Heads, mempool: Mempool
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._writer = Writer(settings.owner, settings.executor, settings.max_gas, encode_call)
        self._view = MarketView(settings.anchors[0], settings.anchors, settings.least_gas)
        self.heads = heads
        self.mempool = mempool

    def react(self, event: Event, answers: Sequence[ShardOutput]) -> tuple[EventSummary, list[Candidate]]:
        """Take a complete event: its summary for the decision, and the candidates to simulate."""
        first = self.heads.head is None
        head, time_before = event.parts[0], self.heads.next_time()
        if isinstance(head, BlockRecord):
            self.heads.move(head)
            self.mempool.move(head)
        changed, faults = self._view.apply(answers, time_before, self.heads.next_time())
        refusals = [*(fault for answer in answers for fault in answer.faults), *faults]
        found: list[tuple[RouteFound, Candidate]] = []
        replaced: tuple[bytes, ...] = ()
        if event.kind is EventKind.PENDING:
            found, replaced = self._on_pending(event, refusals)
        elif isinstance(head, HintRecord):
            found = self._behind_hint(head, refusals)
        elif event.kind in (EventKind.BLOCK, EventKind.POOL) and not first and self.heads.head is not None:
            found = self._after_state(changed, refusals)
        summary = self._summary(
            event, [route for route, _ in found], [c.transaction for _, c in found], refusals, replaced
        )
        return summary, [candidate for _, candidate in found]

    def _after_state(self, changed: list[bytes], refusals: list[str]) -> list[tuple[RouteFound, Candidate]]:
        env = self.heads.next_env()
        return self._write(Strategy.CYCLE, (), self._plans(changed, env, refusals), env, None, refusals, 0)

    def _on_pending(
        self, event: Event, refusals: list[str]
    ) -> tuple[list[tuple[RouteFound, Candidate]], tuple[bytes, ...]]:
        """What follows a pending transaction, and what it replaced.

        It is tried behind its sender's earlier ones (and, with them, behind another sender's, for what only both are worth); if that can be modelled, then each later one of the same sender that is known already
        and follows without a gap is tried as well: it could not be before.
        """
        pending, head, witness = event.parts[0], self.heads.head, event.part(WitnessRecord)
        assert isinstance(pending, PendingRecord)
        if head is None:
            refusals.append("no_head")
            return [], ()
        added = self.mempool.add(pending, witness, head)
        refusals += ["replaced"] * len(added.replaced)
        if added.refusal:
            refusals.append(added.refusal)
            return [], added.replaced
        if pending.hash not in self.mempool:
            refusals.append("pending_evicted")
            return [], added.replaced
        if witness is not None and witness.block_hash != head.hash:
            refusals.append("stale_witness")
            return [], added.replaced
        found: list[tuple[RouteFound, Candidate]] = []
        if self._behind(pending.hash, refusals, found):
            for successor in self.mempool.successors(pending.hash):
                if not self._behind(successor, refusals, found):
                    break
        return found, added.replaced

    def _behind(self, tx_hash: bytes, refusals: list[str], found: list[tuple[RouteFound, Candidate]]) -> bool:
        """Add what follows a pending transaction to `found`; whether it could be modelled."""
        sequence, refusal = self.mempool.sequence(tx_hash)
        if refusal:
            refusals.append(refusal)
            return False
        after = self._after(sequence)
        if after.refusal:
            refusals.append(after.refusal)
            return False
        plans = self._plans_after(after, after.moved, refusals)
        if plans is None:
            refusals.append("bad_price")
            return False
        found += self._write_behind(sequence, plans, after, refusals, len(found))
        alone = Followed(after.moved, max((plan.net_wei for plan in plans), default=0))
        self.mempool.followed(tx_hash, alone)
        if alone.moved:
            found += self._behind_two(tx_hash, sequence, alone, refusals, len(found))
        return True

    def _behind_two(
        self, tx_hash: bytes, sequence: Sequence[Modelled], alone: Followed, refusals: list[str], first: int
    ) -> list[tuple[RouteFound, Candidate]]:
        """What follows a transaction and one of another sender before it, where that earns more than following each alone would."""
        found: list[tuple[RouteFound, Candidate]] = []
        for other, known in self._partners(tx_hash, alone):
            before, refusal = self.mempool.sequence(other)
            if refusal:
                continue
            both = (*before, *sequence)
            after = self._after(both)
            if after.refusal:
                refusals.append(f"together_{after.refusal}")
                continue
            plans = self._plans_after(after, (*known.moved, *after.moved), refusals)
            best = max(plans or (), key=lambda plan: plan.net_wei, default=None)
            if best is not None and best.net_wei > known.net_wei + alone.net_wei:
                found += self._write_behind(both, (best,), after, refusals, first + len(found))
        return found

    def _partners(self, tx_hash: bytes, alone: Followed) -> list[tuple[bytes, Followed]]:
        """The latest transactions of others that move a price of a token whose price this one moves too; anchors, which all do, aside."""
        mine = self._tokens_of(alone.moved)
        others = (one for one in self.mempool.partners(tx_hash) if not mine.isdisjoint(self._tokens_of(one[1].moved)))
        return list(islice(others, self._settings.mempool.partners))

    def _tokens_of(self, pools: Iterable[bytes]) -> set[bytes]:
        known = (self._view.tables.get(pool) for pool in pools)
        return {token for pool in known if pool is not None for token in pool.tokens}.difference(self._settings.anchors)

    def _after(self, sequence: Sequence[Modelled]) -> Overlay:
        """The market after pending transactions in order."""
        view = self._view
        if len(sequence) == 1 and not self._may_move_a_pool(sequence[0].prestate):
            return Overlay("", ())  # most do not, and to execute one costs more than all else about it
        traced = [Traced(each.record, *each.prestate.plain) for each in sequence]
        return simulate_sequence(
            self._engine, view.tables.get, view.listeners, view.codes, self.heads.next_env(), traced
        )

    def _may_move_a_pool(self, prestate: Prestate) -> bool:
        known = prestate.whole and prestate.reads
        return not known or reads_a_pool(known, self._view.tables.get, self._view.listeners)

    def _plans_after(self, after: Overlay, moved: Sequence[bytes], refusals: list[str]) -> tuple[Plan, ...] | None:
        """What is worth a call after these pools were moved; None where one of them is left in a state that has no price: nothing can be said then."""
        if not moved:
            return ()
        try:
            with self._view.tables.overlay(after.pools):
                return self._plans(moved, self.heads.next_env(), refusals)
        except BadPrice:
            return None

    def _write_behind(
        self, sequence: Sequence[Modelled], plans: Sequence[Plan], after: Overlay, refusals: list[str], first: int
    ) -> list[tuple[RouteFound, Candidate]]:
        if not plans:
            return []  # the state after all of them is worked out when asked for, and mostly nobody has to
        targets = tuple(Target(each.record.hash, each.record.raw) for each in sequence)
        return self._write(Strategy.BACKRUN, targets, plans, self.heads.next_env(), after.post, refusals, first)

    def _behind_hint(self, hint: HintRecord, refusals: list[str]) -> list[tuple[RouteFound, Candidate]]:
        """What might follow a transaction that is only hinted at: searched where its logs point, not simulated behind it."""
        head, view = self.heads.head, self._view
        if head is None:
            refusals.append("no_head")
            return []
        env = self.heads.next_env()
        told = read_hint(hint.logs, view.tables.get, view.listeners, env.timestamp)
        if not told.named:
            refusals.append(NO_POOL)
            return []
        try:
            with view.tables.overlay(told.pools):
                plans = self._plans(told.named, env, refusals)
        except BadPrice:
            refusals.append("bad_price")
            return []
        targets = (Target(hint.hash, b""),)
        found = self._write(Strategy.BACKRUN, targets, plans, env, None, refusals, 0)
        return marked(found, told.pools)

    def _plans(self, changed: Iterable[bytes], env: BlockEnv, refusals: list[str]) -> tuple[Plan, ...]:
        """What is worth a call after these pools changed, on the states that the tables show. Wei are priced on the states after the head."""
        settings, prices = self._settings, self._view.prices
        terms = Terms(
            settings.gas,
            env.base_fee,
            prices,
            {anchor: price.of_wei(settings.max_position_wei) for anchor, price in prices.items()},
            settings.min_net_wei,
        )
        limits = Limits(settings.max_hops, settings.max_candidates, settings.max_cycles, settings.max_gas)
        found = find_plans(self._view.tables, changed, terms, limits)
        refusals += ["unpriced_anchor"] * len(found.unpriced)
        return found.plans

    def _write(
        self,
        strategy: Strategy,
        targets: tuple[Target, ...],
        plans: Sequence[Plan],
        env: BlockEnv,
        post: Witness | None,
        refusals: list[str],
        first: int,
    ) -> list[tuple[RouteFound, Candidate]]:
        """Plans as candidates behind `targets`, after which the state is `post`; those of an event are numbered on from `first`."""
        if not plans:
            return []
        owner = self._view.account(self._settings.owner)
        if owner is None:
            refusals.append("owner_unknown")
            return []
        behind = Behind(strategy, targets, env, post, owner.nonce)
        found: list[tuple[RouteFound, Candidate]] = []
        for plan in plans:
            try:
                found.append(self._writer.write(first + len(found), plan, behind, self._view))
            except NotEncodable as error:
                refusals.append(str(error))
        return found

    def _summary(
        self,
        event: Event,
        routes: list[RouteFound],
        transactions: list[Transaction],
        refusals: list[str],
        replaced: tuple[bytes, ...],
    ) -> EventSummary:
        part = event.parts[0]
        head = self.heads.head
        owner = self._view.account(self._settings.owner)
        control = None
        if isinstance(part, ControlRecord):
            control = (part.command.value, part.subject, part.until_block)
        return EventSummary(
            seq=event.seq,
            kind=event.kind,
            head_number=head.number if head else 0,
            head_hash=head.hash if head else bytes(32),
            block_hash=part.hash if isinstance(part, BlockRecord) else b"",
            target_block=head.number + 1 if head else 0,
            base_fee=self.heads.next_env().base_fee if head else 0,
            nonce=owner.nonce if owner else None,
            routes=tuple(routes),
            transactions=tuple(transactions),
            refusals=tuple(refusals),
            control=control,
            state_digest=self._view.digest,
            replaced=replaced,
        )
