"""The deadlines of the search flow: by a clock where it runs live, by what is recorded where events are decided again.

After a crash the flow decides the events since its last saved epoch again, and what was sent the first time must come out the same:

* What was late is recorded before anything acts on it (`keep`), so the decision of an event that had late candidates is on the topic, or
  nobody has seen it. It is read once, at the start, and repeated.
* An event that was in the log at the start and has no such record was either decided with nothing late, or not at all. Nothing of it is late.

So the clock is asked only about events that came after the start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from infra.kafka.reading import read_records, tail_state
from infra.kafka.writer import CheckedWriter
from operators.deadline import NO_DEADLINE, UNLIMITED, Allowance, Deadline
from schemas.codec import BadRecord
from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event

log = logging.getLogger("sluice.search")

#: What the clocks of the machines that write the log and its decisions may differ by, in milliseconds.
_CLOCKS_DIFFER_MS = 600_000


class Past(NamedTuple):
    """What earlier runs left: late candidates by the `seq` of their event, and the first event that none of them can have decided."""

    late: dict[int, tuple[int, ...]]
    next_seq: int


class RecordedDeadline:
    """Late is what is recorded as late: the policy of a replay."""

    def __init__(self, late: Mapping[int, tuple[int, ...]]) -> None:
        """`late`: candidates by the `seq` of their event."""
        self._late = late

    def arrived(self) -> int:
        """No clock is looked at."""
        return 0

    def allow(self, event: Event, arrived_ns: int) -> Allowance:
        """What the record of its decision says."""
        return Allowance(self._late.get(event.seq, ()))

    def passed(self, until_ns: int) -> bool:
        """Never: an allowance of this policy names what is late."""
        return False

    def keep(self, decisions: Sequence[DecisionRecord]) -> None:
        """They are what was recorded."""


class ClockDeadline:
    """Late is what begins later than `limit_ms` after its event was gathered; for events of the past, what is recorded.

    `clock` must be one for all processes of the flow: Linux has one monotonic clock per machine, and a flow's processes share the machine.
    """

    def __init__(
        self,
        limit_ms: int,
        read_past: Callable[[Event], Past],
        write: Callable[[Sequence[DecisionRecord]], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`read_past` gets the first event of the run; `write` returns when the records are on the cluster."""
        self._limit_ns = limit_ms * 1_000_000
        self._read_past = read_past
        self._write = write
        self._clock = clock
        self._past: Past | None = None

    def arrived(self) -> int:
        """Now."""
        return self._clock()

    def allow(self, event: Event, arrived_ns: int) -> Allowance:
        """A time for what came after the start, what is recorded for what was there."""
        if self._past is None:
            # Here and not before: only now is the flow's place known, and every process of an earlier run is gone, since this one's have met.
            self._past = self._read_past(event)
        if event.seq < self._past.next_seq:
            late = self._past.late.pop(event.seq, None)
            return UNLIMITED if late is None else Allowance(late)
        return Allowance(None, arrived_ns + self._limit_ns)

    def passed(self, until_ns: int) -> bool:
        """Whether it is later than this."""
        return self._clock() > until_ns

    def keep(self, decisions: Sequence[DecisionRecord]) -> None:
        """Write them, ahead of the flow's own sink, which writes the same records again."""
        self._write(decisions)


def live_deadline(config: Config) -> Deadline:
    """The policy of a live flow; where no deadline is configured nothing is read and no clock looked at."""
    if not config.search.deadline_ms:
        return NO_DEADLINE
    writers: list[CheckedWriter] = []

    def write(decisions: Sequence[DecisionRecord]) -> None:
        # Opened where it is used: of several processes one decides.
        if not writers:
            writers.append(CheckedWriter(config.kafka, "late"))
        for decision in decisions:
            writers[0].send(decision)
        writers[0].flush()

    return ClockDeadline(config.search.deadline_ms, lambda event: read_past(config, event), write)


def replay_deadline(config: Config) -> Deadline:
    """The policy of a replay: what was late is what the recorded decisions say."""
    return RecordedDeadline(recorded_late(config)) if config.search.deadline_ms else NO_DEADLINE


def read_past(config: Config, first: Event) -> Past:
    """What earlier runs recorded of the events from this one on.

    No decision on an event is older than the event's first sight, so the topic is read from there (less what clocks may differ by): what was
    decided since the last saved epoch, not the length of the log. Events that carry no time have it read from its beginning.
    """
    seen_ns: int = getattr(first.parts[0], "first_seen_ns", 0)
    since_ms = max(0, seen_ns // 1_000_000 - _CLOCKS_DIFFER_MS)
    late = recorded_late(config, first.seq, since_ms)
    past = Past(late, tail_state(config.kafka, config.chain.id).next_seq)
    log.info(
        "deadline of %d ms: for events from %d on; %d before it are decided again, %d of them with late candidates as recorded",
        config.search.deadline_ms, past.next_seq, past.next_seq - first.seq, len(late),
    )  # fmt: skip
    return past


def recorded_late(config: Config, from_seq: int = 0, since_ms: int | None = None) -> dict[int, tuple[int, ...]]:
    """Late candidates by the `seq` of their event, of decisions that have some; read from what was written `since_ms` on."""
    found: dict[int, tuple[int, ...]] = {}
    for _, record in read_records(config.kafka, DecisionRecord.TOPIC, since_ms):
        # One that cannot be read is not of this program: what it says of lateness is not what this one would repeat.
        if isinstance(record, BadRecord):
            continue
        assert isinstance(record, DecisionRecord)
        if record.chain == config.chain.id and record.seq >= from_seq and record.late:
            found[record.seq] = record.late
    return found
