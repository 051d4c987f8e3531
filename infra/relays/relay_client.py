"""One relay: sends a body that is already serialised, and makes one answer of all attempts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from infra.relays import stats
from infra.relays.answers import Answer, classify, readable
from infra.relays.dialects import Dialect, SignatureUse
from infra.relays.http import ReplyTooLarge, new_client, read_bounded
from infra.relays.pace import Pace
from infra.relays.signing import Signer
from schemas.config import RelayConfig
from schemas.submissions import SubmissionStatus as Status

MAX_ATTEMPTS = 4
_MAX_ANSWER_BYTES = 64 << 10
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.05, 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a relay made of one request, over all attempts. `sent_ns` is 0 where nothing was ever sent; `text` is the last
    body, fit to be kept; `http_status` 0 where there was none."""

    answer: Answer
    http_status: int = 0
    text: str = ""
    sent_ns: int = 0
    answered_ns: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Attempt:
    answer: Answer
    http_status: int = 0
    text: str = ""
    retry_after_s: float = 0.0


class RelayClient:
    """A relay's connection, pace and dialect. Belongs to the event loop it is first used on.

    A request is sent again only with the very same bytes, which name the same bundle: a relay that got both has one.
    """

    def __init__(
        self, relay: RelayConfig, identity: Signer, dialect: Dialect, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.name = relay.name
        self.dialect = dialect
        self._url = relay.url
        self._timeout_s = relay.timeout_s
        self._identity = identity
        self._clock = clock
        self._pace = Pace(dialect.requests_per_second)
        self._http = new_client(relay.timeout_s)

    async def send(self, body: bytes, deadline: float) -> Reply:
        """Send until there is an answer that more attempts cannot change, or until `deadline` (the loop's time).

        Never raises for what the relay or the network does: that is what the answer says.
        """
        request = _Request(self, body, deadline)
        remaining = deadline - asyncio.get_running_loop().time()
        retrying = AsyncRetrying(
            retry=retry_if_result(lambda attempt: attempt.answer.again),
            wait=_backoff,
            stop=stop_after_attempt(MAX_ATTEMPTS) | stop_before_delay(max(remaining, 0.0)),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        last: _Attempt = await retrying(request.attempt)
        return request.conclude(last)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, body: bytes, deadline: float) -> _Attempt:
        """One attempt."""
        loop = asyncio.get_running_loop()
        headers = (
            {}
            if self.dialect.signature is SignatureUse.NONE
            else {"X-Flashbots-Signature": self._identity.relay_header(body)}
        )
        try:
            # The client's own timeouts bound each phase; a reply that drips in would keep all of them.
            async with asyncio.timeout(max(0.0, min(self._timeout_s, deadline - loop.time()))):
                async with self._http.stream("POST", self._url, content=body, headers=headers) as response:
                    raw = await read_bounded(response, _MAX_ANSWER_BYTES)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _Attempt(Answer(Status.RETRYABLE, detail=f"not sent: {type(error).__name__}", again=True))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return _Attempt(Answer(Status.REJECTED, detail=f"not sent: {type(error).__name__}"))
        except ReplyTooLarge as error:
            return _Attempt(Answer(Status.AMBIGUOUS, detail=f"reply of {error}"))
        except (TimeoutError, httpx.HTTPError) as error:
            return _Attempt(Answer(Status.AMBIGUOUS, detail=f"sent, no answer: {type(error).__name__}", again=True))
        answer = classify(response.status_code, raw)
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        if response.status_code == 429:
            # One refusal for too much speaks for all requests to this relay, not for this one alone.
            self._pace.hold(loop.time() + (retry_after or _LONGEST_BACKOFF_S / 4))
        return _Attempt(answer, response.status_code, readable(raw), retry_after)


class _Request:
    """The attempts of one request: when the first went out, and whether one of them may have arrived."""

    def __init__(self, client: RelayClient, body: bytes, deadline: float) -> None:
        self._client = client
        self._body = body
        self._deadline = deadline
        self._sent_ns = 0
        self._attempts = 0
        self._may_have_arrived = False

    async def attempt(self) -> _Attempt:
        client = self._client
        if not await client._pace.turn(self._deadline):
            return _Attempt(Answer(Status.RETRYABLE, detail="no time left under the rate limit"))
        self._sent_ns = self._sent_ns or client._clock()
        self._attempts += 1
        made = await client.post(self._body, self._deadline)
        self._may_have_arrived |= made.answer.status is Status.AMBIGUOUS
        stats.ATTEMPTS.labels(client.name, made.answer.status.value).inc()
        return made

    def conclude(self, last: _Attempt) -> Reply:
        answer = last.answer
        if self._may_have_arrived and answer.status not in (Status.ACCEPTED, Status.AMBIGUOUS):
            # An earlier attempt may be live, whatever was said to a later one.
            answer = Answer(
                Status.AMBIGUOUS, detail=f"after an attempt without answer: {answer.status}: {answer.detail}"
            )
        if answer.status is not Status.ACCEPTED:
            _log.warning(
                "relay %s: %s after %d attempts: %s", self._client.name, answer.status, self._attempts, answer.detail
            )
        now = self._client._clock() if self._sent_ns else 0
        return Reply(answer, last.http_status, last.text or answer.detail, self._sent_ns, now, self._attempts)


_exponential = wait_random_exponential(multiplier=_FIRST_BACKOFF_S, max=_LONGEST_BACKOFF_S)


def _backoff(state: RetryCallState) -> float:
    """Exponential with jitter, and never sooner than the relay asked for."""
    attempt = state.outcome.result() if state.outcome else None
    return max(_exponential(state), attempt.retry_after_s if attempt else 0.0)


def _seconds(text: str) -> float:
    """A Retry-After header in its form of seconds; its date form, and anything else, is 0."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
