"""The search flow: events in, decisions out, bundles to the edge.

Live and replay build the same flow; only source and sinks differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from flows.encoding import route_encoder
from flows.families import check_families
from operators.deadline import NO_DEADLINE, Deadline
from operators.decision.core import DecisionSettings
from operators.decision.step import Decided, decide
from operators.graph.step import graph_state
from operators.market.mempool import MempoolLimits
from operators.market.react import MarketSettings
from operators.market.step import market
from operators.observe import Observe, ignore
from operators.pools import FAMILIES
from operators.search.net import GasModel
from operators.simulation.engine import Engine
from operators.simulation.engines import make_engine
from operators.simulation.step import simulation
from schemas.anchors import anchors_of
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.opportunities import OpportunityRecord
from schemas.record import Record

FLOW_ID = "search"
#: Told each event's decision and its opportunities.
Count = Callable[[DecisionRecord, Sequence[OpportunityRecord]], None]


def market_settings(config: Config) -> MarketSettings:
    """What the market stage takes from the configuration. Raises `ConfigError` for a pool family that there is not."""
    check_families(config)
    corrections: dict[str, int] = dict(config.search.gas_corrections)
    return MarketSettings(
        chain_id=config.chain.id,
        fork=config.chain.fork,
        block_seconds=config.chain.block_seconds,
        anchors=anchors_of(config),
        executor=config.executor.address,
        owner=config.executor.owner,
        max_hops=config.search.max_hops,
        max_candidates=config.search.max_candidates,
        min_net_wei=config.search.min_net_wei,
        max_position_wei=config.decide.max_position_wei,
        max_gas=config.decide.max_gas,
        max_cycles=config.search.max_cycles,
        gas=GasModel(config.search.gas_per_route, corrections),
        least_gas={name: max(0, family.LEAST_GAS + corrections.get(name, 0)) for name, family in FAMILIES.items()},
        mempool=MempoolLimits(
            config.search.max_pending_book,
            config.search.max_pending_book_bytes,
            config.search.pending_expiry_blocks,
            config.search.max_pending_sequence,
            config.search.max_pending_partners,
        ),
    )


def decision_settings(config: Config) -> DecisionSettings:
    """What the decision takes from the configuration, with the engine and the digest that identify the run."""
    return DecisionSettings(
        chain_id=config.chain.id,
        min_net_wei=config.decide.min_net_wei,
        max_position_wei=config.decide.max_position_wei,
        max_gas=config.decide.max_gas,
        tip_share_bps=config.decide.tip_share_bps,
        engine=make_engine(config.search.engine).name,
        config_digest=config.decision_digest(),
        request_witness_every=config.search.request_witness_every,
    )


def records_of(decided: Decided) -> Iterable[tuple[str, Record]]:
    """What goes to Kafka for one event: its opportunities, then its decision, then what is asked of the sequencer."""
    for opportunity in decided.opportunities:
        yield opportunity.id.hex(), opportunity
    yield decided.decision.id.hex(), decided.decision
    for command in decided.commands:
        yield command.id.hex(), command


def for_the_edge(decided: Decided) -> tuple[str, DecisionRecord] | None:
    """What the bundle sink must act on: a chosen bundle to send, or earlier ones to cancel."""
    decision = decided.decision
    return (decision.id.hex(), decision) if decision.chosen or decision.cancels else None


def _not_counted(decision: DecisionRecord, opportunities: Sequence[OpportunityRecord]) -> None:
    """Counts nothing."""


def build(
    config: Config,
    source: Source[Event],
    records: Sink[tuple[str, Record]],
    bundles: Sink[tuple[str, DecisionRecord]],
    observe: Observe = ignore,
    deadline: Deadline = NO_DEADLINE,
    count: Count = _not_counted,
) -> Dataflow:
    """The flow. `records` takes opportunities, decisions and commands, `bundles` is the edge (or its shadow in a replay). `deadline` says
    what is late: live by a clock (`flows.deadline`), in a replay by what is recorded. `count` is told each event's decision and opportunities."""
    search, decision = market_settings(config), decision_settings(config)
    shards, simulation_shards = config.search.shards, config.search.simulation_shards

    def engine() -> Engine:
        return make_engine(config.search.engine, threads=config.runtime.engine_threads)

    flow = Dataflow(FLOW_ID)
    events = op.input("events", flow, source)
    changes = graph_state("graph_state", events, shards, config.ingest.reorg_depth)
    reactions = market("market", events, changes, shards, search, engine, route_encoder(config), observe, deadline)
    verdicts = simulation("simulate", reactions, simulation_shards, engine, deadline, config.search.access_lists)
    decided = op.key_rm(
        "decided", decide("decide", reactions, verdicts, simulation_shards, decision, observe, deadline)
    )
    # Records before bundles: a submission never exists without the decision that explains it being on its way.

    def to_records(one: Decided) -> Iterable[tuple[str, Record]]:
        count(one.decision, one.opportunities)
        return records_of(one)

    op.output("records", op.flat_map("to_records", decided, to_records), records)
    op.output("bundle_sink", op.filter_map("to_edge", decided, for_the_edge), bundles)
    return flow
