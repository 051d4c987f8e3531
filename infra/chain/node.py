"""An asynchronous JSON-RPC client over HTTP: typed answers, batches, retries with backoff, errors by what one does about them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import httpx
import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from infra.chain.batch_size import BatchSize
from infra.chain.errors import (
    BatchRefused,
    HeadMoved,
    LieReason,
    NodeError,
    NodeLied,
    NodeTimeout,
    NodeUnavailable,
    RpcError,
)

T = TypeVar("T")

ATTEMPTS = 5
#: Requests of the first batch, and of any: geth's own limit is 1000.
BATCH_START = 100
BATCH_LIMIT = 1000
#: Batches under way at once.
CONCURRENCY = 4
_OVERLOADED = (429, 502, 503, 504)
_TOO_LARGE = 413
#: What the decoder raises for what is no JSON of the type, and for text that is no UTF-8 or nested a hundred thousand deep.
NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: JSON-RPC "limit exceeded" and HTTP's "too many requests", as some providers answer them with status 200.
_LIMIT_EXCEEDED = (-32005, 429)
#: The same code for what was asked, instead of how often: asking again would be no use.
_ABOUT_THE_QUESTION = re.compile(r"results|block range|range of blocks|logs", re.I)
_ANSWER_TOO_LARGE = re.compile(r"response (is )?too (large|big)|response size", re.I)


class _ErrorObject(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct, Generic[T]):
    """A response whose result is of the type asked for."""

    result: T | msgspec.UnsetType = msgspec.UNSET
    error: _ErrorObject | None = None


class _Numbered(msgspec.Struct, Generic[T]):
    """A response of a batch whose result is of the type that all of the batch were asked for."""

    id: int
    result: T
    error: None = None


class _Envelope(msgspec.Struct):
    """A response whose result is still to be read."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _ErrorObject | None = None


class Quick(NamedTuple):
    """Readers of answers that take what is plainly as usual. None for whatever is not: that is read again as its call's kind, and judged.

    `one` reads the body of a single answer. `many` reads that of a batch of so many: each answer in its place, and the bytes of those that
    are not as usual.
    """

    one: Callable[[bytes], Any | None]
    many: Callable[[bytes, int], tuple[list[Any | None], list[bytes]] | None] | None = None


@dataclass(frozen=True)
class Call:
    """One request: its method, its parameters, the type its answer must have (also unions, hence no generic), and a quicker way to read it
    where there is one; then the answer may be of what that makes as well."""

    kind: Any
    method: str
    params: tuple[Any, ...]
    quick: Quick | None = None


def call_of(kind: Any, method: str, *params: Any) -> Call:
    """A request whose answer is decoded as `kind`."""
    return Call(kind, method, params)


class Node:
    """A node's HTTP side. Use as an async context manager; safe for concurrent use within one event loop."""

    def __init__(
        self, http_url: str, timeout_s: float, *, attempts: int = ATTEMPTS, batch_limit: int = BATCH_LIMIT
    ) -> None:
        """`timeout_s` bounds each attempt, `attempts` the tries of one request, `batch_limit` the requests of one batch."""
        self._url = http_url
        self._attempts = attempts
        self._size = BatchSize(BATCH_START, batch_limit)
        #: Requests sent so far, each of a batch counted, and HTTP requests.
        self.requests = self.posts = 0
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
        self._http = httpx.AsyncClient(timeout=timeout_s, limits=limits, headers={"Content-Type": "application/json"})
        self._envelope = msgspec.json.Decoder(_Envelope)
        self._envelopes = msgspec.json.Decoder(list[_Envelope])

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    # ---------------------------------------------------------------- one request

    async def call(self, kind: Any, method: str, *params: Any, patient: bool = True) -> Any:
        """One request; the answer is of the type `kind`. Raises `NodeUnavailable`, `HeadMoved`, `RpcError`, `NodeLied(malformed)`.

        Not `patient`: what takes too long once is not asked again, because the caller will ask for less.
        """
        return await self.answer(Call(kind, method, params), patient=patient)

    async def answer(self, call: Call, *, patient: bool = True) -> Any:
        """As `call`, with the request made before."""
        out = await self._single(call, patient)
        if isinstance(out, RpcError):
            raise _raised(out)
        return out

    async def _single(self, call: Call, patient: bool = True) -> Any | RpcError:
        body = {"jsonrpc": "2.0", "id": 0, "method": call.method, "params": call.params}

        def decode(content: bytes) -> Any | RpcError:
            if call.quick is not None and (plain := call.quick.one(content)) is not None:
                return plain
            # In one go: a block's receipts are half a megabyte. What is no answer of the type is read again to find out why.
            with suppress(msgspec.ValidationError):
                answer = msgspec.json.decode(content, type=_Answer[call.kind])  # type: ignore[name-defined]
                if answer.error is None and answer.result is not msgspec.UNSET:
                    return answer.result
            return _typed(call, self._envelope.decode(content))

        self.requests += 1
        return await self._post(body, decode, patient)

    # ---------------------------------------------------------------- many

    async def batch(
        self, calls: Sequence[Call], *, at_most: int = BATCH_LIMIT, patient: bool = True
    ) -> list[Any | RpcError]:
        """All requests in batches as large as the node takes them and `at_most` of that, several at once; answers in order, an error of
        one request in its place. Raises as `call` where a batch as a whole fails. Not `patient`: what takes too long alone is not asked again."""
        answers: list[Any | RpcError] = [None] * len(calls)
        waiting = deque(range(len(calls)))

        async def work() -> None:
            while waiting:
                part = [waiting.popleft() for _ in range(min(len(waiting), self._size.now, at_most))]
                try:
                    found = await self._one_batch([calls[i] for i in part], patient)
                except (BatchRefused, NodeTimeout):
                    if len(part) == 1:
                        raise
                    self._size.refused(len(part))
                    waiting.extendleft(reversed(part))
                    continue
                self._size.taken(len(part))
                for i, answer in zip(part, found, strict=True):
                    answers[i] = answer

        workers = min(CONCURRENCY, -(-len(calls) // min(self._size.now, at_most)))
        await _all(work, workers)
        return answers

    async def all_of(self, calls: Sequence[Call]) -> list[Any]:
        """As `batch`, but the first error is raised: for answers that belong together."""
        answers = await self.batch(calls)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise _raised(answer)
        return answers

    async def _one_batch(self, calls: Sequence[Call], patient: bool) -> list[Any | RpcError]:
        if len(calls) == 1:
            return [await self._single(calls[0], patient)]
        body = [{"jsonrpc": "2.0", "id": i, "method": c.method, "params": c.params} for i, c in enumerate(calls)]
        self.requests += len(calls)
        return await self._post(body, lambda content: self._decode_batch(content, calls), patient=False)

    def _decode_batch(self, content: bytes, calls: Sequence[Call]) -> list[Any | RpcError]:
        plain = self._decode_plain(content, calls)
        if plain is not None:
            return plain
        kind = calls[0].kind
        if all(call.kind == kind for call in calls):
            # In one go, as in `_single`: the traces of some transactions are megabytes.
            with suppress(msgspec.ValidationError):
                told = msgspec.json.decode(content, type=list[_Numbered[kind]])  # type: ignore[valid-type]
                found = {answer.id: answer.result for answer in told}
                if len(told) == len(calls) and found.keys() == set(range(len(calls))):
                    return [found[i] for i in range(len(calls))]
        try:
            answers = self._envelopes.decode(content)
        except msgspec.ValidationError:
            # One object instead of a list: what the node thinks of the batch.
            answers = [self._envelope.decode(content)]
        if len(answers) == 1 and answers[0].error is not None:
            _check_limit("a batch", answers[0].error)
            raise BatchRefused(f"the node takes no batch of {len(calls)}: {answers[0].error.message}")
        by_id = {answer.id: answer for answer in answers}
        if len(answers) != len(calls) or set(by_id) != set(range(len(calls))):
            raise NodeLied(LieReason.ANSWER_COUNT, f"{len(answers)} answers to a batch of {len(calls)}")
        out = [_typed(call, by_id[i]) for i, call in enumerate(calls)]
        if _is_too_large(out):
            raise BatchRefused(f"the answers to a batch of {len(calls)} are too large for the node")
        return out

    def _decode_plain(self, content: bytes, calls: Sequence[Call]) -> list[Any | RpcError] | None:
        """The answers where the calls have a quick reader and all is well but for errors of single requests; else None: no judgement is made here."""
        quick = calls[0].quick
        if quick is None or quick.many is None or any(call.quick is not quick for call in calls):
            return None
        read = quick.many(content, len(calls))
        if read is None:
            return None
        answers, odd = read
        try:
            for each in map(self._envelope.decode, odd):
                if each.id is None or not 0 <= each.id < len(calls) or answers[each.id] is not None:
                    return None
                answers[each.id] = _typed(calls[each.id], each)
        except (*NOT_JSON, NodeError):
            return None
        return None if _is_too_large(answers) or any(answer is None for answer in answers) else answers

    # ---------------------------------------------------------------- the way there

    async def _post(self, body: Any, decode: Callable[[bytes], T], patient: bool) -> T:
        content, many = msgspec.json.encode(body), isinstance(body, list)
        failed: list[NodeUnavailable] = []
        try:
            # Mostly this is all; the rest is for what did not go well.
            return await self._once(content, decode, many)
        except NodeUnavailable as error:
            failed.append(error)

        async def attempt() -> T:
            if failed:
                raise failed.pop()
            return await self._once(content, decode, many)

        hopeless = () if patient else NodeTimeout
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, NodeUnavailable) and not isinstance(e, hopeless)),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.1),
            reraise=True,
        )
        return await retrying(attempt)

    async def _once(self, content: bytes, decode: Callable[[bytes], T], many: bool) -> T:
        self.posts += 1
        try:
            response = await self._http.post(self._url, content=content)
        except httpx.TimeoutException as error:
            raise NodeTimeout(f"the node does not answer in time: {type(error).__name__}") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise NodeUnavailable(f"the node does not answer: {type(error).__name__} {error}".rstrip()) from None
        if response.status_code in _OVERLOADED or response.status_code >= 500:
            raise NodeUnavailable(f"the node answers HTTP {response.status_code}")
        if response.status_code == _TOO_LARGE and many:
            raise BatchRefused("the node answers HTTP 413 to a batch")
        try:
            return decode(response.content)
        except NOT_JSON:
            raise NodeUnavailable(f"the node answers HTTP {response.status_code} without JSON-RPC") from None


async def _all(work: Callable[[], Any], count: int) -> None:
    """Run so many workers; the first failure ends the others and is raised."""
    if count <= 1:
        # Mostly: a task for it would only have to be scheduled.
        await work()
        return
    tasks = [asyncio.ensure_future(work()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_too_large(answers: Sequence[Any | RpcError]) -> bool:
    return any(isinstance(a, RpcError) and _ANSWER_TOO_LARGE.search(a.message) for a in answers)


def _check_limit(method: str, error: _ErrorObject) -> None:
    if error.code in _LIMIT_EXCEEDED and not _ABOUT_THE_QUESTION.search(error.message):
        raise NodeUnavailable(f"{method}: {error.message}")


def _typed(call: Call, answer: _Envelope) -> Any | RpcError:
    if answer.error is not None:
        _check_limit(call.method, answer.error)
        return RpcError(call.method, answer.error.code, answer.error.message)
    try:
        return msgspec.json.decode(answer.result, type=call.kind)
    except NOT_JSON as error:
        raise NodeLied(LieReason.MALFORMED, f"{call.method}: {error}") from None


def _raised(error: RpcError) -> Exception:
    return HeadMoved(str(error)) if error.unknown_block else error
