"""An asynchronous JSON-RPC client over HTTP: typed answers, batches, retries with backoff, errors by what one does about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from infra.chain.errors import HeadMoved, LieReason, NodeLied, NodeUnavailable, RpcError

T = TypeVar("T")

ATTEMPTS = 5
BATCH_LIMIT = 100
_OVERLOADED = (429, 502, 503, 504)
#: JSON-RPC "limit exceeded", as some providers answer it with status 200.
_LIMIT_EXCEEDED = -32005


class _ErrorObject(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Envelope(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _ErrorObject | None = None


@dataclass(frozen=True)
class Call:
    """One request: its method, its parameters, and the type its answer must have (also unions, hence no generic)."""

    kind: Any
    method: str
    params: tuple[Any, ...]


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
        self._batch_limit = batch_limit
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
        self._http = httpx.AsyncClient(timeout=timeout_s, limits=limits, headers={"Content-Type": "application/json"})
        self._envelope = msgspec.json.Decoder(_Envelope)
        self._envelopes = msgspec.json.Decoder(list[_Envelope])

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(self, kind: Any, method: str, *params: Any) -> Any:
        """One request; the answer is of the type `kind`. Raises `NodeUnavailable`, `HeadMoved`, `RpcError`, `NodeLied(malformed)`."""
        body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
        answer = await self._post(body, self._envelope)
        out = _typed(Call(kind, method, params), answer)
        if isinstance(out, RpcError):
            raise _raised(out)
        return out

    async def batch(self, calls: Sequence[Call]) -> list[Any | RpcError]:
        """All requests in batches of at most the limit, answers in order; an error of one request stands in its place."""
        out: list[Any | RpcError] = []
        for start in range(0, len(calls), self._batch_limit):
            out += await self._one_batch(calls[start : start + self._batch_limit])
        return out

    async def all_of(self, calls: Sequence[Call]) -> list[Any]:
        """As `batch`, but the first error is raised: for answers that belong together."""
        answers = await self.batch(calls)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise _raised(answer)
        return answers

    async def _one_batch(self, calls: Sequence[Call]) -> list[Any | RpcError]:
        body = [{"jsonrpc": "2.0", "id": i, "method": c.method, "params": c.params} for i, c in enumerate(calls)]
        answers = await self._post(body, self._envelopes)
        by_id = {answer.id: answer for answer in answers}
        if len(answers) != len(calls) or set(by_id) != set(range(len(calls))):
            raise NodeLied(LieReason.ANSWER_COUNT, f"{len(answers)} answers to a batch of {len(calls)}")
        return [_typed(call, by_id[i]) for i, call in enumerate(calls)]

    async def _post(self, body: Any, decoder: msgspec.json.Decoder[T]) -> T:
        content = msgspec.json.encode(body)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(NodeUnavailable),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.1),
            reraise=True,
        )
        return await retrying(self._once, content, decoder)

    async def _once(self, content: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            response = await self._http.post(self._url, content=content)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise NodeUnavailable(f"the node does not answer: {type(error).__name__} {error}".rstrip()) from None
        if response.status_code in _OVERLOADED or response.status_code >= 500:
            raise NodeUnavailable(f"the node answers HTTP {response.status_code}")
        try:
            return decoder.decode(response.content)
        except msgspec.MsgspecError:
            raise NodeUnavailable(f"the node answers HTTP {response.status_code} without JSON-RPC") from None


def _typed(call: Call, answer: _Envelope) -> Any | RpcError:
    if answer.error is not None:
        if answer.error.code == _LIMIT_EXCEEDED:
            raise NodeUnavailable(f"{call.method}: {answer.error.message}")
        return RpcError(call.method, answer.error.code, answer.error.message)
    try:
        return msgspec.json.decode(answer.result, type=call.kind)
    except msgspec.MsgspecError as error:
        raise NodeLied(LieReason.MALFORMED, f"{call.method}: {error}") from None


def _raised(error: RpcError) -> Exception:
    return HeadMoved(str(error)) if error.unknown_block else error
