"""From a difference to a suspended pool and back: ingest, the tripwire as a process of its own, and an operator's command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.devnet.devnet import Devnet
from infra.devnet.node import to_hex
from infra.devnet.reorg import Content, reorg
from infra.kafka.reading import read_records
from infra.runtime.child import ChildProcess
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from schemas.config import KafkaConfig, RuntimeConfig, TripwireConfig, dump_config
from schemas.event import Event
from schemas.findings import Difference, FindingRecord
from schemas.pools import PoolOp, PoolRecord
from tests.chain.ingest_rig import Rig, wait_until

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

_RESERVES = hex(8)


class Watched:
    """A rig with a sequencer and the tripwire as a process."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        rig.config = rig.config.model_copy(
            update={
                "runtime": RuntimeConfig(state_dir=folder / "state", epoch_ms=100),
                "tripwire": TripwireConfig(min_sample=100, delay_blocks=1),
            }
        )
        self.path = folder / "sluice.toml"
        self.path.write_text(dump_config(rig.config))
        self.log = folder / "tripwire.log"
        self.running = rig.started()
        self.tripwire = self._child()

    def _child(self) -> ChildProcess:
        argv = [sys.executable, "-m", "flows.cli.main", "--config", self.path, "tripwire"]
        return ChildProcess("tripwire", argv, self.log, cwd=Path.cwd()).start()

    def stop(self) -> None:
        self.tripwire.stop(timeout=20)
        self.running.stop()

    def command(self, *arguments: str) -> None:
        result = CliRunner().invoke(app, ["--config", str(self.path), "control", *arguments])
        assert result.exit_code == 0, result.output

    def restart_ingest(self) -> None:
        self.running.stop()
        self.running = running = self.rig.ingest()
        # Not for a number of pools: the suspended one does not come back.
        wait_until(
            "all pools to be looked for again",
            lambda: (
                running.block >= 0
                and running.progress is not None
                and running.progress.discovered
                and not running.progress.waiting
            ),
        )

    def findings(self) -> list[FindingRecord]:
        return [r for _, r in read_records(self.rig.kafka, FindingRecord.TOPIC) if isinstance(r, FindingRecord)]

    def pool_records(self, pool: bytes) -> list[PoolRecord]:
        found = [r for _, r in read_records(self.rig.kafka, PoolRecord.TOPIC) if isinstance(r, PoolRecord)]
        return [r for r in found if r.address == pool]

    def wait_for_records(self, pool: bytes, count: int, what: str) -> list[PoolRecord]:
        wait_until(f"{what}\n{self.tripwire.log_tail(5)}", lambda: len(self.pool_records(pool)) >= count)
        return self.pool_records(pool)


def tradable(events: list[Event]) -> set[bytes]:
    """The pools that a graph which follows these events lets be traded."""
    shard = GraphShard()
    for event in events:
        for _, message in fan_out(event, 1):
            shard.apply(message)
    return {address for address, tracked in shard.pools.items() if not tracked.reason}


@pytest.fixture
def watched(devnet: Devnet, kafka: KafkaConfig, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(Rig(devnet, kafka, pending=False), tmp_path)
    yield made
    made.stop()


def tamper(rig: Rig, pool: bytes) -> str:
    """Change a pool's reserves without a log; what they were."""
    before: str = rig.node.call("eth_getStorageAt", to_hex(pool), _RESERVES, "latest")
    changed = (int(before, 16) + 1).to_bytes(32, "big")
    rig.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, to_hex(changed))
    return before


def test_a_tampered_pool_is_suspended_until_an_operator_readmits_it(watched: Watched) -> None:
    rig = watched.rig
    pool = rig.devnet.market.pairs[3].address
    assert pool in tradable(rig.events())
    rig.block()
    before = tamper(rig, pool)
    rig.block(traffic=False)
    rig.block(traffic=False)

    _, suspended = watched.wait_for_records(pool, 2, "the suspension")
    assert (suspended.op, suspended.refusal) == (PoolOp.SUSPEND, "tripwire:storage_changed_without_log")
    (finding,) = watched.findings()
    assert (finding.pool, finding.difference) == (pool, Difference.STORAGE_CHANGED_WITHOUT_LOG)
    assert finding.id.hex() in suspended.detail
    assert tradable(rig.events()) == {pair.address for pair in rig.devnet.market.pairs} - {pool}

    # Not healed by the chain's coming right, by a restart that discovers all pools again, or by a reorg below the suspension.
    rig.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, before)
    watched.restart_ingest()
    rig.block(traffic=False)
    rig.caught_up(watched.running)
    reorg(rig.node, 3, Content.EMPTY)
    rig.block(traffic=False)
    rig.caught_up(watched.running)
    assert pool not in tradable(rig.events())
    again = watched.pool_records(pool)[-1]
    assert (again.op, again.refusal) == (PoolOp.SUSPEND, suspended.refusal)
    assert again.block_number < suspended.block_number

    count = len(watched.pool_records(pool))
    watched.command("readmit", to_hex(pool), "--reason", "looked at")
    back = watched.wait_for_records(pool, count + 1, "the readmission")[-1]
    assert (back.op, back.refusal, back.state != b"") == (PoolOp.ADD, "", True)
    for _ in range(4):
        rig.block()
    rig.caught_up(watched.running)
    assert pool in tradable(rig.events())
    # The readmitted pool is watched on, and in step.
    time.sleep(1.0)
    assert len(watched.findings()) == 1, watched.findings()
    assert watched.tripwire.running


def test_an_operator_can_suspend_a_pool_as_well(watched: Watched) -> None:
    rig = watched.rig
    pool = rig.devnet.market.pairs[0].address
    watched.command("suspend", to_hex(pool), "--reason", "its token was paused")
    record = watched.wait_for_records(pool, 2, "the suspension")[-1]
    assert (record.op, record.refusal, record.detail) == (PoolOp.SUSPEND, "operator", "its token was paused")
    # The same command from somebody who does not know the pool changes nothing.
    watched.command("suspend", "0x" + "77" * 20)
    watched.command("readmit", "0x" + "77" * 20)
    watched.command("readmit", to_hex(pool))
    assert watched.wait_for_records(pool, 3, "the readmission")[-1].op is PoolOp.ADD
