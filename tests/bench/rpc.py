"""The leanest clients of a node: what a call costs here is the node and the wire, not a library.

One connection kept open, the request encoded beforehand, the answer parsed as JSON.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

_SECONDS = 60
_CHUNK = 1 << 20


class Connection(Protocol):
    """One open connection."""

    def send(self, body: bytes) -> Any:
        """The answer to a request."""

    def close(self) -> None:
        """Close it."""


def request(method: str, *params: Any) -> bytes:
    """One request, encoded."""
    return json.dumps(_request(1, method, params)).encode()


def batch(count: int, method: str, *params: Any) -> bytes:
    """The same request `count` times in one body."""
    return json.dumps([_request(number, method, params) for number in range(count)]).encode()


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


class Http:
    """JSON-RPC over HTTP/1.1, kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        self._connection.connect()
        # Head and body go out as two packets: without this the second waits for the first one's acknowledgement.
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, body: bytes) -> Any:
        """See `Connection`."""
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()


class Ipc:
    """JSON-RPC over a Unix socket. Answers have no length and no end mark: one is whole when it parses."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_SECONDS)
        self._socket.connect(str(path))

    def send(self, body: bytes) -> Any:
        """See `Connection`."""
        self._socket.sendall(body)
        received = b""
        while True:
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise ConnectionError("the node closed the socket")
            received += chunk
            if received.rstrip()[-1:] in (b"}", b"]"):
                try:
                    return json.loads(received)
                except json.JSONDecodeError:
                    continue  # a bracket inside

    def close(self) -> None:
        """See `Connection`."""
        self._socket.close()
