"""Pools of the real Uniswap V3 factory: found in the past and as they are made, admitted with their ticks, followed log by log."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from flows.ingest.candidates import Candidate
from infra.chain import blocks
from infra.chain.keccak import keccak
from infra.chain.node import Node
from infra.chain.readings import Reader
from infra.devnet.anvil import Anvil
from infra.devnet.node import quantity
from infra.kafka.admin import ensure_topics
from infra.kafka.reading import read_events
from operators.pools.base import AdmissionRefused, Found, Pool
from operators.pools.records import pool_of
from operators.pools.uniswap_v3 import V3Pool
from schemas.blocks import BlockOp, BlockRecord
from schemas.config import ChainConfig, Config, ExecutorConfig, FactoryConfig, IngestConfig, KafkaConfig, RuntimeConfig
from schemas.event import Event
from schemas.logs import LogsRecord
from schemas.pools import PoolOp, PoolRecord
from schemas.witness import WitnessRecord
from tests.chain.ingest_rig import Ingest, wait_until
from tests.chain.v3_market import INIT_CODE_HASH, V3Market, artifact

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

ETHER = 10**18


def test_the_npm_pool_is_the_deployed_one() -> None:
    assert keccak(artifact("UniswapV3Pool")) == INIT_CODE_HASH


def config_of(anvil: Anvil, market: V3Market, kafka: KafkaConfig, folder: Path, **ingest: object) -> Config:
    return Config(
        chain=ChainConfig(id=31337, http_url=anvil.http_url, ws_url=anvil.ws_url, anchor=market.weth),
        kafka=kafka,
        ingest=IngestConfig(factories=(market.config(),), pending=False, **ingest),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
        runtime=RuntimeConfig(state_dir=folder),
    )


def wait_for(running: Ingest, market: V3Market, pools: int) -> None:
    def there() -> bool:
        head = quantity(market.node.call("eth_blockNumber"))
        return (
            running.block == head
            and running.progress is not None
            and running.progress.discovered
            and running.pools == pools
        )

    wait_until("the head and the pools", there)


def events_of(config: Config) -> list[Event]:
    return list(read_events(config.kafka, 31337, gap_timeout_s=5.0))


def followed(events: list[Event]) -> dict[bytes, Pool]:
    """Every pool as its record and the logs after it tell it, over reorgs as well as the log has them."""
    pools: dict[bytes, Pool] = {}
    before: list[dict[bytes, Pool]] = []
    for event in events:
        block, record, logs = (event.part(kind) for kind in (BlockRecord, PoolRecord, LogsRecord))
        if block is not None and block.op is BlockOp.REVERT:
            pools = before.pop()
        elif block is not None:
            before.append(dict(pools))
        if record is not None and record.op is PoolOp.ADD and record.state:
            pools[record.address] = pool_of(record)
        for log in logs.logs if logs is not None else ():
            if log.address in pools and log.topics[0] in V3Pool.LOG_TOPICS:
                pools[log.address] = pools[log.address].apply(log)
    return pools


def read_now(url: str, factory: FactoryConfig, addresses: list[bytes]) -> list[Pool | AdmissionRefused]:
    """Fresh readings at the node's head."""

    async def go() -> list[Pool | AdmissionRefused]:
        async with Node(url, 10.0) as node:
            head = await blocks.head(node)
            found = [Found("uniswap_v3", address, factory.address) for address in addresses]
            readings = [Candidate(V3Pool, each, factory).reading(head.timestamp) for each in found]
            return await Reader(node).drive(readings, head.hash, AdmissionRefused)

    return asyncio.run(go())


def trade(market: V3Market, blocks_: int, seed: int) -> None:
    """Blocks of swaps, new positions and withdrawals over the pools (0, 1, 3000) and (0, 2, 500)."""
    rng = random.Random(seed)
    positions = 2
    for _ in range(blocks_):
        for _ in range(3):
            a, b, fee = rng.choice([(0, 1, 3000), (1, 0, 3000), (0, 2, 500), (2, 0, 500)])
            market.swap(a, b, fee, rng.randrange(1, 40) * ETHER)
        spacing = {3000: 60, 500: 10}
        a, b, fee = rng.choice([(0, 1, 3000), (0, 2, 500)])
        middle = rng.randrange(-30, 30) * spacing[fee]
        width = rng.randrange(1, 20) * spacing[fee]
        market.mint(a, b, fee, middle - width, middle + width, 50 * ETHER)
        positions += 1
        market.decrease(rng.randrange(1, 3), 3)
        market.mine()


def test_found_admitted_and_followed(anvil: Anvil, kafka: KafkaConfig, tmp_path: Path) -> None:
    market = V3Market(anvil.node)
    old, new = market.pool(0, 1, 3000), market.pool(0, 2, 500)
    market.receipt(market.create(0, 1, 3000))
    market.receipt(market.mint(0, 1, 3000, -6000, 6000, 1000 * ETHER))
    # More blocks than one request for logs covers at first.
    anvil.node.call("anvil_mine", hex(2500), hex(12))
    config = config_of(anvil, market, kafka, tmp_path)
    with Ingest(config) as running:
        # From the past.
        wait_for(running, market, 1)
        # As it is made: creation and first liquidity in one block.
        market.create(0, 2, 500)
        market.receipt(market.mint(0, 2, 500, -1000, 1000, 1000 * ETHER))
        wait_for(running, market, 2)
        trade(market, 12, seed=4)
        wait_for(running, market, 2)
    events = events_of(config)
    first = {p.address: e for e in reversed(events) if (p := e.part(PoolRecord)) is not None}
    assert set(first) == {old, new}
    for address, event in first.items():
        record = event.part(PoolRecord)
        assert record is not None and (record.family, record.refusal, record.factory) == (
            "uniswap_v3",
            "",
            market.factory,
        )
        admitted = pool_of(record)
        assert isinstance(admitted, V3Pool) and len(admitted.ticks) == 2 and admitted.tradable
        assert [t.symbol for t in record.tokens] and set(admitted.tokens) <= set(market.tokens)
        witness = event.part(WitnessRecord)
        assert witness is not None
        slots = {a.address: len(a.slots) // 64 for a in witness.accounts}
        assert slots[address] >= 8 and all(slots[token] >= 3 for token in admitted.tokens)
    # The new one right behind the block that made it.
    assert events[first[new].seq - 1].part(BlockRecord) is not None
    pools = followed(events)
    fresh = read_now(anvil.http_url, market.config(), [old, new])
    for address, pool in zip((old, new), fresh, strict=True):
        assert isinstance(pool, V3Pool) and len(pool.ticks) > 4
        assert pools[address].digest_entry() == pool.digest_entry()


def test_the_same_pools_by_history_alone_and_after_a_restart(anvil: Anvil, kafka: KafkaConfig, tmp_path: Path) -> None:
    market = V3Market(anvil.node)
    market.create(0, 1, 3000)
    market.receipt(market.mint(0, 1, 3000, -6000, 6000, 1000 * ETHER))
    config = config_of(anvil, market, kafka, tmp_path)
    with Ingest(config) as running:
        wait_for(running, market, 1)
    # Nobody looks while the second one is made.
    market.create(0, 2, 500)
    market.receipt(market.mint(0, 2, 500, -1000, 1000, 1000 * ETHER))
    with Ingest(config) as running:
        wait_for(running, market, 2)
        trade(market, 4, seed=9)
        wait_for(running, market, 2)
    other = config.model_copy(update={"kafka": kafka.model_copy(update={"topic_prefix": kafka.topic_prefix + "o."})})
    ensure_topics(other.kafka)
    with Ingest(other) as running:
        wait_for(running, market, 2)
    lived, young = followed(events_of(config)), followed(events_of(other))
    assert {a: p.digest_entry() for a, p in lived.items()} == {a: p.digest_entry() for a, p in young.items()}
    assert len(lived) == 2
