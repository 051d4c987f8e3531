"""Reorgs under traffic: the graph must be what the node alone gives, and settlements must follow the chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.processes import FlowProcesses
from flows.world import World
from infra.devnet.block_clock import BlockClock
from infra.devnet.builder import BuiltBlock
from infra.devnet.node import to_hex
from infra.devnet.reorg import Content, reorg
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import tail_records
from schemas.config import dump_config
from schemas.decisions import DecisionRecord
from schemas.settlements import Outcome
from tests.chaos.checks import ON_CHAIN, check_all, rows_by_decision
from tests.chaos.new_pool import open_pool, widen_blocks
from tests.chaos.rebuild import Graph, another_log, pool_count, rebuild
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 32

#: Depth, what the new blocks hold, and the flow that is not there to see it happen.
REORGS = (
    (1, Content.EMPTY, None),
    (2, Content.SHUFFLED, "ingest"),
    (3, Content.EMPTY, "search"),
    (4, Content.SHUFFLED, "settle"),
    (5, Content.EMPTY, None),
)


def decided_graph(world: World) -> tuple[bytes, bytes]:
    """(Head, state digest) of the newest decision."""
    tails = tail_records(world.config.kafka, DecisionRecord.TOPIC, 1)
    newest = max((r for r in tails if isinstance(r, DecisionRecord)), key=lambda r: r.seq)
    return newest.head_hash, newest.state_digest


def expect_graph(world: World, graph: Graph) -> None:
    """Wait until the running flow stands on this graph."""
    try:
        wait_until("the graph that the node gives", lambda: decided_graph(world) == (graph.head, graph.digest), 120)
    except AssertionError as error:
        head, digest = decided_graph(world)
        raise AssertionError(
            f"{error}: head {to_hex(graph.head)} digest {graph.digest.hex()}, flow {to_hex(head)} {digest.hex()}"
        ) from None


class Disturbance:
    """One scenario's reorgs."""

    def __init__(self, scenario: Scenario, clock: BlockClock) -> None:
        self._scenario = scenario
        self._world = scenario.world
        self._clock = clock
        self.orphaned: set[bytes] = set()

    def reorg(self, depth: int, content: Content, away: str | None) -> None:
        """Take off `depth` blocks of which one holds a settled bundle of ours, while one flow is away, and compare graphs."""
        self._wait_for_inclusion(depth)
        try:
            if away:
                self._scenario.kill([away])
            self.replace(depth, content)
            if away:
                self._scenario.restart([away])
            expect_graph(self._world, rebuild(self._world))
        finally:
            self._clock.paused().release()

    def replace(self, depth: int, content: Content) -> None:
        """Reorganise, and remember what is not on chain any more."""
        with self._scenario.standing_still():
            done = reorg(self._world.devnet.anvil.node, depth, content, seed=depth)
        self.orphaned |= set(done.orphaned)
        print(f"block {len(self._scenario.built)}: reorg of depth {depth}, {content}")

    def _wait_for_inclusion(self, depth: int) -> None:
        """Stop the clock right when one of the newest `depth` blocks holds a bundle that is settled as included."""

        def settled() -> bool:
            self._clock.paused().acquire()
            recent = {b.hash for b in self._scenario.built[-depth:] if _includes(b)}
            if recent:
                try:
                    wait_until("the settlement of an included bundle", lambda: self._stated(recent), 120)
                except AssertionError:
                    # A clock that stands still cannot be stopped, and the failure would be taken for a test that hangs.
                    self._clock.paused().release()
                    raise
                return True
            self._clock.paused().release()
            return False

        wait_until("an included bundle", settled)

    def _stated(self, blocks: set[bytes]) -> bool:
        rows = self._world.flows.settlements(self._world.config).values()
        return any(row.outcome is Outcome.INCLUDED and row.block_hash in blocks for row in rows)


def _includes(block: BuiltBlock) -> bool:
    return any(outcome.included for outcome in block.outcomes)


@pytest.mark.timeout(900)
def test_reorgs_of_depth_one_to_five(tmp_path: Path, broker: LocalBroker) -> None:
    with Scenario(tmp_path, broker, seed=SEED) as scenario:
        with scenario.traffic() as clock:
            disturbance = Disturbance(scenario, clock)
            for depth, content, away in REORGS:
                scenario.sleep(1.5, 3)
                disturbance.reorg(depth, content, away)
            scenario.sleep(2, 3)
        new_pools_in_orphaned_blocks(scenario, disturbance)
        scenario.settle()
        check_all(scenario)
        check_retractions(scenario, disturbance.orphaned)
        another_flow_agrees(scenario, tmp_path)


def new_pools_in_orphaned_blocks(scenario: Scenario, disturbance: Disturbance) -> None:
    """A pool whose block goes and comes again later; and one whose block is replaced by another that creates it too."""
    world, devnet = scenario.world, scenario.world.devnet
    widen_blocks(devnet, 2)
    before = rebuild(world)

    pool = open_pool(devnet, 0)
    devnet.builder.build_block()
    created = rebuild(world)
    assert created.pools - before.pools == {pool}
    expect_graph(world, created)
    disturbance.replace(1, Content.EMPTY)
    without = rebuild(world)
    assert pool not in without.pools
    expect_graph(world, without)
    devnet.builder.build_block()
    again = rebuild(world)
    assert pool in again.pools
    expect_graph(world, again)

    other = open_pool(devnet, 1)
    devnet.builder.build_block()
    devnet.builder.build_block()
    disturbance.replace(2, Content.SHUFFLED)
    replaced = rebuild(world)
    assert other in replaced.pools
    expect_graph(world, replaced)


def check_retractions(scenario: Scenario, orphaned: set[bytes]) -> None:
    """An inclusion in a block that is gone was retracted, and what became of the transaction since is the last word."""
    gone = 0
    for rows in rows_by_decision(scenario.world.config).values():
        for row, *later in (rows[i:] for i in range(len(rows))):
            if row.outcome not in ON_CHAIN or row.block_hash not in orphaned:
                continue
            gone += 1
            assert any(r.outcome is Outcome.REORGED for r in later), rows
            assert later[-1].block_hash not in orphaned, rows
    assert gone >= len(REORGS)


def another_flow_agrees(scenario: Scenario, folder: Path) -> None:
    """Ingest and search as processes of their own, on a log of their own, begun at today's head."""
    config = another_log(scenario.world.config)
    config = config.model_copy(
        update={
            "submit": config.submit.model_copy(update={"live": False}),
            "runtime": config.runtime.model_copy(update={"state_dir": folder / "again" / "state"}),
        }
    )
    path = folder / "again.toml"
    path.write_text(dump_config(config))
    flows = FlowProcesses(path, folder / "again")
    flows.start(("ingest", "search"))
    try:
        pools = pool_count(scenario.world)
        flows.wait(lambda: len(flows.decisions(config)) > pools, 60, "a flow that has just met the node")
        decisions = flows.decisions(config)
        newest = decisions[max(decisions)]
        assert (newest.head_hash, newest.state_digest) == decided_graph(scenario.world)
    finally:
        flows.kill()
