"""What the graph is when somebody builds it anew from the node alone: the measure for a flow that lived through reorgs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from flows.ingest import IngestProgress, run_ingest
from flows.world import World
from infra.devnet.contracts import call_data
from infra.devnet.node import data, quantity, to_hex
from infra.kafka.admin import ensure_topics
from infra.kafka.reading import read_events
from infra.runtime.drain import Drain
from operators.graph.digest import combine
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from schemas.blocks import BlockOp, BlockRecord
from schemas.config import Config
from schemas.event import Event
from tests.chaos.scenario import wait_until


class Graph(NamedTuple):
    """A graph at a head: its digest as decisions have it, and the pools in it."""

    head: bytes
    digest: bytes
    pools: frozenset[bytes]


def graph_of(events: Iterable[Event], shards: int) -> Graph:
    """The graph after these events, by the flow's own core."""
    cores = [GraphShard() for _ in range(shards)]
    heads: list[bytes] = []
    for event in events:
        block = event.parts[0]
        if isinstance(block, BlockRecord) and block.op is BlockOp.APPLY:
            heads.append(block.hash)
        elif isinstance(block, BlockRecord):
            heads.pop()
        for core, (_, message) in zip(cores, fan_out(event, shards), strict=True):
            core.apply(message)
    return Graph(heads[-1], combine(c.digest for c in cores), frozenset(a for c in cores for a in c.pools))


def another_log(config: Config, **ingest: object) -> Config:
    """The same chain under topics of their own, without pending transactions: those are no state."""
    changes = {"pending": False, **ingest}
    fresh = config.model_copy(
        update={
            "kafka": config.kafka.model_copy(update={"topic_prefix": f"rebuild.{uuid.uuid4().hex[:8]}."}),
            "ingest": config.ingest.model_copy(update=changes),
        }
    )
    ensure_topics(fresh.kafka)
    return fresh


def pool_count(world: World) -> int:
    """How many pools the factories have at the node's head."""
    call = to_hex(call_data("allPairsLength()"))
    factories = world.devnet.market.factories
    return sum(
        map(
            quantity,
            world.devnet.anvil.node.all(
                [("eth_call", [{"to": to_hex(f.address), "data": call}, "latest"]) for f in factories]
            ),
        )
    )


class RunningIngest:
    """A sequencer on a thread; a context manager that drains it and raises what ended it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.progress: IngestProgress | None = None
        self.error: BaseException | None = None
        self._drain = Drain()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            run_ingest(self.config, self._drain, on_progress=self._note)
        except BaseException as error:
            self.error = error

    def _note(self, progress: IngestProgress) -> None:
        self.progress = progress

    def wait_for(self, block: int, pools: int) -> None:
        """Wait until the log has this head and so many pools."""

        def there() -> bool:
            assert self.error is None, self.error
            return self.progress is not None and (self.progress.block, self.progress.pools) == (block, pools)

        wait_until(f"block {block} and {pools} pools in the log", there)

    def graph(self) -> Graph:
        """The graph that the log gives now."""
        return graph_of(read_events(self.config.kafka, self.config.chain.id), self.config.search.shards)

    def join(self) -> None:
        """Wait for an end that comes by itself."""
        self._thread.join(90)
        assert not self._thread.is_alive()

    def __enter__(self) -> RunningIngest:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._drain.set()
        self.join()
        if kind is None and self.error is not None:
            raise self.error


def rebuild(world: World) -> Graph:
    """The graph of a sequencer that has just met the node and heard of nothing before. The node must stand still meanwhile."""
    node = world.devnet.anvil.node
    with RunningIngest(another_log(world.config)) as ingest:
        ingest.wait_for(quantity(node.call("eth_blockNumber")), pool_count(world))
    graph = ingest.graph()
    assert graph.head == data(node.call("eth_getBlockByNumber", "latest", False)["hash"])
    return graph
