"""The WebSocket of a node whose pool we write: new heads never come, pending transactions come when they are published."""

from __future__ import annotations

import contextlib
import json
import threading
from types import TracebackType
from typing import Any

import rlp
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from infra.chain.keccak import keccak
from infra.chain.transaction_fields import FIELDS
from infra.chain.transactions import decode

_HEADS, _PENDING = "0x1", "0x2"


class PendingSocket:
    """Serves until closed. What is published goes to those who follow pending transactions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: list[ServerConnection] = []
        self._server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def followers(self) -> int:
        """How many follow pending transactions."""
        with self._lock:
            return len(self._followers)

    def publish(self, transaction: dict[str, Any]) -> None:
        """Announce a transaction, as a whole object."""
        params = {"subscription": _PENDING, "result": transaction}
        message = json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
        with self._lock:
            for follower in self._followers:
                follower.send(message)

    def _serve(self, connection: ServerConnection) -> None:
        try:
            with contextlib.suppress(ConnectionClosed):
                for text in connection:
                    self._answer(connection, json.loads(text))
        finally:
            with self._lock:
                if connection in self._followers:
                    self._followers.remove(connection)

    def _answer(self, connection: ServerConnection, asked: dict[str, Any]) -> None:
        pending = asked["params"][0] == "newPendingTransactions"
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": _PENDING if pending else _HEADS}
        with self._lock:
            connection.send(json.dumps(answer))
            if pending:
                self._followers.append(connection)

    def __enter__(self) -> PendingSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()


def transaction_object(raw: bytes) -> dict[str, Any]:
    """A signed transaction as a node tells of a pending one, field by field from its bytes."""
    tx_type = raw[0] if raw[0] < 0xC0 else 0
    fields = rlp.decode(raw[1:] if tx_type else raw)
    names = (*FIELDS[tx_type], "v", "r", "s")
    told: dict[str, Any] = {name: _told(name, value) for name, value in zip(names, fields, strict=True)}
    if tx_type:
        told["yParity"] = told["v"]
    hashed = {"hash": "0x" + keccak(raw).hex(), "from": "0x" + decode(raw).sender.hex(), "type": hex(tx_type)}
    return {**told, **hashed, "blockHash": None}


def _told(name: str, value: Any) -> Any:
    if name == "accessList":
        return [
            {"address": "0x" + address.hex(), "storageKeys": ["0x" + key.hex() for key in keys]}
            for address, keys in value
        ]
    if name == "to":
        return "0x" + value.hex() if value else None
    return "0x" + value.hex() if name == "input" else hex(int.from_bytes(value, "big"))
