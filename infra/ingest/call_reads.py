"""What calls read, as the node can tell it: by traces, and while it has none by access lists and the state that they name."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from infra.chain.errors import RpcError
from infra.chain.listed import Lists, OwnSlots
from infra.chain.needs import Needs
from infra.chain.node import Node
from infra.chain.reads import Read
from infra.chain.tracing import At, reads
from infra.ingest import metrics

T = TypeVar("T")

#: Seconds after which a method is tried again that the node did not have: it may regain one, and each may lose it.
AGAIN_S = 10.0


class Lacking:
    """Whether a node is taken to lack a method."""

    def __init__(self) -> None:
        self._until = 0.0

    def __bool__(self) -> bool:
        return time.monotonic() < self._until

    def note(self, answers: Sequence[object]) -> bool:
        """Look at answers; whether all of them say that the method is not there. What a contract says when it fails is not about the node."""
        lacking = all(isinstance(a, RpcError) and a.unsupported and not a.execution_failed for a in answers)
        self._until = time.monotonic() + AGAIN_S if lacking else 0.0
        return lacking


class CallReads:
    """Asks a node, and remembers for a while what it does not have."""

    def __init__(self, node: Node, own_slots: OwnSlots) -> None:
        """`own_slots` completes access lists (see `infra.chain.listed`)."""
        self._node = node
        self._lists = Lists(node, own_slots)
        self._no_traces, self._no_lists = Lacking(), Lacking()

    @property
    def traced(self) -> bool:
        """Whether the node was found to trace when it was last asked."""
        return not self._no_traces

    async def reads(self, calls: list[dict[str, Any]], at: At) -> list[Read | RpcError]:
        """What each call reads, from the same state; an error of one call stands in its place. Raises `HeadMoved` if the block is gone, and
        `NodeTimeout` where even one alone takes too long."""
        return await self._told(self._traces, self._lists.reads, calls, at)

    async def touched(self, calls: list[dict[str, Any]], at: At) -> list[Needs | RpcError]:
        """The accounts and slots of it alone."""
        return await self._told(self._traced, self._lists.touched, calls, at)

    async def _traces(self, calls: list[dict[str, Any]], at: At) -> list[Read | RpcError]:
        return await reads(self._node, calls, at)

    async def _traced(self, calls: list[dict[str, Any]], at: At) -> list[Needs | RpcError]:
        return [
            read if isinstance(read, RpcError) else {a: frozenset(c.slots) for a, c in read.changes().items()}
            for read in await reads(self._node, calls, at)
        ]

    async def _told(
        self,
        by_trace: Callable[[list[dict[str, Any]], At], Awaitable[list[T | RpcError]]],
        by_list: Callable[[list[dict[str, Any]], At], Awaitable[list[T | RpcError]]],
        calls: list[dict[str, Any]],
        at: At,
    ) -> list[T | RpcError]:
        if not calls:
            return []
        if self._no_traces and not self._no_lists:
            listed = await by_list(calls, at)
            if not self._no_lists.note(listed):
                return _counted("list", listed)
        traces = await by_trace(calls, at)
        if not self._no_traces.note(traces) or self._no_lists:
            # Where the node has neither, its word on traces stands.
            return _counted("trace", traces)
        listed = await by_list(calls, at)
        return _counted("trace", traces) if self._no_lists.note(listed) else _counted("list", listed)


def _counted(source: str, told: list[T | RpcError]) -> list[T | RpcError]:
    metrics.READS_TOLD.labels(source).inc(sum(not isinstance(each, RpcError) for each in told))
    return told
