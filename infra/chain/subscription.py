"""One WebSocket subscription that stays: reconnects with backoff and jitter, and reconnects a feed that fell silent."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from infra.chain.errors import NodeUnavailable, RpcError

log = logging.getLogger("sluice.chain")

MAX_MESSAGE = 32 << 20
MAX_DELAY_S = 10.0


class _Params(msgspec.Struct):
    subscription: str | int = ""
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Message(msgspec.Struct):
    id: int | None = None
    result: Any = None
    error: _Error | None = None
    params: _Params | None = None


_decoder = msgspec.json.Decoder(_Message)


class Subscription:
    """Follows one `eth_subscribe` stream for ever. Items missed while disconnected are the caller's to fill: `on_gap` tells it when."""

    def __init__(
        self,
        ws_url: str,
        variants: tuple[tuple[Any, ...], ...],
        *,
        silent_after_s: float,
        on_item: Callable[[msgspec.Raw], None],
        on_gap: Callable[[], None],
    ) -> None:
        """`variants` are parameter lists of `eth_subscribe`, best first: the first the node takes is used. `on_item` gets the raw JSON of each
        item. `on_gap` is called after each (re)connection, and when nothing came for `silent_after_s` seconds."""
        self._url = ws_url
        self._variants = variants
        self._silent_after_s = silent_after_s
        self._on_item = on_item
        self._on_gap = on_gap
        self.connections = 0
        self.silences = 0
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. Raises `RpcError` when the node takes none of the variants, or no WebSocket at all."""
        try:
            await self._run()
        except (InvalidURI, InvalidHandshake) as error:
            # The kind only: the text may hold the address, and an address may hold a key.
            raise RpcError("eth_subscribe", 0, f"no WebSocket there ({type(error).__name__})") from None

    async def _run(self) -> None:
        # ping_timeout finds dead connections; the watchdog below finds live connections whose node says nothing.
        async for socket in connect(
            self._url, max_size=MAX_MESSAGE, max_queue=1024, compression=None, proxy=None, close_timeout=1
        ):
            try:
                await self._follow(socket)
            except (ConnectionClosed, NodeUnavailable, TimeoutError, msgspec.MsgspecError) as error:
                log.warning("feed %s: %s; connecting again", self._variants[0][0], error or "no answer")
                self._on_gap()
            # `connect` backs off while it cannot connect; this is for a node that accepts and then drops or keeps silent.
            self._failures += 1
            await asyncio.sleep(min(MAX_DELAY_S, 0.05 * 2**self._failures) * random.uniform(0.5, 1.5))

    async def _follow(self, socket: ClientConnection) -> None:
        # Not `wait_for`: that of Python 3.11 loses a cancellation that comes together with a message, and the feed never ends.
        async with asyncio.timeout(self._silent_after_s):
            await self._subscribe(socket)
        self.connections += 1
        self._on_gap()
        while True:
            try:
                async with asyncio.timeout(self._silent_after_s):
                    text = await socket.recv(decode=False)
            except TimeoutError:
                self.silences += 1
                raise NodeUnavailable(f"silent for {self._silent_after_s:g} s") from None
            self._take(text)

    def _take(self, text: bytes) -> None:
        try:
            message = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NodeUnavailable("a message that is no JSON-RPC") from None
        if message.params is not None:
            self._failures = 0
            self._on_item(message.params.result)

    async def _subscribe(self, socket: ClientConnection) -> None:
        error = RpcError("eth_subscribe", 0, "refused")
        for number, params in enumerate(self._variants):
            request = {"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": params}
            await socket.send(msgspec.json.encode(request).decode())
            answer = _decoder.decode(await socket.recv(decode=False))
            while answer.id != number:
                answer = _decoder.decode(await socket.recv(decode=False))
            if answer.error is None:
                return
            error = RpcError("eth_subscribe", answer.error.code, answer.error.message)
        raise error
