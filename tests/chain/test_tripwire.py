"""The tripwire against a real node: each way in which a pool can come to differ is found, and called by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from flows.ingest.admission import Admitter
from flows.tripwire_checks import Checker, suspension
from infra.chain import blocks
from infra.chain.blocks import Header
from infra.chain.node import Node
from infra.chain.past_logs import logs_between
from infra.devnet.devnet import Devnet
from infra.devnet.market import mine
from infra.devnet.node import to_hex
from infra.devnet.reorg import reorg
from infra.runtime.tripwire_metrics import COMPARED, SKIPPED
from operators.graph.messages import ShardInput
from operators.pools.base import Found
from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.tripwire.messages import Sample, TakenOff
from operators.tripwire.watch import WatchSettings, WatchShard
from schemas.config import ChainConfig, Config, ExecutorConfig, FactoryConfig, IngestConfig, TripwireConfig
from schemas.control import Command
from schemas.decisions import EventKind
from schemas.findings import Difference, FindingRecord
from schemas.logs import Log
from schemas.pools import PoolRecord
from schemas.record import Record
from tests.chain.bending_proxy import BendingProxy

#: Slot of UniswapV2Pair's packed reserves.
_RESERVES = hex(8)
_PATIENCE = 2

Edit = Callable[[list[Log]], list[Log]]


def as_it_is(logs: list[Log]) -> list[Log]:
    return logs


class Bench:
    """A devnet, a shard that is fed with its blocks by hand, and a checker that asks the node (through a proxy that can bend it)."""

    def __init__(self, devnet: Devnet, proxy: BendingProxy, delay: int = 0) -> None:
        self.devnet, self.proxy = devnet, proxy
        self.node = devnet.anvil.node
        self.node.call("anvil_dropAllTransactions")
        market = devnet.market
        self.config = Config(
            chain=ChainConfig(id=market.chain_id, http_url=proxy.url, ws_url=devnet.anvil.ws_url, anchor=market.weth),
            ingest=IngestConfig(
                factories=tuple(
                    FactoryConfig(name=f.name, address=f.address, init_code_hash=f.init_code_hash)
                    for f in market.factories
                ),
                judge_tokens_every=0,
            ),
            executor=ExecutorConfig(address=b"\x01" * 20, owner=b"\x02" * 20),
            tripwire=TripwireConfig(patience_blocks=_PATIENCE),
        )
        self.watch = WatchShard(WatchSettings(delay, 1000, 12), 0)
        self.checker = Checker(self.config)
        self.pools = [pair.address for pair in market.pairs]
        self.headers: list[Header] = []
        mine(self.node)
        self.feed()
        self.admit(self.admissions())

    # ------------------------------------------------------------ what a sequencer would do

    def ask(self, work: Callable[[Node], Any]) -> Any:
        async def run() -> Any:
            async with Node(self.devnet.anvil.http_url, 10.0) as node:
                return await work(node)

        return asyncio.run(run())

    def admissions(self) -> list[PoolRecord]:
        found = [Found("uniswap_v2", pair.address, pair.factory) for pair in self.devnet.market.pairs]

        async def read(node: Node) -> list[PoolRecord]:
            return [a.record for a in await Admitter(node, self.config).admit(found, self.headers[-1], 12)]

        return self.ask(read)

    def admit(self, records: list[PoolRecord]) -> None:
        for record in records:
            assert not record.refusal, record
            self.watch.apply(ShardInput(0, 0, EventKind.POOL, 0, b"", 0, (), record, ()))

    def logs_of(self, header: Header) -> list[Log]:
        async def read(node: Node) -> list[Log]:
            found = [await logs_between(node, pool, (SYNC_TOPIC,), header.number, header.number) for pool in self.pools]
            return [past.log for some in found for past in some]

        return sorted(self.ask(read), key=lambda log: log.log_index)

    def feed(self, edit: Edit = as_it_is) -> list[Sample | TakenOff]:
        """The node's newest block into the shard, its logs as edited."""
        header = self.ask(blocks.head)
        self.headers.append(header)
        return self.watch.apply(self.event(EventKind.BLOCK, header, edit(self.logs_of(header))))

    def revert(self) -> list[Sample | TakenOff]:
        return self.watch.apply(self.event(EventKind.REVERT, self.headers.pop(), []))

    def event(self, kind: EventKind, header: Header, logs: list[Log]) -> ShardInput:
        keyed = tuple((log.address, log) for log in logs)
        return ShardInput(
            header.number, 0, kind, header.number, header.hash, header.timestamp, keyed, None, ()
        )  # fmt: skip

    def block(self, edit: Edit = as_it_is, *, traffic: bool = True) -> list[Record]:
        """One more block of the chain, fed and checked."""
        if traffic:
            self.devnet.traffic.send(self.node, self.devnet.traffic.transactions(self.node, len(self.headers)))
        self.devnet.builder.build_block()
        return self.checker.check(self.feed(edit))

    def busiest(self) -> bytes:
        """A pool that the next block's traffic will move: found by looking at what the last one moved."""
        moved = [log.address for log in self.logs_of(self.headers[-1])]
        return max(set(moved), key=moved.count)


def findings(records: list[Record]) -> dict[bytes, Difference]:
    return {r.pool: r.difference for r in records if isinstance(r, FindingRecord)}


@pytest.fixture
def proxy(devnet: Devnet) -> Iterator[BendingProxy]:
    with BendingProxy(devnet.anvil.http_url) as running:
        yield running


@pytest.fixture
def bench(devnet: Devnet, proxy: BendingProxy) -> Iterator[Bench]:
    made = Bench(devnet, proxy)
    yield made
    made.checker.close()


@pytest.fixture
def late_bench(devnet: Devnet, proxy: BendingProxy) -> Iterator[Bench]:
    made = Bench(devnet, proxy, delay=1)
    yield made
    made.checker.close()


def counted(counter: Any, label: str) -> float:
    return float(counter.labels(label)._value.get())


def test_what_is_in_step_is_left_alone(bench: Bench) -> None:
    before = counted(COMPARED, "equal")
    assert [bench.block() for _ in range(4)] == [[]] * 4
    assert counted(COMPARED, "equal") - before == 4 * len(bench.pools)


def test_a_withheld_log_is_missed(bench: Bench) -> None:
    bench.block()
    withheld: list[Log] = []

    def withhold(logs: list[Log]) -> list[Log]:
        victim = logs[-1].address
        withheld.extend(log for log in logs if log.address == victim)
        return [log for log in logs if log.address != victim]

    records = bench.block(withhold)
    pool = withheld[0].address
    assert findings(records) == {pool: Difference.MISSED_LOG}
    finding, command = records
    assert isinstance(finding, FindingRecord)
    assert (finding.chain_logs - finding.our_logs, finding.since_block) == (len(withheld), bench.headers[-2].number)
    assert command == suspension(finding)
    assert (command.command, command.subject) == (Command.SUSPEND_POOL, to_hex(pool))
    assert command.reason.startswith("tripwire:missed_log ")


def test_storage_that_changes_without_a_log_is_told_from_a_missed_one(bench: Bench) -> None:
    bench.block()
    pool = bench.busiest()
    reserves = bench.node.call("eth_getStorageAt", to_hex(pool), _RESERVES, "latest")
    bench.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, to_hex((int(reserves, 16) + 1).to_bytes(32, "big")))
    records = bench.block(traffic=False)
    assert findings(records) == {pool: Difference.STORAGE_CHANGED_WITHOUT_LOG}
    bench.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, reserves)
    assert bench.block(traffic=False) == []


def test_a_log_that_comes_with_the_next_block_is_late(late_bench: Bench) -> None:
    bench = late_bench
    bench.block()
    held: list[Log] = []

    def hold(logs: list[Log]) -> list[Log]:
        victim = logs[-1].address
        held.extend(log for log in logs if log.address == victim)
        return [log for log in logs if log.address != victim]

    assert bench.block(hold) == []
    records = bench.block(lambda logs: held + logs, traffic=False)
    assert findings(records) == {held[0].address: Difference.LATE_DELIVERY}


def test_a_state_that_was_read_too_early_is_late(bench: Bench) -> None:
    old = {record.address: record for record in bench.admissions()}
    bench.block()
    pool, number = bench.busiest(), bench.headers[-1].number
    bench.admit([msgspec.structs.replace(old[pool], block_number=number)])
    assert findings(bench.block(traffic=False)) == {pool: Difference.LATE_DELIVERY}


def test_a_block_that_is_no_more_waits_for_its_revert(bench: Bench) -> None:
    bench.block()
    bench.devnet.traffic.send(bench.node, bench.devnet.traffic.transactions(bench.node, 77))
    bench.devnet.builder.build_block()
    samples = bench.feed()
    reorg(bench.node, 1)
    assert bench.checker.check(samples) == []
    assert bench.checker.check(bench.revert()) == []
    assert bench.checker.check(bench.feed()) == []
    assert [bench.block(traffic=False) for _ in range(_PATIENCE + 1)] == [[]] * (_PATIENCE + 1)


def test_a_reorg_that_the_log_never_hears_of_is_found(bench: Bench) -> None:
    bench.block()
    orphan = bench.headers[-1]
    moved = {log.address for log in bench.logs_of(orphan)}
    reorg(bench.node, 1)
    bench.node.call("anvil_dropAllTransactions")
    records: list[Record] = []
    for step in range(1, _PATIENCE + 2):
        # The node goes on without the orphan, the log on top of it.
        assert not records
        bench.node.call("evm_mine")
        upon = replace(orphan, number=orphan.number + step, hash=bytes([step]) * 32)
        records += bench.checker.check(bench.watch.apply(bench.event(EventKind.BLOCK, upon, [])))
    assert moved and findings(records) == dict.fromkeys(moved, Difference.UNHANDLED_REORG)


def test_a_node_that_says_two_things_is_doubted(bench: Bench) -> None:
    bench.block()
    pool = to_hex(bench.busiest())
    asked = {"count": 0}

    def once_wrong(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_call" and params[0]["to"] == pool and params[0]["data"].startswith("0x0902f1ac"):
            asked["count"] += 1
            if asked["count"] == 1:
                return answer | {"result": "0x" + "00" * 31 + "05" + answer["result"][66:]}
        return answer

    bench.proxy.bend = once_wrong
    assert list(findings(bench.block(traffic=False)).values()) == [Difference.NODE_DISAGREES]


def test_a_node_without_logs_leaves_the_cause_open(bench: Bench) -> None:
    bench.block()
    pool = bench.busiest()

    def no_logs(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getLogs":
            return {"jsonrpc": "2.0", "id": answer["id"], "error": {"code": -32000, "message": "range not indexed"}}
        return answer

    reserves = bench.node.call("eth_getStorageAt", to_hex(pool), _RESERVES, "latest")
    bench.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, to_hex((int(reserves, 16) + 1).to_bytes(32, "big")))
    bench.proxy.bend = no_logs
    assert findings(bench.block(traffic=False)) == {pool: Difference.UNEXPLAINED}
    bench.node.call("anvil_setStorageAt", to_hex(pool), _RESERVES, reserves)


def test_a_pruned_state_is_passed_over_and_counted(bench: Bench) -> None:
    def pruned(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_call":
            error = {"code": -32000, "message": "missing trie node 0xabc (path ) state is not available"}
            return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
        return answer

    bench.proxy.bend = pruned
    before = counted(SKIPPED, "no_state")
    assert bench.block(traffic=False) == []
    assert counted(SKIPPED, "no_state") - before == len(bench.pools)
    bench.proxy.bend = None
    assert bench.block() == []

    # What was passed over is made up for: a log missed meanwhile is still found to be missing.
    bench.proxy.bend = pruned
    withheld: list[bytes] = []

    def withhold(logs: list[Log]) -> list[Log]:
        withheld.append(logs[-1].address)
        return [log for log in logs if log.address != withheld[0]]

    assert bench.block(withhold) == []
    bench.proxy.bend = None
    assert findings(bench.block(traffic=False)) == {withheld[0]: Difference.MISSED_LOG}


def test_a_node_that_is_away_makes_samples_wait(bench: Bench) -> None:
    bench.devnet.builder.build_block()
    samples = bench.feed()
    bench.proxy.down = True
    assert bench.checker.check(samples) == []
    bench.proxy.down = False
    restarted = Checker(bench.config, bench.checker.snapshot())
    before = counted(COMPARED, "equal")
    assert restarted.check([]) == []
    assert counted(COMPARED, "equal") - before == len(bench.pools)
    restarted.close()
