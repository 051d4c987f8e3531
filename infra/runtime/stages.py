"""Measuring a flow's stages from outside of them: when each was done with each event."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from prometheus_client import Histogram

from schemas.event import Event

#: The stage that the source stamps, when it hands an event to the flow.
SOURCE = "source"
#: Names the file of stamps where no option does.
TRACE_VARIABLE = "SLUICE_TRACE"

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
STAGE_SECONDS = Histogram(
    "sluice_stage_seconds",
    "From the end of the stage before (in the same process) to the end of this one",
    ["stage"],
    buckets=_SECONDS,
)
#: Events of which a last stamp is kept. Stages in other processes stamp there, so some events never see their last stage here.
_EVENTS_KEPT = 4096


class StageClock:
    """Stamps (stage, seq): into the histogram, and as a line of JSON into a file if there is one.

    A line holds `stage`, `seq`, `unix_ns` (wall clock, comparable between processes and with the times in records), `perf_ns`
    (`time.perf_counter_ns`, comparable within one process) and `pid`. Called from the flow's worker threads.
    """

    def __init__(self, trace: Path | None = None) -> None:
        """`trace`: the file, appended to, so that the processes of one flow may share it."""
        self._lock = threading.Lock()
        self._last: dict[int, int] = {}
        self._file: TextIO | None = None
        self._pid = os.getpid()
        if trace is not None:
            trace.parent.mkdir(parents=True, exist_ok=True)
            # Line by line: lines of several processes do not mix, and a killed process loses none.
            self._file = trace.open("a", buffering=1)

    def __call__(self, stage: str, seq: int) -> None:
        """Note that the stage has just finished the event."""
        perf_ns, unix_ns = time.perf_counter_ns(), time.time_ns()
        with self._lock:
            before = self._last.pop(seq, None)
            self._last[seq] = perf_ns
            if len(self._last) > _EVENTS_KEPT:
                del self._last[next(iter(self._last))]
            if self._file is not None:
                line = {"stage": stage, "seq": seq, "unix_ns": unix_ns, "perf_ns": perf_ns, "pid": self._pid}
                self._file.write(json.dumps(line) + "\n")
        if before is not None:
            STAGE_SECONDS.labels(stage).observe((perf_ns - before) / 1e9)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class _StampedPartition(StatefulSourcePartition[Event, Any]):
    def __init__(self, inner: StatefulSourcePartition[Event, Any], clock: StageClock) -> None:
        self._inner = inner
        self._clock = clock

    def next_batch(self) -> list[Event]:
        events = list(self._inner.next_batch())
        for event in events:
            self._clock(SOURCE, event.seq)
        return events

    def next_awake(self) -> Any:
        return self._inner.next_awake()

    def snapshot(self) -> Any:
        return self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


class StampedSource(FixedPartitionedSource[Event, Any]):
    """A source of events that stamps each as it leaves. The saved state is the source's own."""

    def __init__(self, source: FixedPartitionedSource[Event, Any], clock: StageClock) -> None:
        self._source = source
        self._clock = clock

    def list_parts(self) -> list[str]:
        """Those of the source itself."""
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _StampedPartition:
        """Opens the source."""
        return _StampedPartition(self._source.build_part(step_id, for_part, resume_state), self._clock)


def trace_file(option: Path | None) -> Path | None:
    """The file of stamps: as the option says, else as the environment does, else none."""
    named = os.environ.get(TRACE_VARIABLE)
    return option or (Path(named) if named else None)
