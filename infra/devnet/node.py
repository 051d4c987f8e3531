"""A small synchronous JSON-RPC client for the devnet's own node: one call, one batch, one kind of error."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import httpx

# A batch larger than this is split: one request body stays a few megabytes also with recorded mainnet transactions.
BATCH_LIMIT = 500


class RpcError(RuntimeError):
    """The node answered a call with an error; `code`, `message` and `data` are the node's own."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class Node:
    """One node by its HTTP address. Safe to use from several threads."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        """Connect lazily; `timeout` is seconds per request."""
        self.url = url
        self._client = httpx.Client(timeout=timeout)
        self._ids = itertools.count(1)

    def call(self, method: str, *params: Any) -> Any:
        """Answer of one call. Raises RpcError on an error answer, httpx.HTTPError when there is none."""
        return self._unwrap(method, self._post(self._request(method, params)))

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Answers in the order of `calls`; a failed call's answer is its RpcError, not raised."""
        answers: list[Any] = []
        for start in range(0, len(calls), BATCH_LIMIT):
            part = calls[start : start + BATCH_LIMIT]
            requests = [self._request(method, params) for method, params in part]
            replies = {reply["id"]: reply for reply in self._post(requests)}
            for request in requests:
                try:
                    answers.append(self._unwrap(request["method"], replies[request["id"]]))
                except RpcError as error:
                    answers.append(error)
        return answers

    def all(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Like `batch`, but the first failed call is raised."""
        answers = self.batch(calls)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return answers

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _post(self, body: Any) -> Any:
        response = self._client.post(self.url, json=body)
        response.raise_for_status()
        return response.json()

    @staticmethod
    def _unwrap(method: str, reply: dict[str, Any]) -> Any:
        if (error := reply.get("error")) is not None:
            raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return reply.get("result")

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def quantity(value: Any) -> int:
    """An RPC quantity as an integer; recorded files also hold plain numbers."""
    return int(value, 16) if isinstance(value, str) else int(value)


def data(value: str) -> bytes:
    """An RPC data field as bytes."""
    return bytes.fromhex(value.removeprefix("0x"))


def to_hex(value: bytes) -> str:
    """Bytes as an RPC data field."""
    return "0x" + value.hex()
