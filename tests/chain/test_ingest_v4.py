"""Pools of the real Uniswap V4 PoolManager: one contract for all of them, so the log holds of its many events what tracked pools need."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from eth_abi import encode

from infra.chain.keccak import keccak
from infra.devnet.anvil import Anvil
from infra.devnet.contracts import creation_code
from infra.devnet.node import data, quantity, to_hex
from infra.kafka.admin import ensure_topics
from infra.kafka.reading import read_events
from operators.pools.base import Pool
from operators.pools.records import pool_of
from operators.pools.uniswap_v4 import INITIALIZE_TOPIC, V4Pool, pool_key
from schemas.config import ChainConfig, Config, ExecutorConfig, FactoryConfig, IngestConfig, KafkaConfig, RuntimeConfig
from schemas.event import Event
from schemas.logs import LogsRecord
from schemas.pools import PoolRecord
from tests.chain.ingest_rig import Ingest, wait_until
from tests.unit.pools.concentrated_in_evm import _compiled, _creation_code, calldata

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

_KEY = "(address,address,uint24,int24,address)"
_NO_HOOKS = "0x" + "00" * 20
_GWEI = 10**9


class V4Market:
    """A PoolManager with two coins and a caller that pays for what it does."""

    def __init__(self, anvil: Anvil) -> None:
        self.node = anvil.node
        self.user: str = self.node.call("eth_accounts")[0]
        self.node.call("evm_setBlockGasLimit", hex(1_000_000_000))
        manager = _creation_code("@uniswap/v4-core", "out/PoolManager.sol/PoolManager.json")
        self.manager = self.deploy(manager + encode(["address"], [self.user]))
        self.caller = self.deploy(_compiled()["V4Caller"])
        coin = ("string", "string", "uint256", "address")
        code = creation_code("ERC20", coin, ("Coin", "CN", 10**30, self.caller))
        self.coins = sorted(self.deploy(code) for _ in range(2))

    def send(self, to: bytes | None, payload: bytes) -> str:
        tx = {"from": self.user, "data": to_hex(payload), "gas": hex(10_000_000), "maxFeePerGas": hex(100 * _GWEI)}
        answer: str = self.node.call("eth_sendTransaction", tx | ({"to": to_hex(to)} if to else {}))
        return answer

    def mine(self) -> None:
        self.node.call("evm_mine")

    def deploy(self, code: bytes) -> bytes:
        tx_hash = self.send(None, code)
        self.mine()
        receipt = self.node.call("eth_getTransactionReceipt", tx_hash)
        assert quantity(receipt["status"]) == 1
        return data(receipt["contractAddress"])

    def key(self, fee: int, spacing: int) -> tuple[str, str, int, int, str]:
        return to_hex(self.coins[0]), to_hex(self.coins[1]), fee, spacing, _NO_HOOKS

    def address(self, fee: int, spacing: int) -> bytes:
        """The key of a pool everywhere in the project."""
        return pool_key(self.manager, keccak(encode([_KEY], [self.key(fee, spacing)])))

    def initialize(self, fee: int, spacing: int) -> None:
        self.send(self.manager, calldata(f"initialize({_KEY},uint160)", self.key(fee, spacing), 2**96))

    def position(self, fee: int, spacing: int, lower: int, upper: int, amount: int) -> None:
        signature = f"modify(address,{_KEY},(int24,int24,int256,bytes32))"
        change = lower, upper, amount, bytes(32)
        self.send(self.caller, calldata(signature, to_hex(self.manager), self.key(fee, spacing), change))

    def swap(self, fee: int, spacing: int, zero_for_one: bool, amount: int) -> None:
        limit = 4295128740 if zero_for_one else 1461446703485210103287273052203988822378723970341
        signature = f"swap(address,{_KEY},(bool,int256,uint160))"
        trade = zero_for_one, -amount, limit
        self.send(self.caller, calldata(signature, to_hex(self.manager), self.key(fee, spacing), trade))


def followed(events: list[Event]) -> dict[bytes, Pool]:
    """Every pool as its record and the logs after it tell it."""
    pools: dict[bytes, Pool] = {}
    for event in events:
        record, logs = event.part(PoolRecord), event.part(LogsRecord)
        if record is not None:
            pools[record.address] = pool_of(record)
        for log in logs.logs if logs is not None else ():
            key = V4Pool.key_of(log)
            if key in pools and log.topics[0] != INITIALIZE_TOPIC:
                pools[key] = pools[key].apply(log)
    return pools


def test_pools_of_the_singleton_are_found_admitted_and_followed(
    anvil: Anvil, kafka: KafkaConfig, tmp_path: Path
) -> None:
    market = V4Market(anvil)
    kinds = [(3000, 60), (500, 10)]
    old, new = (market.address(*kind) for kind in kinds)
    market.initialize(*kinds[0])
    market.position(*kinds[0], -6000, 6000, 10**20)
    market.mine()
    config = Config(
        chain=ChainConfig(id=31337, http_url=anvil.http_url, ws_url=anvil.ws_url, anchor=market.coins[0]),
        kafka=kafka,
        ingest=IngestConfig(
            factories=(FactoryConfig(name="v4", family="uniswap_v4", address=market.manager),), pending=False
        ),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
        runtime=RuntimeConfig(state_dir=tmp_path),
    )

    def wait_for(running: Ingest, pools: int) -> None:
        def there() -> bool:
            head = quantity(market.node.call("eth_blockNumber"))
            done = running.progress is not None and running.progress.discovered and not running.progress.waiting
            return running.block == head and done and running.pools == pools

        wait_until("the head and the pools", there)

    rng = random.Random(3)
    with Ingest(config) as running:
        wait_for(running, 1)
        market.initialize(*kinds[1])
        market.position(*kinds[1], -1000, 1000, 10**20)
        market.mine()
        wait_for(running, 2)
        for _ in range(8):
            kind = rng.choice(kinds)
            market.swap(*kind, rng.random() < 0.5, rng.randrange(10**15, 10**18))
            width = rng.randrange(1, 30) * kind[1]
            market.position(*kind, -width, width, rng.randrange(1, 10**19))
            market.mine()
        wait_for(running, 2)
    events = list(read_events(kafka, 31337, gap_timeout_s=5.0))
    records = [r for e in events if (r := e.part(PoolRecord)) is not None]
    assert {r.address for r in records} == {old, new} and all(r.seed for r in records)
    assert {(r.refusal, r.detail) for r in records} == {("", "")}
    # Both pools' slots are the manager's.
    assert all(market.manager in {n.address for n in r.needs} for r in records)
    lived = followed(events)
    # A sequencer that comes later reads from the chain what the first one followed.
    other = config.model_copy(update={"kafka": kafka.model_copy(update={"topic_prefix": kafka.topic_prefix + "o."})})
    ensure_topics(other.kafka)
    with Ingest(other) as running:
        wait_for(running, 2)
    read = followed(list(read_events(other.kafka, 31337, gap_timeout_s=5.0)))
    assert {a: p.digest_entry() for a, p in lived.items()} == {a: p.digest_entry() for a, p in read.items()}
    assert all(isinstance(p, V4Pool) and len(p.ticks) > 4 for p in read.values())
