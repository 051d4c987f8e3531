"""The sequencer stopped, killed, fenced and cut off: the log stays one sequence that tells the chain."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from flows.ingest import EXIT_FENCED
from infra.devnet.devnet import Devnet
from infra.devnet.reorg import reorg
from infra.kafka.errors import Fenced
from infra.kafka.reading import tail_state
from infra.kafka.writer import CheckedWriter
from schemas.config import KafkaConfig
from schemas.control import Command, CommandRecord, ControlRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.ids import with_id
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from tests.chain.ingest_rig import Rig, wait_until

pytestmark = [pytest.mark.chain, pytest.mark.kafka]


def command(kind: Command, reason: str) -> CommandRecord:
    return with_id(
        CommandRecord(id=bytes(32), chain=31337, command=kind, subject="", until_block=0, reason=reason, issuer="test")
    )


def send(kafka: KafkaConfig, *commands: CommandRecord) -> None:
    with CheckedWriter(kafka) as writer:
        for each in commands:
            writer.send(each)


def controls(events: list[Event]) -> list[tuple[Command, str]]:
    """The commands in the log."""
    return [(c.command, c.reason) for e in events if (c := e.part(ControlRecord)) is not None]


def test_a_restart_goes_on_where_the_log_ends(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka)
    first = rig.height
    with rig.started() as running:
        for _ in range(3):
            rig.block()
        send(kafka, command(Command.PAUSE, "a"), command(Command.RESUME, "b"))
        rig.caught_up(running)
        rig.traffic()
        wait_until("pending", lambda: running.pending > 0)
        wait_until("commands", lambda: len(controls(rig.events())) == 2)
    before = rig.events()
    # While nobody looks: blocks, a reorg below the log's head, commands, one of them old.
    rig.block(traffic=False)
    reorg(rig.node, 3)
    for _ in range(3):
        rig.block()
    send(kafka, command(Command.RESUME, "b"), command(Command.PAUSE, "a"))
    with rig.started() as running:
        rig.caught_up(running)
        # The last one that was sent: what came before it has been looked at by then.
        wait_until("the command", lambda: len(controls(rig.events())) == 3)
        wait_until("pools", lambda: running.progress is not None and running.progress.discovered)
    events = rig.events()
    assert events[: len(before)] == before
    chain = rig.logged_chain(events)
    assert [b.number for b in chain] == list(range(first, rig.height + 1))
    rig.assert_is_chain(events)
    assert sum(e.kind is EventKind.REVERT for e in events) == 2
    # Known pools are not announced again by a restart: none was admitted on a reverted block.
    pools = [e.part(PoolRecord).address for e in events if e.kind is EventKind.POOL]
    assert sorted(pools) == sorted(p.address for p in devnet.market.pairs)
    assert controls(events) == [(Command.PAUSE, "a"), (Command.RESUME, "b"), (Command.PAUSE, "a")]
    fresh = [p.hash for e in events if (p := e.part(PendingRecord)) is not None and not p.refresh]
    assert len(fresh) == len(set(fresh))


def test_a_long_absence_is_made_up_for(devnet: Devnet, kafka: KafkaConfig) -> None:
    rig = Rig(devnet, kafka)
    with rig.started():
        pass
    first = rig.height
    rig.node.call("anvil_mine", hex(150), hex(12))
    rig.block()
    with rig.ingest() as running:
        rig.caught_up(running)
    events = rig.events()
    assert [b.number for b in rig.logged_chain(events)] == list(range(first, rig.height + 1))
    rig.assert_is_chain(events)


def test_kill_9_three_times_under_traffic(devnet: Devnet, kafka: KafkaConfig, tmp_path: Path) -> None:
    rig = Rig(devnet, kafka)
    killed_at = []
    rng = random.Random(5)
    for _ in range(3):
        before = tail_state(kafka, rig.config.chain.id).next_seq
        child = rig.child(tmp_path)
        deadline = time.monotonic() + 90
        # Killed at work, not while it starts: only once it has written something does the random moment begin.
        while tail_state(kafka, rig.config.chain.id).next_seq == before:
            assert time.monotonic() < deadline, child.log_tail()
            rig.block()
        end = time.monotonic() + rng.random()
        while time.monotonic() < end:
            rig.block()
        assert child.running, child.log_tail()
        child.kill()
        killed_at.append(rig.height)
    with rig.started() as running:
        rig.block()
        rig.caught_up(running)
    events = rig.events()
    chain = rig.logged_chain(events)
    assert [b.number for b in chain] == list(range(chain[0].number, rig.height + 1))
    assert chain[0].number < killed_at[0] < killed_at[1] < killed_at[2] < rig.height
    rig.assert_is_chain(events)
    assert all(e.kind is not EventKind.REVERT for e in events)
    pools = [e.part(PoolRecord).address for e in events if e.kind is EventKind.POOL]
    assert sorted(pools) == sorted(p.address for p in devnet.market.pairs)
    fresh = [p.hash for e in events if (p := e.part(PendingRecord)) is not None and not p.refresh]
    assert len(fresh) == len(set(fresh))


def test_a_second_sequencer_fences_the_first(devnet: Devnet, kafka: KafkaConfig, tmp_path: Path) -> None:
    rig = Rig(devnet, kafka)
    child = rig.child(tmp_path)
    wait_until("the first", lambda: "resuming" in child.log_tail() or len(rig.events()) > 0)
    with rig.started() as second:
        rig.block()
        assert child.wait(60) == EXIT_FENCED
        assert "Only one sequencer per chain may run" in child.log_tail()
        rig.caught_up(second)
        third = rig.ingest()
        wait_until("the third", lambda: third.block >= 0)
        rig.block()
        second.wait_ended()
        assert isinstance(second.error, Fenced)
        second.error = None
        rig.caught_up(third)
        third.stop()
    rig.assert_is_chain(rig.events())
