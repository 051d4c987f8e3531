"""What a feed makes of a message that is none."""

from __future__ import annotations

import msgspec
import pytest

from infra.chain.errors import NodeUnavailable
from infra.chain.subscription import Subscription


def subscription(items: list[msgspec.Raw]) -> Subscription:
    return Subscription(
        "ws://127.0.0.1:1", (("newHeads",),), silent_after_s=1.0, on_item=items.append, on_gap=lambda: None
    )


@pytest.mark.parametrize(
    "message",
    [b"", b"{", b"[]", b'{"result":"\xff"}', b'{"params":{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"],
    ids=["empty", "cut", "list", "no text", "lists in lists"],
)
def test_what_is_no_message_ends_the_connection_and_nothing_else(message: bytes) -> None:
    items: list[msgspec.Raw] = []
    with pytest.raises(NodeUnavailable, match="no JSON-RPC"):
        subscription(items)._take(message)
    assert not items


def test_an_item_is_handed_on_as_it_came() -> None:
    items: list[msgspec.Raw] = []
    subscription(items)._take(
        b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":{"a": 1}}}'
    )
    assert [bytes(item) for item in items] == [b'{"a": 1}']
