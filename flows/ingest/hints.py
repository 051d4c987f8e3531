"""The hints' part of the sequencer: from a private order flow's stream into the log, each once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from infra.ingest import metrics
from infra.ingest.hint_feed import HintFeed
from infra.ingest.log_tail import LogTail
from operators.ingest.drafts import Draft
from operators.ingest.hint_book import HintBook
from schemas.config import Config
from schemas.hints import HintRecord

#: Hints written as one group at most.
_AT_ONCE = 32


class HintIntake:
    """Brings hints into the log. Outlives sessions, so that one that ends loses none; does nothing where no stream is configured."""

    def __init__(self, config: Config, wake: Callable[[], None]) -> None:
        """`wake` is called whenever something came in."""
        self._wake = wake
        self._book = HintBook(config.ingest.max_hints)
        self._task: asyncio.Task[None] | None = None
        url = config.ingest.hints_url
        silent_after_s = config.chain.silent_after_s
        self._feed = HintFeed(url, config.chain.id, silent_after_s=silent_after_s, on_hint=self.take) if url else None

    def start(self) -> None:
        """Begin to follow the stream."""
        if self._feed is not None:
            self._task = asyncio.create_task(self._feed.run())

    async def stop(self) -> None:
        """Leave the stream."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def check(self) -> None:
        """Raise what ended the feed, which nothing of the stream's doing does."""
        if self._task is not None and self._task.done():
            self._task.result()

    def take(self, hint: HintRecord) -> None:
        """A hint that came."""
        if self._book.seen(hint.hash):
            metrics.HINTS_SKIPPED.labels("repeated").inc()
            return
        metrics.HINTS_SKIPPED.labels("queue_full").inc(self._book.add(hint))
        self._wake()

    def resume(self, tail: LogTail) -> None:
        """What the log has is neither written again nor taken again."""
        known = [hint.hash for hint in tail.hints]
        self._book.remember(known)
        self._book.done(known)

    def drafts(self) -> tuple[list[Draft], list[HintRecord]]:
        """The next events, and the hints in them."""
        hints = self._book.waiting(_AT_ONCE)
        return [Draft((hint,)) for hint in hints], hints

    def written(self, hints: Sequence[HintRecord]) -> None:
        """The events are in the log."""
        self._book.done(hint.hash for hint in hints)
