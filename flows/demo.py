"""The demo: the whole loop on a local world, from traffic to settled profit and replays that agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from flows.replay import ReplayResult, run_replay
from flows.report import Report
from flows.world import World
from infra.devnet.builder import BuiltBlock
from operators.simulation.revm_engine import available

#: How the demo replays its decisions: (processes, batch size). None of it may make a difference.
REPLAYS = ((1, 256), (2, 256), (1, 1), (1, 37), (1, 1000))
#: What a run of 60 blocks and more promises; shorter ones, for looking around, promise in proportion.
MIN_INCLUDED, OF_BLOCKS = 20, 60


def run_traffic(world: World, blocks: int, interval_s: float, on_block: Callable[[BuiltBlock], None]) -> None:
    """Let users trade and the builder build for some blocks, the flows beside them. Raises `FlowDied`."""
    clock = world.devnet.clock(interval_s)
    for _ in range(blocks):
        on_block(clock.step(time.sleep))
        world.flows.check()


def settle_all(world: World, timeout_s: float = 240) -> None:
    """Build empty blocks until every decision's patience has run out, and wait until all are settled. Raises `FlowDied`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        # A block can lead to a decision for the next one, so blocks are built until nothing is open any more.
        block = world.devnet.builder.build_block()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            world.flows.check()
            # The block's own event may still be on its way when all before it is settled.
            if world.flows.settled(world.config, block.hash):
                return
            if world.flows.waits_for_a_block(world.config, block.hash):
                break
            time.sleep(0.1)
    world.flows.wait(lambda: world.flows.settled(world.config), 1, "every decision to be settled")


def replay_all(config_path: Path, say: Callable[[str], None]) -> dict[str, ReplayResult]:
    """Every decision again from the log, alone, over 2 processes, and in other batches; by a name for each."""
    results = {}
    for processes, batch_size in REPLAYS:
        name = f"{processes} process{'es' if processes > 1 else ''}, batches of {batch_size}"
        results[name] = result = run_replay(config_path, processes=processes, batch_size=batch_size)
        say(f"replay, {name}: {result.equal} of {result.decisions} equal byte for byte")
    if available():
        # Where both engines are there, the one that did not decide must decide the same.
        name = "the other engine (pyrevm)"
        results[name] = result = run_replay(config_path, engine="pyrevm")
        say(f"replay, {name}: {result.equal} of {result.decisions} decide the same")
    return results


def broken_promises(report: Report, replays: list[ReplayResult], blocks: int) -> list[str]:
    """What the run did not keep, in sentences; empty for a good run."""
    broken = []
    if report.blocks < blocks:
        broken.append(f"{report.blocks} blocks were ingested, {blocks} were built")
    wanted = MIN_INCLUDED * min(blocks, OF_BLOCKS) // OF_BLOCKS
    if report.bundles_included < wanted:
        broken.append(f"{report.bundles_included} bundles were included, at least {wanted} expected")
    unexplained = [row for row in report.on_chain if row.error != 0 and not row.reason]
    if unexplained:
        broken.append(f"{len(unexplained)} bundles on chain brought other than predicted, and nobody knows why")
    if report.unsettled:
        broken.append(f"{report.unsettled} decisions are not settled")
    if report.outcomes.get("Unknown"):
        broken.append(f"{report.outcomes['Unknown']} decisions ended as Unknown")
    broken += [
        f"{result.different} of {result.decisions} decisions differ in a replay"
        for result in replays
        if result.different
    ]
    return broken
