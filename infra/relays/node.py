"""The chain's node as the edge asks it: one JSON-RPC call at a time, every failure with its kind."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from typing import Any

import httpx

from infra.relays.http import MAX_REPLY_BYTES, ReplyTooLarge, new_client, read_bounded
from infra.relays.json_reply import parse


class Trouble(StrEnum):
    """Why the node gave no usable answer."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HTTP = "http"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    HEAD_UNKNOWN = "head_unknown"
    TARGET_UNREADABLE = "target_unreadable"
    RPC_ERROR = "rpc_error"


class NodeTrouble(Exception):
    """The node gave no usable answer: `kind` says why."""

    def __init__(self, kind: Trouble, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class RpcError(Exception):
    """The node's own error answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Node:
    """A JSON-RPC endpoint over HTTP. Belongs to the event loop it is first used on."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._http = new_client(timeout_s)
        self._timeout_s = timeout_s

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call. Raises `RpcError` for the node's errors and `NodeTrouble` for everything else."""
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, separators=(",", ":")
        ).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._http.stream("POST", self._url, content=body) as response:
                    raw = await read_bounded(response, MAX_REPLY_BYTES)
        except (TimeoutError, httpx.TimeoutException):
            raise NodeTrouble(Trouble.TIMEOUT, method) from None
        except ReplyTooLarge as error:
            raise NodeTrouble(Trouble.MALFORMED, f"{method}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeTrouble(Trouble.UNREACHABLE, f"{method}: {type(error).__name__}") from None
        return _result(method, response.status_code, raw)

    async def head_number(self) -> int | None:
        """The height of the node's head, None where it does not say."""
        try:
            return quantity(await self.call("eth_blockNumber"), "eth_blockNumber")
        except (NodeTrouble, RpcError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _result(method: str, status: int, raw: bytes) -> Any:
    try:
        document = parse(raw)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(error := document.get("error"), dict):
        code = error.get("code")
        raise RpcError(code if isinstance(code, int) else 0, str(error.get("message", ""))[:300])
    if status != 200:
        raise NodeTrouble(Trouble.HTTP, f"{method}: status {status}")
    if not isinstance(document, dict) or "result" not in document:
        raise NodeTrouble(Trouble.MALFORMED, f"{method}: no JSON-RPC reply")
    return document["result"]


def quantity(value: Any, what: str) -> int:
    """A JSON-RPC hex quantity. Raises `NodeTrouble(MALFORMED)` naming `what`."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise NodeTrouble(Trouble.MALFORMED, f"{what} is not a hex quantity: {str(value)[:40]!r}")
