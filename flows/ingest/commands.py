"""The commands' part of the sequencer: taken from their topic into the order, each once."""

from __future__ import annotations

import asyncio
import time

from infra.ingest.command_reader import CommandReader
from infra.ingest.log_tail import LogTail
from operators.ingest.commands import CommandFilter, already_sequenced
from operators.ingest.drafts import Draft
from schemas.config import KafkaConfig
from schemas.control import CommandRecord, ControlRecord


class CommandIntake:
    """Brings commands into the log."""

    def __init__(self, kafka: KafkaConfig, chain: int) -> None:
        """`open` it before anything is asked."""
        self._kafka = kafka
        self._chain = chain
        self._filter = CommandFilter()
        self._reader: CommandReader | None = None
        self._backlog: list[CommandRecord] = []

    async def open(self, tail: LogTail) -> None:
        """Read what is there, and pass over what the log has of it."""
        self._reader = await asyncio.to_thread(CommandReader, self._kafka, self._chain)
        backlog = await asyncio.to_thread(self._reader.backlog)
        for record in tail.control:
            self._filter.take(record)
        done = already_sequenced([r.id for r in tail.control], [c.id for c in backlog])
        self._backlog = backlog[done:]

    def drafts(self) -> list[Draft]:
        """All commands that wait, as events."""
        assert self._reader is not None
        waiting = self._backlog + self._reader.waiting()
        self._backlog = []
        now = time.time_ns()
        return [Draft((control_record(c, now),)) for c in waiting if self._filter.take(c)]

    async def written(self) -> None:
        """The events were written: keep the place."""
        if self._reader is not None:
            await asyncio.to_thread(self._reader.done)

    async def close(self) -> None:
        """Leave the cluster."""
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)


def control_record(command: CommandRecord, first_seen_ns: int) -> ControlRecord:
    """A command in the order."""
    return ControlRecord(
        chain=command.chain,
        seq=0,
        part=0,
        parts=1,
        id=command.id,
        command=command.command,
        subject=command.subject,
        until_block=command.until_block,
        reason=command.reason,
        issuer=command.issuer,
        first_seen_ns=first_seen_ns,
    )
