"""An HTTP proxy in front of a node that can change answers, refuse methods, or refuse everything."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: (method, params, the node's answer object) → the answer object given instead.
Bend = Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]


def without(*prefixes: str) -> Bend:
    """A node that lacks all methods of namespaces, or single ones."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if not method.startswith(prefixes):
            return answer
        return {
            "jsonrpc": "2.0",
            "id": answer["id"],
            "error": {"code": -32601, "message": f"the method {method} does not exist"},
        }

    return bend


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was killed is what some tests are about.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class BendingProxy:
    """Serves until closed. `bend` may be exchanged at any time; `down` answers 503 to all."""

    def __init__(self, target: str, bend: Bend | None = None) -> None:
        self.bend = bend
        self.down = False
        self.refused = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if proxy.down:
                    proxy.refused += 1
                    return self._answer(503, b"busy")
                request = urllib.request.Request(target, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=30) as response:
                    content = response.read()
                return self._answer(200, proxy._bent(body, content))

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                # A client that did not wait for the answer.
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _bent(self, body: bytes, content: bytes) -> bytes:
        # Read once: it may be exchanged at any time.
        bend = self.bend
        if bend is None:
            return content
        try:
            asked, told = json.loads(body), json.loads(content)
        except json.JSONDecodeError:
            # What the node says of a request that it does not understand.
            return content
        if isinstance(asked, dict):
            return json.dumps(bend(asked["method"], asked["params"], told)).encode()
        by_id = {a["id"]: a for a in told}
        return json.dumps([bend(q["method"], q["params"], by_id[q["id"]]) for q in asked]).encode()

    def __enter__(self) -> BendingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
