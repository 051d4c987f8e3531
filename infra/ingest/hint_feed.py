"""The live stream of hints (server-sent events), followed for ever. It has no place to go on from: what was missed is missed, and counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from infra.chain.errors import NodeLied
from infra.ingest import metrics
from infra.ingest.event_stream import EventStream
from infra.ingest.hint_events import hint_record
from schemas.hints import HintRecord

log = logging.getLogger("sluice.ingest")

#: Data of one event. Its record is shorter, so that whatever is taken fits its topic.
MAX_EVENT = 256 << 10
_FIRST_DELAY_S, _MAX_DELAY_S = 0.1, 10.0
_CONNECT_S = 10.0


class _Ended(httpx.TransportError):
    """The stream ended: it is meant to go on for ever."""


class HintFeed:
    """One stream of one chain. Every hint that can be read is handed on, stamped with our clock."""

    def __init__(self, url: str, chain: int, *, silent_after_s: float, on_hint: Callable[[HintRecord], None]) -> None:
        """Streams of this kind say something (a comment, at least) every 15 seconds: one that is silent for longer than `silent_after_s` is
        connected to again."""
        self._url = url
        self._chain = chain
        self._on_hint = on_hint
        self._timeout = httpx.Timeout(silent_after_s, connect=_CONNECT_S)
        self.connections = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=self._timeout) as client:
            while True:
                # Begins anew, with short waits, after each connection on which something came.
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(httpx.HTTPError),
                    wait=wait_random_exponential(_FIRST_DELAY_S, _MAX_DELAY_S),
                    before_sleep=_complain,
                ):
                    with attempt:
                        await self._follow(client)

    async def _follow(self, client: httpx.AsyncClient) -> None:
        """Until the stream breaks. Raises `httpx.HTTPError` where nothing came before that."""
        heard = False
        try:
            async with client.stream("GET", self._url, headers={"Accept": "text/event-stream"}) as response:
                response.raise_for_status()
                self.connections += 1
                if self.connections > 1:
                    metrics.HINT_GAPS.inc()
                stream = EventStream(MAX_EVENT)
                async for piece in response.aiter_bytes():
                    heard = True
                    self._take(stream, piece)
            raise _Ended("the stream ended")
        except httpx.HTTPError as error:
            if not heard:
                raise
            log.warning("hints: %s; connecting again", _name(error))

    def _take(self, stream: EventStream, piece: bytes) -> None:
        oversized = stream.oversized
        for data in stream.feed(piece):
            try:
                hint = hint_record(self._chain, data, time.time_ns())
            except NodeLied as error:
                metrics.HINTS_SKIPPED.labels(error.reason.value).inc()
                continue
            self._on_hint(hint)
        metrics.HINTS_SKIPPED.labels("oversized").inc(stream.oversized - oversized)


def _complain(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning("hints: %s; trying again in %.1f s", _name(error), state.upcoming_sleep)


def _name(error: BaseException | None) -> str:
    """The kind only: the text may hold the address, and an address may hold a key."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP status {error.response.status_code}"
    return type(error).__name__.lstrip("_")
