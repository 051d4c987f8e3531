"""What pending transactions read, told in one way or another by a node whose requests are weighed, and what their execution on it comes to."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from infra.chain.blocks import Header
from infra.chain.errors import RpcError
from infra.chain.node import Node
from infra.chain.reads import PackedRead, Read
from infra.chain.storage import nonces
from infra.chain.tracing import At
from infra.ingest.pending_events import transaction_of
from operators.overlay.pending import transaction_of as to_execute
from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.fees import next_base_fee
from operators.simulation.model import BlockEnv
from operators.simulation.packed import PackedState, pack_states
from schemas.logs import Log
from schemas.opportunities import VerdictKind
from schemas.pending import PendingRecord

T = TypeVar("T")

Way = Callable[[list[dict[str, Any]], At], Awaitable[list[Read | RpcError]]]


class WeighedNode(Node):
    """Counts the bytes of requests and answers, and the seconds that it waited for answers (the node's time, and the way)."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        self.sent = self.received = 0

    async def _once(self, content: bytes, decode: Callable[[bytes], T], many: bool) -> T:
        def weigh(answer: bytes) -> T:
            self.received += len(answer)
            return decode(answer)

        self.sent += len(content)
        return await super()._once(content, weigh, many)


class Cost(NamedTuple):
    """Of all transactions together."""

    requests: int
    posts: int
    sent: int
    received: int
    seconds: float


class Outcome(NamedTuple):
    """What an execution comes to; equal where the verdict is."""

    kind: VerdictKind
    reason: str
    gas_used: int
    logs: tuple[Log, ...]


async def tell(
    node: WeighedNode, way: Way, records: Sequence[PendingRecord], at: At, at_once: int
) -> tuple[list[PackedRead | None], Cost]:
    """What each of the transactions reads, so many at once, packed as the log has it; and what that costs."""
    counts = await nonces(node, at.block_hash, [r.sender for r in records])
    found: list[PackedRead | None] = []
    before = node.requests, node.posts, node.sent, node.received
    started = time.perf_counter()
    for start in range(0, len(records), at_once):
        part = records[start : start + at_once]
        told = await way([transaction_of(r).call() for r in part], at)
        found += [
            None if isinstance(t, RpcError) else t.packed(r.sender, count, pack_states)
            for t, r, count in zip(told, part, counts[start:], strict=False)
        ]
    seconds = time.perf_counter() - started
    after = node.requests, node.posts, node.sent, node.received
    return found, Cost(*(b - a for a, b in zip(before, after, strict=True)), seconds)


def env_of(chain: int, fork: str, header: Header, at: At) -> BlockEnv:
    """The block that is next."""
    base_fee = next_base_fee(header.base_fee or 0, header.gas_used, header.gas_limit)
    return BlockEnv(
        chain_id=chain, number=at.number, timestamp=at.time, coinbase=header.miner, base_fee=base_fee, gas_limit=header.gas_limit,
        prevrandao=bytes(32), difficulty=0, excess_blob_gas=header.excess_blob_gas or 0, fork=fork,
    )  # fmt: skip


def outcome(engine: Engine, env: BlockEnv, record: PendingRecord, read: PackedRead) -> Outcome:
    """The execution of the transaction alone, on what was told, as the search does it."""
    state = PackedState((read.packed,), read.codes)
    unknown = UnknownAccounts.ABSENT if read.whole else UnknownAccounts.REFUSE
    (verdict,) = engine.execute(state, env, [to_execute(record)], unknown=unknown).verdicts
    return Outcome(verdict.kind, verdict.reason, verdict.gas_used, verdict.logs)
