"""A node that contradicts itself about a pool, as it may while a head comes in: the pool is read again before that is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.cli.control import command_record
from infra.devnet.anvil import Anvil
from infra.devnet.node import data, to_hex
from infra.kafka.writer import CheckedWriter
from operators.ingest.doubts import TRIES
from schemas.config import Config, KafkaConfig
from schemas.control import Command
from schemas.pools import PoolOp, PoolRecord
from tests.chain.bending_proxy import Bend, BendingProxy
from tests.chain.ingest_rig import Ingest, wait_until
from tests.chain.test_ingest_v3 import ETHER, config_of, events_of, followed, read_now, wait_for
from tests.chain.v3_market import V3Market

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

_SLOT0 = "0x3850c7bd"


class Contradiction:
    """Another price than the pool stores, while `on`."""

    def __init__(self, pool: bytes) -> None:
        self._pool = to_hex(pool)
        self.on = True
        self.told = 0

    def bend(self, method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if not self.on or method != "eth_call" or (params[0].get("to"), params[0].get("data")) != (self._pool, _SLOT0):
            return answer
        self.told += 1
        words = data(answer["result"])
        return {**answer, "result": to_hex((int.from_bytes(words[:32], "big") + 1).to_bytes(32, "big") + words[32:])}


def behind(config: Config, url: str) -> Config:
    return config.model_copy(update={"chain": config.chain.model_copy(update={"http_url": url})})


def of_pool(config: Config, pool: bytes) -> list[PoolRecord]:
    records = [event.part(PoolRecord) for event in events_of(config)]
    return [record for record in records if record is not None and record.address == pool]


def readmit(config: Config, pool: bytes, reason: str) -> None:
    with CheckedWriter(config.kafka, "commands") as writer:
        writer.send(command_record(config.chain.id, Command.READMIT_POOL, to_hex(pool), 0, reason, "test"))
        writer.flush()


def test_a_new_pool_is_refused_at_first_and_admitted_at_a_later_block(
    anvil: Anvil, kafka: KafkaConfig, tmp_path: Path
) -> None:
    market = V3Market(anvil.node)
    pool = market.pool(0, 1, 3000)
    node = Contradiction(pool)
    bend: Bend = node.bend
    with BendingProxy(anvil.http_url, bend) as proxy:
        config = behind(config_of(anvil, market, kafka, tmp_path), proxy.url)
        with Ingest(config) as running:
            wait_for(running, market, 0)
            market.create(0, 1, 3000)
            market.receipt(market.mint(0, 1, 3000, -6000, 6000, 1000 * ETHER))
            wait_for(running, market, 1)
            node.on = False
            market.mine()
            wait_until("the pool's admission", lambda: not of_pool(config, pool)[-1].refusal)
    refused, admitted = of_pool(config, pool)
    assert (refused.refusal, refused.state) == ("bad_state", b"") and "is not stored as a pool" in refused.detail
    assert admitted.op is PoolOp.ADD and admitted.block_number == refused.block_number + 1


def test_a_pool_of_the_log_stays_until_the_contradiction_has_lasted(
    anvil: Anvil, kafka: KafkaConfig, tmp_path: Path
) -> None:
    market = V3Market(anvil.node)
    pool = market.pool(0, 1, 3000)
    market.create(0, 1, 3000)
    market.receipt(market.mint(0, 1, 3000, -6000, 6000, 1000 * ETHER))
    node = Contradiction(pool)
    node.on = False
    with BendingProxy(anvil.http_url, node.bend) as proxy:
        config = behind(config_of(anvil, market, kafka, tmp_path), proxy.url)
        with Ingest(config) as running:
            wait_for(running, market, 1)
            # It passes: nothing is refused, and the logs are followed meanwhile.
            node.on = True
            readmit(config, pool, "once")
            wait_until("a reading", lambda: node.told >= 1)
            node.on = False
            market.swap(0, 1, 3000, ETHER)
            market.mine()
            wait_until("the readmission", lambda: len(of_pool(config, pool)) == 2)
            (fresh,) = read_now(anvil.http_url, market.config(), [pool])
            assert not any(record.refusal for record in of_pool(config, pool))
            assert followed(events_of(config))[pool].digest_entry() == fresh.digest_entry()  # type: ignore[union-attr]
            # It lasts: at each of the blocks the pool is read once, and then it is refused.
            node.on, node.told = True, 0
            readmit(config, pool, "again")
            for seen in range(1, TRIES + 1):
                wait_until("a reading", lambda seen=seen: node.told == seen)  # type: ignore[misc]
                assert not any(record.refusal for record in of_pool(config, pool))
                market.mine()
            wait_until("the refusal", lambda: of_pool(config, pool)[-1].refusal == "bad_state")
    assert node.told == TRIES + 1
