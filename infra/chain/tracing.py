"""What a call would read: `debug_traceCall` with `prestateTracer` at one block's state, in the environment of the next block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infra.chain import hexes
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Call, Node
from infra.chain.reads import Read, read_call, read_of
from infra.chain.storage import at

#: A trace is an execution: more of them in one request than this take providers longer than they allow.
TRACES_AT_ONCE = 100


@dataclass(frozen=True)
class At:
    """Where a trace runs: on the state after block `block_hash`, as if in block `number` at `time` (unix seconds).

    The next block's number and time, not the head's: a Uniswap V2 pair reads its price accumulators only when time has passed since
    its last update, so a trace in the head's own second would miss slots that the next block reads.
    """

    block_hash: bytes
    number: int
    time: int
    #: The fee recipient of that block, which a trace mentions by itself.
    coinbase: bytes = b""

    @classmethod
    def after(cls, header: Header, interval: int = 1) -> At:
        """On top of a block, `interval` seconds later."""
        return cls(header.hash, header.number + 1, header.timestamp + max(1, interval), header.miner)


def trace_calls(calls: Iterable[dict[str, Any]], at_: At) -> list[Call]:
    """The requests for the traces of calls."""
    block = at(at_.block_hash)
    options = {
        "tracer": "prestateTracer",
        "blockOverrides": {"number": hexes.show_int(at_.number), "time": hexes.show_int(at_.time)},
    }
    return [read_call("debug_traceCall", tx, block, options) for tx in calls]


async def reads(node: Node, calls: list[dict[str, Any]], at_: At) -> list[Read | RpcError]:
    """What each call reads, from the same state; an error of one call stands in its place. Raises `HeadMoved` if the block is gone, and
    `NodeTimeout` where even one alone takes too long."""
    answers = await node.batch(trace_calls(calls, at_), at_most=TRACES_AT_ONCE, patient=False)
    out: list[Read | RpcError] = []
    for answer in answers:
        if isinstance(answer, RpcError):
            if answer.unknown_block:
                raise HeadMoved(str(answer))
            out.append(answer)
        else:
            out.append(read_of(answer))
    return out
