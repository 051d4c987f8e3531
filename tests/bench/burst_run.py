"""A burst, measured: the sequencer in one process and the search in another, as they run live, both forked from a world that waits for it.

So each repetition begins in the same state and ends with its processes. What lies between the two live (Kafka) is a pipe here.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any, NamedTuple

import msgspec

from operators.search.tables import warm_up
from schemas.decisions import DecisionRecord, EventKind
from tests.bench.burst_intake import Intake, Shares, Written
from tests.bench.burst_search import Done, SearchSide, Signed
from tests.bench.burst_world import BurstWorld

_FORK = multiprocessing.get_context("fork")
_SECONDS = 120
_GO = b"go"


class Burst(NamedTuple):
    """What arrives: a head as the feed announces it, and pending transactions."""

    head: bytes
    pending: Sequence[bytes]


class OneEvent(NamedTuple):
    """An event's end: when its bundle was signed, or it was decided that there is none, in seconds after the arrival; processor seconds of each stage of the search."""

    kind: str
    candidates: int
    moved: bool
    ended_s: float
    shares: Shares
    rejected: tuple[tuple[str, int], ...]
    decision: DecisionRecord
    signed: Signed | None


class Run(NamedTuple):
    """One repetition. `intake` are the processor seconds of each part of the sequencer's work, `block_written_s` when the block was in the log."""

    intake: Shares
    block_written_s: float
    all_written_s: float
    events: tuple[OneEvent, ...]

    @property
    def whole_s(self) -> float:
        """From the arrival until everything was decided and signed."""
        return max(event.ended_s for event in self.events)

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


def ask_once(world: BurstWorld, burst: Burst) -> None:
    """Have the node's answers to everything the sequencer will ask, without a change of the sequencer itself."""
    ours, theirs = _FORK.Pipe(duplex=False)
    with _Child(_ask, world.intake, burst, theirs):
        world.intake.node.answers.update(_received(ours))


def _ask(intake: Intake, burst: Burst, told: Connection) -> None:
    intake.move_in()
    intake.pen.hand_on = lambda group: None
    intake.take_head(burst.head)
    intake.take_pending(burst.pending)
    told.send(intake.node.answers)


def run(world: BurstWorld, burst: Burst) -> Run:
    """One repetition."""
    log_out, log_in = _FORK.Pipe(duplex=False)
    intake_ours, intake_theirs = _FORK.Pipe()
    search_ours, search_theirs = _FORK.Pipe()
    with (
        _Child(_intake, world.intake, burst, log_in, intake_theirs),
        _Child(_search, world.search, len(burst.pending) + 1, log_out, search_theirs),
    ):
        for pipe in (intake_ours, search_ours):
            _received(pipe)
        intake_ours.send_bytes(_GO)
        began, shares, block_written, all_written = _received(intake_ours)
        events = _received(search_ours)
    return Run(
        shares,
        block_written - began,
        all_written - began,
        tuple(event._replace(ended_s=event.ended_s - began) for event in events),
    )


def _intake(intake: Intake, burst: Burst, log: Connection, told: Connection) -> None:
    handing = 0.0

    def hand_on(group: Written) -> None:
        log.send_bytes(msgspec.msgpack.encode(group))

    intake.move_in()
    intake.pen.hand_on = hand_on
    _at_home()
    told.send(None)
    told.recv_bytes()
    began = time.perf_counter()
    shares = intake.take_head(burst.head)
    block_written = time.perf_counter()
    shares |= intake.take_pending(burst.pending)
    told.send((began, shares, block_written, time.perf_counter()))


def _search(search: SearchSide, count: int, log: Connection, told: Connection) -> None:
    _at_home()
    told.send(None)
    events: list[OneEvent] = []
    decode = msgspec.msgpack.Decoder(Written)
    while len(events) < count:
        group = decode.decode(log.recv_bytes())
        events += [_noted(done) for done in search.take(group)]
    told.send(events)


def _noted(done: Done) -> OneEvent:
    decision = done.decided.decision
    return OneEvent(
        kind=done.event.kind.value,
        candidates=decision.considered,
        moved=done.moved,
        ended_s=time.perf_counter(),
        shares=done.shares,
        rejected=tuple((each.reason, each.count) for each in decision.rejected),
        decision=decision,
        signed=done.signed,
    )


def _at_home() -> None:
    # A forked process copies each page when it is first written to; one that has run for long has its own.
    gc.collect()


class _Child:
    """A forked process around a body; ends with it, and with this process."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._process: ForkProcess = _FORK.Process(target=work, args=arguments, daemon=True)

    def __enter__(self) -> None:
        self._process.start()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _received(pipe: Connection) -> Any:
    if not pipe.poll(_SECONDS):
        raise TimeoutError(f"a process of the benchmark did not answer within {_SECONDS} s")
    return pipe.recv()


def ready() -> None:
    """Everything compiled."""
    warm_up()
