"""Telling an event that is late from one that is not there."""

from __future__ import annotations

import time
from collections.abc import Callable

from infra.kafka.assembler import Assembler
from infra.kafka.clients import log
from infra.kafka.errors import MissingSequence, ReadFailed
from infra.kafka.layout import LogLayout, PendingOffsets, reached
from infra.kafka.log_reader import LogReader
from infra.kafka.positions import Partition


class GapWatch:
    """Watches one assembler. A gap is an error when, `timeout_s` after it was noticed, every partition has been read past
    the end it then had, open transactions included, and the event is still not there."""

    def __init__(
        self,
        assembler: Assembler,
        reader: LogReader,
        layout: LogLayout,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._assembler = assembler
        self._reader = reader
        self._layout = layout
        self._timeout_s = timeout_s
        self._clock = clock
        self._seq: int | None = None
        self._noticed = 0.0
        self._asked: PendingOffsets | None = None
        self._ends: dict[Partition, int] | None = None

    def check(self) -> None:
        """Look at the assembler, after each read. Raises `MissingSequence` with the exact places; never waits."""
        if not self._assembler.blocked:
            self._seq = None
            return
        if self._seq != self._assembler.next_seq:
            self._seq, self._noticed = self._assembler.next_seq, self._clock()
            self._asked = self._ends = None
            return
        if self._clock() - self._noticed < self._timeout_s:
            return
        if self._ends is None:
            self._ask_for_ends()
        elif reached(self._reader.positions, self._ends):
            raise MissingSequence(self._sentence(self._ends))

    def _ask_for_ends(self) -> None:
        """The ends are asked for after the timeout: whatever was on its way when the gap was noticed lies before them."""
        if self._asked is None:
            self._asked = self._layout.ask_ends(self._reader.positions)
        elif self._asked.ready:
            try:
                self._ends = self._asked.result()
            except ReadFailed as error:
                # Nobody can say that it is missing while the cluster does not answer.
                log.warning("looking for event %d: %s", self._assembler.next_seq, error)
                self._asked = None
                self._noticed = self._clock()

    def _sentence(self, ends: dict[Partition, int]) -> str:
        read = ", ".join(f"{p} to offset {end}" for p, end in sorted(ends.items()))
        return (
            f"chain {self._assembler.chain}: {self._assembler.gap()}. Read without finding it: {read}. "
            "Nothing was skipped. Either records were deleted or could not be read (see the dead_letter topic), or a second "
            "sequencer wrote. To go on, restore the missing record, or begin a new log under another kafka.topic_prefix"
        )
