"""Readings against a real node: views, slots and codes of real contracts at one block, and what the node says when the block is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from infra.chain.blocks import Header, head, header_by_number
from infra.chain.errors import HeadMoved
from infra.chain.node import Node
from infra.chain.past_logs import logs_between
from infra.chain.readings import Reader
from infra.devnet.anvil import Anvil
from infra.devnet.node import to_hex
from operators.pools.base import AdmissionRefused
from operators.pools.uniswap_v3 import POOL_CREATED_TOPIC
from schemas.reads import Code, Reading, Slot, View
from tests.chain.v3_market import V3Market

pytestmark = pytest.mark.chain


def all_of(*reads: Any) -> Reading[tuple[bytes | None, ...]]:
    return (yield reads)


def refused() -> Reading[tuple[bytes | None, ...]]:
    yield ()
    raise AdmissionRefused("not_this_family", "no pool")  # type: ignore[arg-type]


def drive(anvil: Anvil, at: Header | None, *readings: Reading[Any]) -> tuple[list[Any], int]:
    """Outcomes at a block (None: the head), and how many requests they took."""

    async def go() -> tuple[list[Any], int]:
        async with Node(anvil.http_url, 10.0) as node:
            block = at or await head(node)
            before = node.requests
            found = await Reader(node).drive(readings, block.hash, AdmissionRefused)
            return found, node.requests - before

    return asyncio.run(go())


def slot(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_reads_are_those_of_the_node(anvil: Anvil) -> None:
    market = V3Market(anvil.node)
    market.receipt(market.create(0, 1, 3000))
    market.receipt(market.mint(0, 1, 3000, -600, 600, 10**18))
    pool = market.pool(0, 1, 3000)
    # fee(), slot0(), and one that no pool has.
    views = (View(pool, bytes.fromhex("ddca3f43")), View(pool, bytes.fromhex("3850c7bd")), View(pool, b"\1\2\3\4"))
    nobody = View(b"\x99" * 20, b"\1\2\3\4")
    keys = [slot(n) for n in range(3000)]
    wanted = (*views, nobody, *(Slot(pool, key) for key in keys), Code(pool), Code(b"\x99" * 20))
    (answers, gone), requests = drive(anvil, None, all_of(*wanted), refused())
    assert isinstance(gone, AdmissionRefused)
    # Four calls, two programs for the slots, two codes.
    assert requests == 8
    assert answers[0] == slot(3000) and len(answers[1] or b"") == 7 * 32 and answers[2] is None and answers[3] == b""
    told = anvil.node.all([("eth_getStorageAt", [to_hex(pool), to_hex(key), "latest"]) for key in keys])
    assert [to_hex(answer or b"") for answer in answers[4 : 4 + len(keys)]] == told
    assert sum(value != to_hex(bytes(32)) for value in told) >= 3
    assert to_hex(answers[-2] or b"") == anvil.node.call("eth_getCode", to_hex(pool), "latest") and answers[-1] == b""
    # Nothing of the program stays.
    assert drive(anvil, None, all_of(views[0]))[0][0] == (slot(3000),)


def test_reads_of_an_older_block_and_of_one_that_is_gone(anvil: Anvil) -> None:
    market = V3Market(anvil.node)

    async def header(number: int) -> Header:
        async with Node(anvil.http_url, 10.0) as node:
            found = await header_by_number(node, number)
            assert found is not None
            return found

    height = int(anvil.node.call("eth_blockNumber"), 16)
    before = asyncio.run(header(height))
    snapshot = anvil.node.call("evm_snapshot")
    market.receipt(market.create(0, 1, 500))
    pool = market.pool(0, 1, 500)
    after = asyncio.run(header(height + 1))
    reads = (Code(pool), *(Slot(pool, slot(n)) for n in range(8)))
    (old,), _ = drive(anvil, before, all_of(*reads))
    (new,), _ = drive(anvil, after, all_of(*reads))
    assert not any(map(any, old)) and all(new[:2])
    anvil.node.call("evm_revert", snapshot)
    for read in (reads[0], reads[1], View(pool, b"\1\2\3\4")):
        with pytest.raises(HeadMoved):
            drive(anvil, after, all_of(read))
    with pytest.raises(HeadMoved):
        drive(anvil, after, all_of(*reads))


def test_logs_of_the_past(anvil: Anvil) -> None:
    market = V3Market(anvil.node)
    first = int(market.receipt(market.create(0, 1, 500))["blockNumber"], 16)
    market.create(0, 2, 500)
    market.create(1, 2, 3000)
    market.mine()

    async def go(low: int, high: int) -> list[int]:
        async with Node(anvil.http_url, 10.0) as node:
            found = await logs_between(node, market.factory, (POOL_CREATED_TOPIC, b"\x55" * 32), low, high)
            return [past.number for past in found]

    assert asyncio.run(go(0, first + 1)) == [first, first + 1, first + 1]
    assert asyncio.run(go(first + 1, first + 9)) == [first + 1, first + 1]
    assert asyncio.run(go(0, first - 1)) == []
