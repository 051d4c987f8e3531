"""Tokens tried by the sequencer on a real node: with the pools that hold them, again after a while, and where the node does not let them be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.tokens import Holding, TokenJudge
from infra.chain import blocks
from infra.chain.node import Node
from infra.chain.readings import Reader
from infra.devnet.devnet import Devnet
from infra.devnet.node import to_hex
from infra.kafka.reading import read_records
from schemas.config import KafkaConfig, RuntimeConfig
from schemas.pools import PoolOp, PoolRecord
from schemas.tokens import Quality, TokenRecord
from tests.chain.bending_proxy import BendingProxy, without
from tests.chain.ingest_rig import Rig, wait_until
from tests.unit.tokens.kinds import compiled

pytestmark = [pytest.mark.chain, pytest.mark.kafka]


def rig_of(devnet: Devnet, kafka: KafkaConfig, folder: Path, every: int) -> Rig:
    rig = Rig(devnet, kafka, pending=False, judge_tokens_every=every)
    rig.config = rig.config.model_copy(update={"runtime": RuntimeConfig(state_dir=folder / "state")})
    return rig


def token_records(rig: Rig) -> list[TokenRecord]:
    return [r for _, r in read_records(rig.kafka, TokenRecord.TOPIC) if isinstance(r, TokenRecord)]


def newest_pools(rig: Rig) -> dict[bytes, PoolRecord]:
    found = [r for _, r in read_records(rig.kafka, PoolRecord.TOPIC) if isinstance(r, PoolRecord)]
    return {record.address: record for record in found}


def test_tokens_are_tried_once_and_their_records_come_with_the_pools(
    devnet: Devnet, kafka: KafkaConfig, tmp_path: Path
) -> None:
    rig = rig_of(devnet, kafka, tmp_path, 1000)
    held = {token for pair in devnet.market.pairs for token in (pair.token0, pair.token1)}
    with rig.started() as running:
        records = token_records(rig)
        assert {r.token for r in records} == held and len(records) == len(held)
        assert {r.quality for r in records} == {Quality.PLAIN}, [(r.quality, r.detail) for r in records]
        assert all(len(r.trials) == 5 and r.holder in {p.address for p in devnet.market.pairs} for r in records)
        rig.block()
        rig.caught_up(running)
    with rig.started() as running:
        rig.block()
        rig.caught_up(running)
    # Remembered over the restart.
    assert len(token_records(rig)) == len(held)


def test_a_token_that_changes_takes_its_pools_with_it_and_brings_them_back(
    devnet: Devnet, kafka: KafkaConfig, tmp_path: Path
) -> None:
    rig = rig_of(devnet, kafka, tmp_path, 2)
    token = devnet.market.tokens[4].address
    pools = {pair.address for pair in devnet.market.pairs if token in (pair.token0, pair.token1)}
    with rig.started() as running:
        assert {newest_pools(rig)[pool].refusal for pool in pools} == {""}
        code = rig.node.call("eth_getCode", to_hex(token), "latest")

        def refused_for(what: set[str]) -> bool:
            rig.block(traffic=False)
            rig.caught_up(running)
            newest = newest_pools(rig)
            return {newest[pool].refusal for pool in pools} == what

        rig.node.call("anvil_setCode", to_hex(token), to_hex(compiled()["Refusing"]))
        wait_until("the pools to be refused", lambda: refused_for({Quality.RETURNS_FALSE.value}), 60)
        record = newest_pools(rig)[min(pools)]
        assert (record.op, record.needs) == (PoolOp.ADD, ()) and record.state
        assert record.detail.startswith(f"token {to_hex(token)}: ")
        rig.node.call("anvil_setCode", to_hex(token), code)
        wait_until("the pools to be back", lambda: refused_for({""}), 60)
    told = [r.quality for r in token_records(rig) if r.token == token]
    assert told[0] == told[-1] == Quality.PLAIN and Quality.RETURNS_FALSE in told
    # The others were tried again too, and nothing came of it.
    assert {r.quality for r in token_records(rig) if r.token != token} == {Quality.PLAIN}


def no_overrides(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    """As a node that passes over state overrides: the scripts' account has no code, and nothing else is touched."""
    if method != "debug_traceCall" or "stateOverrides" not in params[2]:
        return answer
    return answer | {"result": {params[0]["to"]: {"balance": "0x0"}, params[0]["from"]: {"balance": "0x0"}}}


@pytest.mark.parametrize(
    ("bend", "why"), [(without("debug_"), "untraceable: debug_traceCall"), (no_overrides, "stateOverrides")]
)
def test_a_node_that_does_not_trace_leaves_tokens_unknown(
    devnet: Devnet, kafka: KafkaConfig, tmp_path: Path, bend: Any, why: str
) -> None:
    rig = rig_of(devnet, kafka, tmp_path, 1000)
    pair = devnet.market.pairs[0]

    async def judge(url: str) -> list[TokenRecord]:
        async with Node(url, 10.0) as node:
            judge = TokenJudge(node, Reader(node), rig.config)
            header = await blocks.header_by_hash(node, (await blocks.head(node)).hash)
            holdings = [
                Holding(pair.token0, pair.address),
                Holding(pair.token1, pair.address),
                Holding(pair.token1, b"\x77" * 20),
            ]
            return await judge.judge(holdings, header, 12)

    with BendingProxy(devnet.anvil.http_url, bend) as proxy:
        records = asyncio.run(judge(proxy.url))
    assert {r.token for r in records} == {pair.token0, pair.token1}
    assert {r.quality for r in records} == {Quality.UNKNOWN}
    assert all(why in r.detail for r in records), records
    sound = asyncio.run(judge(devnet.anvil.http_url))
    assert [(r.quality, r.holder) for r in sound] == [(Quality.PLAIN, pair.address)] * 2


def test_what_holds_no_token_is_unknown_and_says_so(devnet: Devnet, kafka: KafkaConfig, tmp_path: Path) -> None:
    rig = rig_of(devnet, kafka, tmp_path, 1000)
    token = devnet.market.tokens[0].address

    async def judge() -> list[TokenRecord]:
        async with Node(devnet.anvil.http_url, 10.0) as node:
            judge = TokenJudge(node, Reader(node), rig.config)
            header = await blocks.header_by_hash(node, (await blocks.head(node)).hash)
            return await judge.judge([Holding(token, b"\x77" * 20), Holding(b"\x78" * 20, b"\x77" * 20)], header, 12)

    poor, nothing = sorted(asyncio.run(judge()), key=lambda r: r.token != token)
    assert (poor.quality, nothing.quality) == (Quality.UNKNOWN, Quality.UNKNOWN)
    assert "too few to move" in poor.detail and "balanceOf" in nothing.detail
