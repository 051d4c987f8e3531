"""The state after one block, read as it is asked for and each part of it once: what one call reads others read, too.

Values after a block never change, so nothing that is remembered can be wrong; with another block it begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from infra.chain.node import Node
from infra.chain.prestate import AccountChange
from infra.chain.readings import Reader
from infra.chain.storage import head_calls, heads_in
from schemas.reads import Slot


class HeadState:
    """Asks a node."""

    def __init__(self, node: Node) -> None:
        """Asks nothing before it is asked to."""
        self._node = node
        self._reader = Reader(node)
        self._block = b""
        self._known: dict[bytes, AccountChange] = {}

    async def read(self, wanted: Mapping[bytes, frozenset[bytes]], block_hash: bytes) -> Mapping[bytes, AccountChange]:
        """Accounts that were asked for after this block, whole: these among them, with the wanted slots. Not the caller's to change.

        Raises `HeadMoved` if the block is gone, `RpcError` where the node refuses.
        """
        known = self._of(block_hash)
        new = sorted(wanted.keys() - known.keys())
        slots = [
            Slot(account, key)
            for account in sorted(wanted)
            for key in sorted(wanted[account])
            if account not in known or key not in known[account].slots
        ]
        heads, values = await asyncio.gather(
            self._node.all_of(head_calls(new, block_hash)), self._reader.read(slots, block_hash)
        )
        for account, head in heads_in(new, heads).items():
            known.setdefault(account, head)
        for slot in slots:
            known[slot.address].slots[slot.key] = values[slot] or bytes(32)
        return known

    def _of(self, block_hash: bytes) -> dict[bytes, AccountChange]:
        # A dictionary for each block: who still waits for answers at the one before has its own.
        if self._block != block_hash:
            self._block, self._known = block_hash, {}
        return self._known
