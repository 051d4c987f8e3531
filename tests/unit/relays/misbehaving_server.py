"""A real HTTP server that answers as it is told, one behaviour per request, and remembers what it got."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behave:
    """One answer. `delay_s` before it, `drip_s` between its bytes, `drop` closes the connection with nothing said. Where a delay is to outlast
    a client's patience, make it much longer: no time is lost, the end of the test ends it."""

    body: bytes = b""
    status: int = 200
    delay_s: float = 0.0
    drip_s: float = 0.0
    drop: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def says(document: Any, status: int = 200, **more: Any) -> Behave:
    return Behave(json.dumps(document).encode(), status, **more)


@dataclass
class Seen:
    """One request."""

    body: bytes
    headers: dict[str, str]
    at: float
    connection: int

    @property
    def call(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


Script = Callable[[Seen], Behave]


class Server:
    """`script` decides each answer; by default the queue is used up, then its last entry stays."""

    def __init__(self, script: Script) -> None:
        self.seen: list[Seen] = []
        self.script = script
        self._closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Seen(body, dict(self.headers), time.monotonic(), self.client_address[1])
                behave = outer.script(request)
                # Only now: who waits for a request and then changes the answers does not change this one.
                outer.seen.append(request)
                with contextlib.suppress(OSError):
                    self._answer(behave)

            def _answer(self, behave: Behave) -> None:
                outer._closed.wait(behave.delay_s)
                if behave.drop:
                    # Reset, not closed in order.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(behave.status)
                for name, value in behave.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(behave.body)))
                self.end_headers()
                step = 1 if behave.drip_s else max(1, len(behave.body))
                for start in range(0, len(behave.body), step):
                    self.wfile.write(behave.body[start : start + step])
                    self.wfile.flush()
                    outer._closed.wait(behave.drip_s)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def await_requests(self, count: int, within_s: float = 60.0) -> None:
        """Return when so many requests have come. Until then a test does not know what its client has done yet."""
        deadline = time.monotonic() + within_s
        while len(self.seen) < count:
            assert time.monotonic() < deadline, f"{len(self.seen)} of {count} requests came within {within_s} s"
            time.sleep(0.005)

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(*behaviours: Behave, script: Script | None = None) -> Iterator[Server]:
    queue = list(behaviours)
    server = Server(script or (lambda _: queue.pop(0) if len(queue) > 1 else queue[0]))
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The address of a port at which nobody listens, and nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
