"""What each kind of event makes of the market: search after blocks and new pools, overlay and search behind pending ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from operators.graph.messages import ShardOutput
from operators.market.heads import Heads
from operators.market.messages import Candidate, EventSummary, RouteFound
from operators.market.view import MarketView
from operators.overlay.pending import behind, simulate_pending
from operators.search.cycles import Route, find_routes
from operators.search.graph import GraphView
from operators.simulation.engine import Engine
from operators.simulation.model import BlockEnv, Transaction, Witness
from schemas.blocks import BlockRecord
from schemas.control import ControlRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.opportunities import Hop, Strategy
from schemas.pending import PendingRecord
from schemas.witness import WitnessRecord

#: Encodes a route as the executor's calldata: (anchor token, amount in, minimum profit, hops) -> bytes.
EncodeCall = Callable[[bytes, int, int, Sequence[Hop]], bytes]


@dataclass(frozen=True)
class MarketSettings:
    """What the market stage is configured with. Amounts in wei of the anchor token."""

    chain_id: int
    fork: str
    block_seconds: int
    anchor: bytes
    executor: bytes
    owner: bytes
    max_hops: int
    max_candidates: int
    min_gross_wei: int
    max_position_wei: int
    max_gas: int


class Market:
    """View and heads of one chain, and the reaction to each event. Pure; the engine it is given must be too."""

    def __init__(self, settings: MarketSettings, engine: Engine, encode_call: EncodeCall, heads: Heads) -> None:
        self._settings = settings
        self._engine = engine
        self._encode = encode_call
        self._view = MarketView()
        self.heads = heads

    def react(self, event: Event, answers: Sequence[ShardOutput]) -> tuple[EventSummary, list[Candidate]]:
        """Take a complete event: its summary for the decision, and the candidates to simulate."""
        first = self.heads.head is None
        head, time_before = event.parts[0], self.heads.next_time()
        if isinstance(head, BlockRecord):
            self.heads.move(head)
        changed = self._view.apply(answers, time_before, self.heads.next_time())
        refusals = [fault for answer in answers for fault in answer.faults]
        found: list[tuple[RouteFound, Candidate]] = []
        if event.kind is EventKind.PENDING:
            found = self._behind_pending(event, refusals)
        elif event.kind in (EventKind.BLOCK, EventKind.POOL) and not first and self.heads.head is not None:
            found = self._after_state(changed, refusals)
        summary = self._summary(event, [route for route, _ in found], [c.transaction for _, c in found], refusals)
        return summary, [candidate for _, candidate in found]

    def _after_state(self, changed: list[bytes], refusals: list[str]) -> list[tuple[RouteFound, Candidate]]:
        routes = self._routes(self._view.graph, changed)
        return self._candidates(Strategy.CYCLE, b"", routes, self.heads.next_env(), None, refusals)

    def _behind_pending(self, event: Event, refusals: list[str]) -> list[tuple[RouteFound, Candidate]]:
        pending = event.parts[0]
        assert isinstance(pending, PendingRecord)
        head = self.heads.head
        if head is None:
            refusals.append("no_head")
            return []
        witness = event.part(WitnessRecord)
        env = self.heads.next_env()
        overlay = simulate_pending(self._engine, self._view.graph, self._view.listeners, self._view.codes, head.hash, env, pending, witness)
        if overlay.refusal:
            refusals.append(overlay.refusal)
            return []
        if not overlay.pools:
            return []
        graph = self._view.graph.overlay(overlay.pools)
        routes = self._routes(graph, [pool.address for pool in overlay.pools])
        return self._candidates(Strategy.BACKRUN, pending.hash, routes, env, overlay.post, refusals)

    def _routes(self, graph: GraphView, changed: Iterable[bytes]) -> list[Route]:
        settings = self._settings
        return find_routes(
            graph, changed, settings.anchor, settings.max_hops, settings.min_gross_wei, settings.max_position_wei,
            settings.max_candidates,
        )  # fmt: skip

    def _candidates(
        self,
        strategy: Strategy,
        target: bytes,
        routes: list[Route],
        env: BlockEnv,
        post: Witness | None,
        refusals: list[str],
    ) -> list[tuple[RouteFound, Candidate]]:
        owner = self._view.account(self._settings.owner)
        if owner is None:
            refusals += ["owner_unknown"] * bool(routes)
            return []
        nonce = owner.nonce
        whole = (self._settings.owner, self._settings.executor)
        found = []
        for index, route in enumerate(routes):
            needs = self._view.needs_of(hop.pool for hop in route.hops)
            witness = self._view.witness(needs, whole)
            if post is not None:
                witness = behind(post, witness)
            candidate = Candidate(index, self._transaction(route, nonce, env), env, witness, needs)
            found.append((RouteFound(index, strategy, target, route.hops, route.gross), candidate))
        return found

    def _transaction(self, route: Route, nonce: int, env: BlockEnv) -> Transaction:
        # The minimum profit is the exact gross: amounts are fixed in the calldata, so anything else means that the state
        # is not the one simulated on, and the call must fail. It is set before simulation since calldata costs gas.
        settings = self._settings
        call = self._encode(settings.anchor, int(route.hops[0].amount_in), route.gross, route.hops)
        return Transaction(
            sender=settings.owner,
            to=settings.executor,
            nonce=nonce,
            value=0,
            data=call,
            gas_limit=settings.max_gas,
            max_fee=env.base_fee,
            priority_fee=0,
            # Before London there is no base fee, and the edge signs the older form.
            tx_type=2 if env.base_fee else 0,
        )

    def _summary(
        self, event: Event, routes: list[RouteFound], transactions: list[Transaction], refusals: list[str]
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
            target_raw=part.raw if isinstance(part, PendingRecord) else b"",
            routes=tuple(routes),
            transactions=tuple(transactions),
            refusals=tuple(refusals),
            control=control,
            state_digest=self._view.digest,
        )
