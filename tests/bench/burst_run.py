"""A burst, measured: the sequencer in one process and the search in another, as they run live, both forked from a world that waits for it.

So each repetition begins in the same state and ends with its processes. What lies between the two live (Kafka) is a pipe here.
"""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec

from infra.runtime.collector import rare_collections
from schemas.blocks import BlockRecord
from schemas.decisions import DecisionRecord, EventKind
from schemas.opportunities import OpportunityRecord
from schemas.pending import PendingRecord
from tests.bench.burst_intake import Intake, Shares, Written, now
from tests.bench.burst_search import Done, SearchSide, Signed
from tests.bench.burst_world import BurstWorld
from tests.bench.forked import FORK, Child, answer_of, at_home, received

_GO = b"go"
#: Topics of the records that events of a burst begin with.
_HEADS = frozenset((BlockRecord.TOPIC, PendingRecord.TOPIC))
#: Bytes that a pipe holds: the most that anybody may ask for.
_PIPE = int(Path("/proc/sys/fs/pipe-max-size").read_text())


class Burst(NamedTuple):
    """What arrives: a head as the feed announces it, and pending transactions. `before` are heads that each repetition takes first, off the clock:
    a process that has run for long has its code at hand, and other blocks in its caches."""

    head: bytes
    pending: Sequence[bytes]
    before: Sequence[bytes] = ()


class OneEvent(NamedTuple):
    """An event's end: when its bundle was signed, or it was decided that there is none, in seconds after the arrival; processor seconds of each stage of the search."""

    kind: str
    candidates: int
    moved: bool
    ended_s: float
    shares: Shares
    rejected: tuple[tuple[str, int], ...]
    decision: DecisionRecord
    opportunities: tuple[OpportunityRecord, ...]
    signed: Signed | None


class Run(NamedTuple):
    """One repetition. `intake` are the processor seconds of each part of the sequencer's work; `written` when each group of events was in the log, in
    processor seconds of the sequencer since the arrival, with the number of its events; the others are seconds by the clock."""

    intake: Shares
    written: tuple[tuple[float, int], ...]
    block_written_s: float
    all_written_s: float
    events: tuple[OneEvent, ...]

    @property
    def whole_s(self) -> float:
        """From the arrival until everything was decided and signed."""
        return max(event.ended_s for event in self.events)

    def ended_by_processor_s(self) -> tuple[float, float]:
        """When the block's bundle was signed and when all was done if each process had its core to itself: the processor seconds of both, where
        the search waits for what the sequencer has not written yet."""
        ends, events = [0.0], iter(self.events)
        for written_s, count in self.written:
            for event in islice(events, count):
                ends.append(max(ends[-1], written_s) + sum(event.shares.values()))
        return ends[1], ends[-1]

    @property
    def block_s(self) -> float:
        """From the arrival until the block's own bundle was signed."""
        return next(event.ended_s for event in self.events if event.kind == EventKind.BLOCK)

    @property
    def stages(self) -> Shares:
        """Processor seconds by stage, of the block's and of the pending transactions' events."""
        found = Counter[str](self.intake)
        for event in self.events:
            for name, seconds in event.shares.items():
                found[f"{event.kind}: {name}"] += seconds
        return dict(found)


def ask_once(world: BurstWorld, burst: Burst) -> tuple[float, float]:
    """Have the node's answers to everything the sequencer will ask, without a change of the sequencer itself. Seconds that it took for the block
    and for the pending transactions, nearly all of them the node's own."""
    answers, seconds = answer_of(_ask, world.intake, burst)
    world.intake.node.answers.update(answers)
    block, pending = seconds
    return block, pending


def _ask(intake: Intake, burst: Burst) -> tuple[dict[bytes, bytes], tuple[float, float]]:
    intake.move_in()
    intake.pen.hand_on = lambda group: None
    for head in burst.before:
        intake.take_head(head)
    began = time.perf_counter()
    intake.take_head(burst.head)
    between = time.perf_counter()
    intake.take_pending(burst.pending)
    return intake.node.answers, (between - began, time.perf_counter() - between)


def written(world: BurstWorld, burst: Burst) -> list[Written]:
    """What the sequencer writes of the burst, without a change of the sequencer itself."""
    groups: list[Written] = answer_of(_write, world.intake, burst)
    return groups


def _write(intake: Intake, burst: Burst) -> list[Written]:
    groups: list[Written] = []
    intake.move_in()
    intake.pen.hand_on = groups.append
    for head in burst.before:
        intake.take_head(head)
    intake.take_head(burst.head)
    intake.take_pending(burst.pending)
    return groups


def run(world: BurstWorld, burst: Burst) -> Run:
    """One repetition."""
    log_out, log_in = FORK.Pipe(duplex=False)
    # A writer of Kafka does not wait for its readers.
    fcntl.fcntl(log_in.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    intake_ours, intake_theirs = FORK.Pipe()
    search_ours, search_theirs = FORK.Pipe()
    with (
        Child(_intake, world.intake, burst, log_in, intake_theirs),
        Child(_search, world.search, len(burst.before), len(burst.pending) + 1, log_out, search_theirs),
    ):
        for pipe in (intake_ours, search_ours):
            received(pipe)
        intake_ours.send_bytes(_GO)
        began, shares, groups, block_written, all_written = received(intake_ours)
        events = received(search_ours)
    return Run(
        shares,
        groups,
        block_written - began,
        all_written - began,
        tuple(event._replace(ended_s=event.ended_s - began) for event in events),
    )


def _intake(intake: Intake, burst: Burst, log: Connection, told: Connection) -> None:
    groups: list[tuple[float, int]] = []

    def hand_on(group: Written) -> None:
        written_s = now() - began_s
        groups.append((written_s, sum(name in _HEADS for name, _ in group)))
        log.send_bytes(msgspec.msgpack.encode(group))

    began_s = 0.0
    intake.move_in()
    intake.pen.hand_on = hand_on
    with rare_collections():
        at_home()
        for head in burst.before:
            intake.take_head(head)
        groups.clear()
        told.send(None)
        told.recv_bytes()
        began, began_s = time.perf_counter(), now()
        shares = intake.take_head(burst.head)
        block_written = time.perf_counter()
        shares |= intake.take_pending(burst.pending)
        told.send((began, shares, tuple(groups), block_written, time.perf_counter()))


def _search(search: SearchSide, before: int, count: int, log: Connection, told: Connection) -> None:
    decode = msgspec.msgpack.Decoder(Written)

    def take(events: int) -> list[tuple[Done, float]]:
        found: list[tuple[Done, float]] = []
        while len(found) < events:
            group = decode.decode(log.recv_bytes())
            found += [(done, time.perf_counter()) for done in search.take(group)]
        return found

    with rare_collections():
        at_home()
        take(before)
        told.send(None)
        found = take(count)
    told.send([_noted(done, ended, search.moved(done)) for done, ended in found])


def _noted(done: Done, ended: float, moved: bool) -> OneEvent:
    decision = done.decided.decision
    return OneEvent(
        kind=done.event.kind.value,
        candidates=decision.considered,
        moved=moved,
        ended_s=ended,
        shares=done.shares,
        rejected=tuple((each.reason, each.count) for each in decision.rejected),
        decision=decision,
        opportunities=done.decided.opportunities,
        signed=done.signed,
    )
