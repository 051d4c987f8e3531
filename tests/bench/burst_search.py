"""The search of the bench `burst`: the cores that the search flow's steps call, one after the other, and the edge's signing, without Kafka and relays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from flows.encoding import route_encoder
from flows.search import decision_settings, for_the_edge, market_settings, records_of
from infra.kafka.assembler import Assembler
from infra.kafka.positions import Position
from infra.relays.bundle import Bundle, build_bundle, send_body
from infra.relays.dialects import dialect
from infra.relays.signing import Signer
from operators.decision.core import Decision
from operators.decision.requests import Requests
from operators.decision.step import Decided
from operators.graph.codes import CODE_SHARDS, CodeShard, fan_out_codes
from operators.graph.messages import fan_out_parts
from operators.graph.shard import GraphShard
from operators.market.heads import Heads
from operators.market.mempool import Mempool
from operators.market.react import Market
from operators.market.step import Reaction
from operators.simulation.engine import Engine, Execution
from operators.simulation.engines import make_engine
from operators.simulation.step import simulate, split
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.pools import PoolRecord
from schemas.record import Sequenced
from schemas.topics import topic
from tests.bench.burst_intake import Shares, Written, now


class Signed(NamedTuple):
    """A bundle as it would go to a relay: the bytes of the request and its signature header."""

    decision: DecisionRecord
    bundle: Bundle
    body: bytes
    header: str


class Done(NamedTuple):
    """What became of one event, and the seconds that each stage of it took."""

    event: Event
    decided: Decided
    signed: Signed | None
    shares: Shares
    #: What was executed to find out what a pending transaction does.
    executed: Sequence[Execution]


class SearchSide:
    """One worker with all shards."""

    def __init__(self, config: Config, owner: Signer | None = None, identity: Signer | None = None) -> None:
        search = config.search
        settings = market_settings(config)
        self._shards = [GraphShard(None, config.ingest.reorg_depth) for _ in range(search.shards)]
        self._codes = [CodeShard() for _ in range(CODE_SHARDS)]
        threads = config.runtime.engine_threads
        self._overlays = _Timed(make_engine(search.engine, threads=threads))
        self.engine: Engine = make_engine(search.engine, threads=threads)
        heads = Heads(settings.chain_id, settings.fork, settings.block_seconds)
        self.market = Market(
            settings,
            self._overlays,
            route_encoder(config),
            heads,
            Mempool(settings.mempool),  # type: ignore[arg-type]
        )
        self._decision = Decision(decision_settings(config))
        self._requests = Requests(config.chain.id, search.request_witness_every)
        self._simulation_shards, self._access_lists = search.simulation_shards, search.access_lists
        self._assembler = Assembler(config.chain.id)
        self._dialect = dialect("flashbots")
        self._owner, self._identity = owner, identity
        self._pools: set[bytes] = set()
        self._place, self._first = 0, True

    def events(self, group: Written) -> list[Event]:
        """The events that a group of the log's records completes."""
        for name, value in group:
            record = topic(name).codec.decode(value)
            if isinstance(record, PoolRecord):
                self._pools.add(record.address)
            if isinstance(record, Sequenced):
                self._place += 1
                self._assembler.add(record, Position(name, 0, self._place), len(value))
        return self._assembler.take(len(group))

    def moved(self, done: Done) -> bool:
        """Whether a pending transaction that could be executed did something to a pool."""
        logs = (log for execution in done.executed for verdict in execution.verdicts for log in verdict.logs)
        return any(log.address in self._pools for log in logs)

    def take(self, group: Written) -> Iterable[Done]:
        """All that the flow does with a group of records."""
        watch = _Watch()
        events = self.events(group)
        share = watch.lap() / max(1, len(events))
        for event in events:
            yield self._event(event, share)

    def _event(self, event: Event, decode_s: float) -> Done:
        watch, shards = _Watch(), len(self._shards)
        shares: Shares = {"decoded": decode_s}
        # The first event of a process goes to all: see `operators.graph.step`.
        first, self._first = self._first, False
        answers = [self._shards[message.shard].apply(message) for _, message in fan_out_parts(event, shards, first)]
        answers += [
            self._codes[message.shard - shards].apply(message) for _, message in fan_out_codes(event, shards, first)
        ]
        shares["graph"] = watch.lap()
        self._overlays.begin()
        summary, candidates = self.market.react(event, answers)
        reaction = Reaction(summary, tuple(candidates))
        whole = watch.lap()
        shares["overlay"] = self._overlays.seconds
        shares["search, candidates"] = whole - self._overlays.seconds
        messages = (message for _, message in split(reaction, self._simulation_shards))
        outputs = [simulate(self.engine, message, access_lists=self._access_lists) for message in messages]
        shares["simulate"] = watch.lap()
        verdicts = {index: verdict for output in outputs for index, verdict in output.verdicts}
        decision, opportunities = self._decision.decide(summary, verdicts)
        decided = Decided(decision, tuple(opportunities), tuple(self._requests.of(summary, verdicts)))
        for _, record in records_of(decided):
            topic(record.TOPIC).codec.encode(record)
        shares["decide, records"] = watch.lap()
        signed = self._sign(decided)
        shares["sign"] = watch.lap()
        return Done(event, decided, signed, shares, self._overlays.executed)

    def _sign(self, decided: Decided) -> Signed | None:
        asked = for_the_edge(decided)
        if asked is None or self._owner is None or self._identity is None or asked[1].chosen is None:
            return None
        bundle = build_bundle(asked[1], self._owner)
        body = send_body(bundle, self._dialect)
        return Signed(asked[1], bundle, body, self._identity.relay_header(body))


class _Watch:
    """Seconds from one look to the next."""

    def __init__(self) -> None:
        self._last = now()

    def lap(self) -> float:
        before, self._last = self._last, now()
        return self._last - before


class _Timed:
    """An engine that says how long it took to execute, and what."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def begin(self) -> None:
        """Forget what was."""
        self.seconds = 0.0
        self.executed: list[Execution] = []

    def execute(self, *args: Any, **more: Any) -> Execution:
        """As the engine does."""
        started = now()
        execution = self._engine.execute(*args, **more)
        self.seconds += now() - started
        self.executed.append(execution)
        return execution
