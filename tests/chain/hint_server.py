"""A stream of server-sent events on this machine, as MEV-Share's is: live only, with comments while nothing happens."""

from __future__ import annotations

import contextlib
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PING_S = 0.5


class HintServer:
    """Serves until closed. What is published goes to everybody who is connected, and to nobody else. `down` answers 524 to all."""

    def __init__(self) -> None:
        self.down = False
        self.connections = 0
        self._lock = threading.Lock()
        self._clients: dict[int, queue.Queue[bytes | None]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if server.down or "text/event-stream" not in self.headers["Accept"]:
                    self.send_response(524)
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    server._serve(self.wfile)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def listeners(self) -> int:
        """How many are connected."""
        with self._lock:
            return len(self._clients)

    def publish(self, data: bytes) -> None:
        """One event."""
        with self._lock:
            for client in self._clients.values():
                client.put(b"data: " + data + b"\n\n")

    def drop(self) -> None:
        """End all connections."""
        with self._lock:
            for client in self._clients.values():
                client.put(None)

    def _serve(self, out: Any) -> None:
        mine: queue.Queue[bytes | None] = queue.Queue()
        with self._lock:
            self.connections += 1
            self._clients[id(mine)] = mine
        try:
            out.write(b":ping\n\n")
            while True:
                try:
                    item = mine.get(timeout=_PING_S)
                except queue.Empty:
                    item = b":ping\n\n"
                if item is None:
                    return
                out.write(item)
        finally:
            with self._lock:
                del self._clients[id(mine)]

    def __enter__(self) -> HintServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._http.shutdown()
        self._http.server_close()
