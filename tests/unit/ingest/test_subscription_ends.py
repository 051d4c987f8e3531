"""A feed ends when it is told to, also where a message comes at the same moment."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from websockets.asyncio.client import ClientConnection

from infra.chain.subscription import Subscription


class Socket:
    """Takes a subscription, and then says what it is given."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, request: str) -> None:
        self.said.put_nowait(b'{"id": 0, "result": "0x1"}')

    async def recv(self, decode: bool) -> bytes:
        return await self.said.get()


def feed() -> Subscription:
    return Subscription(
        "ws://none", (("newHeads",),), silent_after_s=60.0, on_item=lambda item: None, on_gap=lambda: None
    )


@pytest.mark.parametrize("turns", range(6))
def test_it_ends_wherever_a_message_is_on_its_way(turns: int) -> None:
    async def go() -> None:
        socket = Socket()
        following = asyncio.create_task(feed()._follow(cast(ClientConnection, socket)))
        # It has subscribed and waits: all of it happens on this loop.
        await asyncio.sleep(0.01)
        socket.said.put_nowait(b'{"params": {"result": 1}}')
        for _ in range(turns):
            await asyncio.sleep(0)
        following.cancel()
        done, _ = await asyncio.wait([following], timeout=5)
        assert done and following.cancelled()

    asyncio.run(go())
