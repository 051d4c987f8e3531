"""The search flow: events in, decisions out, bundles to the edge.

Live and replay build the same flow; only source and sinks differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from contracts.executor import Hop as ExecutorHop
from contracts.executor import encode_execute
from operators.decision.core import DecisionSettings
from operators.decision.step import Decided, decide
from operators.graph.step import graph_state
from operators.market.react import MarketSettings
from operators.market.step import market
from operators.observe import Observe, ignore
from operators.simulation.engine import Engine
from operators.simulation.engines import make_engine
from operators.simulation.step import simulation
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.opportunities import Hop
from schemas.record import Record

FLOW_ID = "search"
#: How the executor names a pool family in its packed hops.
EXECUTOR_KINDS = {"uniswap_v2": 0}


def encode_route(token: bytes, amount_in: int, min_profit: int, hops: Sequence[Hop]) -> bytes:
    """A route as the executor's calldata."""
    packed = [ExecutorHop(h.pool, h.zero_for_one, int(h.amount_out), EXECUTOR_KINDS[h.family]) for h in hops]
    return encode_execute(token, amount_in, min_profit, packed)


def market_settings(config: Config) -> MarketSettings:
    """What the market stage takes from the configuration."""
    return MarketSettings(
        chain_id=config.chain.id,
        fork=config.chain.fork,
        block_seconds=config.chain.block_seconds,
        anchor=config.chain.anchor,
        executor=config.executor.address,
        owner=config.executor.owner,
        max_hops=config.search.max_hops,
        max_candidates=config.search.max_candidates,
        min_gross_wei=config.search.min_gross_wei,
        max_position_wei=config.decide.max_position_wei,
        max_gas=config.decide.max_gas,
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
    )


def records_of(decided: Decided) -> Iterable[tuple[str, Record]]:
    """What goes to Kafka for one event: its opportunities, then its decision."""
    for opportunity in decided.opportunities:
        yield opportunity.id.hex(), opportunity
    yield decided.decision.id.hex(), decided.decision


def for_the_edge(decided: Decided) -> tuple[str, DecisionRecord] | None:
    """What the bundle sink must act on: a chosen bundle to send, or earlier ones to cancel."""
    decision = decided.decision
    return (decision.id.hex(), decision) if decision.chosen or decision.cancels else None


def build(
    config: Config,
    source: Source[Event],
    records: Sink[tuple[str, Record]],
    bundles: Sink[tuple[str, DecisionRecord]],
    observe: Observe = ignore,
) -> Dataflow:
    """The flow. `records` takes opportunities and decisions, `bundles` is the edge (or its shadow in a replay)."""
    search, decision = market_settings(config), decision_settings(config)
    shards, simulation_shards = config.search.shards, config.search.simulation_shards

    def engine() -> Engine:
        return make_engine(config.search.engine)

    flow = Dataflow(FLOW_ID)
    events = op.input("events", flow, source)
    changes = graph_state("graph_state", events, shards, config.ingest.reorg_depth)
    reactions = market("market", events, changes, shards, search, engine, encode_route, observe)
    verdicts = simulation("simulate", reactions, simulation_shards, engine)
    decided = op.key_rm("decided", decide("decide", reactions, verdicts, simulation_shards, decision, observe))
    # Records before bundles: a submission never exists without the decision that explains it being on its way.
    op.output("records", op.flat_map("to_records", decided, records_of), records)
    op.output("bundle_sink", op.filter_map("to_edge", decided, for_the_edge), bundles)
    return flow
