"""The sequencer of the bench `burst`: the one that runs live, with a node whose answers are remembered and a log that stays in the process.

What a node answers is asked once and kept by the bytes of the request, so that the way to the node and its own work can be left out of a
measurement, and all of ours is in it: requests made, answers parsed and checked, senders recovered, records made and encoded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import httpx
import msgspec

from flows.ingest.hints import HintIntake
from flows.ingest.session import Session
from infra.chain.node import Node
from infra.ingest.feeds import Feeds
from infra.kafka.keys import key_of
from infra.runtime.drain import Drain
from operators.ingest.drafts import Draft
from operators.ingest.log_state import LogState
from schemas.config import Config
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from schemas.record import Record, Sequenced
from schemas.topics import topic

T = TypeVar("T")

#: A group of records as they are in the log: topic, value.
Written = list[tuple[str, bytes]]
#: What each part of the work took: seconds of the processor in this process, which other people's work changes less than the clock's.
Shares = dict[str, float]
#: What the sequencer does when a block is in the log already, which is what the search waits for.
AFTERWARDS = "block: remembered, afterwards"
now = time.process_time


class RememberedNode(Node):
    """A node that is asked the same thing once only."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.chain.http_url, config.chain.request_timeout_s)
        #: Answers by the request's bytes.
        self.answers: dict[bytes, bytes] = {}
        #: Seconds spent on reading answers as what was asked for, and when the first one since the last look was asked for.
        self.read_s, self.first_asked = 0.0, 0.0

    async def _once(self, content: bytes, decode: Callable[[bytes], T], many: bool) -> T:
        self.first_asked = self.first_asked or now()
        known = self.answers.get(content)
        if known is None:

            def keep(answer: bytes) -> T:
                self.answers[content] = answer
                return decode(answer)

            return await super()._once(content, keep, many)
        started = now()
        answer = decode(known)
        self.read_s += now() - started
        return answer

    def connect(self) -> None:
        """Begin new connections: in a process, or an event loop, that those there are do not belong to."""
        self._http = httpx.AsyncClient(timeout=120.0, headers={"Content-Type": "application/json"})


class Pen:
    """Writes where the sequencer's pen would: encodes each record as it is on the wire, and hands the group on."""

    def __init__(self, hand_on: Callable[[Written], None]) -> None:
        self.hand_on = hand_on
        #: Seconds spent on encoding since somebody last looked, and how many pending transactions were written.
        self.encode_s, self.pending = 0.0, 0
        #: When it last had a group ready.
        self.ready = 0.0

    def commit(self, records: Sequence[Record]) -> None:
        """See `TransactionalWriter.commit`."""
        started = now()
        group = [(record.TOPIC, topic(record.TOPIC).codec.encode(record), key_of(record)) for record in records]
        self.ready = now()
        self.encode_s += self.ready - started
        self.pending += sum(isinstance(record, PendingRecord) for record in records)
        self.hand_on([(name, value) for name, value, _ in group])

    def close(self) -> None:
        """See `TransactionalWriter.close`."""


class _NoCommands:
    """Nobody commands."""

    def drafts(self) -> list[Draft]:
        return []

    async def written(self) -> None:
        return


class Intake:
    """The sequencer with everything it knows."""

    def __init__(self, config: Config, hand_on: Callable[[Written], None]) -> None:
        self.node = RememberedNode(config)
        self.pen = Pen(hand_on)
        self._loop = asyncio.new_event_loop()
        self._feeds = Feeds(config.chain, pending=True, max_waiting=config.ingest.max_pending)
        hints = HintIntake(config, self._feeds.wake.set)
        self._session = Session(config, self.node, self._feeds, hints, Drain(), None, ())
        self._session._ledger.open(self.pen)  # type: ignore[arg-type]
        self._session._commands = _NoCommands()  # type: ignore[assignment]
        self._feeds.ask_head, self._feeds.ask_pool = True, False

    def move_in(self) -> None:
        """Be at home in a process that was forked: nothing of the parent's loop and connections is touched."""
        self._loop = asyncio.new_event_loop()
        self._feeds.wake, self._feeds.head_came = asyncio.Event(), asyncio.Event()
        self.node.connect()
        # The thread that records are written in, which one that has run for long has.
        self._run(asyncio.to_thread(bool))

    @property
    def state(self) -> LogState:
        """What it knows of its log."""
        return self._session._state

    def settle(self) -> None:
        """Begin the log, and admit the configured pools."""
        self._until_idle()

    def admit(self, pools: Sequence[tuple[PoolRecord, Sequenced]]) -> None:
        """Take in pools that are not the node's, each with the state that trades through it read."""
        drafts = [Draft(tuple(records)) for records in pools]
        self._run(self._session._ledger.commit(drafts))
        for record, _ in pools:
            self.state.admitted(record)

    def take_head(self, announcement: bytes) -> Shares:
        """A head that the feed tells of: up to the records of its block, and what comes after them, which nobody waits for."""
        started = now()
        self._note()
        self._feeds._on_head(msgspec.Raw(announcement))
        self._run(self._advance())
        return {
            "block: answers parsed": self.node.read_s,
            "block: checked, records": self.pen.ready - started - self.node.read_s - self.pen.encode_s,
            "block: encoded": self.pen.encode_s,
            AFTERWARDS: now() - self.pen.ready,
        }

    async def _advance(self) -> None:
        self._feeds.head_came.clear()
        assert self._feeds.newest is not None
        assert await self._session._blocks.advance(self._feeds.newest)

    def take_pending(self, objects: Sequence[bytes]) -> Shares:
        """Pending transactions that the feed tells of, up to their records."""
        started = now()
        for each in objects:
            self._feeds._on_pending(msgspec.Raw(each))
        shares = {"pending: JSON to signed bytes": now() - started}
        for part in ("sender recovered", "prestates parsed", "prestates checked, packed", "encoded"):
            shares[f"pending: {part}"] = 0.0
        # Then it would announce again what was pending before, as seen from the new head.
        until = self.pen.pending + len(objects)
        while self.pen.pending < until and self._pending_step(shares):
            pass
        return shares

    def _pending_step(self, shares: dict[str, float]) -> bool:
        self._note()
        started = now()
        busy = self._run(self._session._sequence_waiting())
        ended = now()
        asked = self.node.first_asked or ended
        shares["pending: sender recovered"] += asked - started
        shares["pending: prestates parsed"] += self.node.read_s
        shares["pending: encoded"] += self.pen.encode_s
        shares["pending: prestates checked, packed"] += ended - asked - self.node.read_s - self.pen.encode_s
        return busy

    def _note(self) -> None:
        self.node.read_s = self.node.first_asked = self.pen.encode_s = 0.0

    def _until_idle(self) -> None:
        while self._run(self._session._step()):
            pass

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)
