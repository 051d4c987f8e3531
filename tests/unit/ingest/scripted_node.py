"""A JSON-RPC server over HTTP whose answers a test writes as a function, and that can be strict about batches."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Refusal(Exception):
    """Raised by a script: the answer is this error."""

    def __init__(self, code: int, message: str) -> None:
        self.error = {"code": code, "message": message}


#: (method, params) → result.
Script = Callable[[str, list[Any]], Any]


class ScriptedNode:
    """Serves until closed. `most` is the largest batch taken; `too_many` says how a larger one is answered: "object", "413", "list"
    (geth's form) or "slow" (no answer in time)."""

    def __init__(self, script: Script, *, most: int = 10_000, too_many: str = "object") -> None:
        self.script = script
        self.most = most
        self.too_many = too_many
        self.methods: Counter[str] = Counter()
        self.batches: list[int] = []
        self._closed = threading.Event()
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one segment, or each answer would wait for a delayed acknowledgement.
            wbufsize = 1 << 16

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content = node._answer(body)
                out = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                # A client that did not wait for the answer.
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(out)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, body: Any) -> tuple[int, Any]:
        if not isinstance(body, list):
            return 200, self._one(body)
        self.batches.append(len(body))
        if len(body) <= self.most:
            return 200, [self._one(entry) for entry in body]
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
        if self.too_many == "slow":
            self._closed.wait(120.0)
        return {
            "object": (200, error),
            "413": (413, "too large"),
            "list": (200, [error | {"id": body[0]["id"]}]),
            "slow": (503, ""),
        }[self.too_many]

    def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        self.methods[request["method"]] += 1
        head = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return head | {"result": self.script(request["method"], request["params"])}
        except Refusal as refusal:
            return head | {"error": refusal.error}

    def __enter__(self) -> ScriptedNode:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
