"""The devnet's market is made of the canonical contracts, and its traffic keeps it moving."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from infra.chain.transactions import decode
from infra.devnet.contracts import call_data
from infra.devnet.devnet import Devnet
from infra.devnet.market import Market, reserves
from infra.devnet.node import data, quantity, to_hex
from tests.chain.relay_client import send_bundle

pytestmark = pytest.mark.chain

# keccak256 of the creation code of mainnet's Uniswap V2 pairs, as the router's UniswapV2Library has it.
CANONICAL_INIT_CODE_HASH = "0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"


# topic0 of Uniswap V2's Sync(uint112,uint112).
SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"


def test_the_pairs_are_the_canonical_ones(devnet: Devnet) -> None:
    market = devnet.market
    assert {to_hex(factory.init_code_hash) for factory in market.factories} == {CANONICAL_INIT_CODE_HASH}
    assert len(market.tokens) == 12 and len({token.decimals for token in market.tokens}) >= 3
    node = devnet.anvil.node
    for factory in market.factories:
        count = node.call(
            "eth_call", {"to": to_hex(factory.address), "data": to_hex(call_data("allPairsLength()"))}, "latest"
        )
        assert quantity(count) == sum(pair.factory == factory.address for pair in market.pairs)


def test_the_router_finds_the_pools_by_its_own_address_formula(devnet: Devnet) -> None:
    """getAmountsOut asks the address that pairFor computes; a wrong init code hash would revert on an empty account."""
    node, market = devnet.anvil.node, devnet.market
    for pair in market.pairs:
        amount = 10**6
        question = call_data("getAmountsOut(uint256,address[])", amount, [pair.token0, pair.token1])
        answer = data(node.call("eth_call", {"to": to_hex(market.router_of(pair)), "data": to_hex(question)}, "latest"))
        ((reserve0, reserve1),) = reserves(node, [pair])
        expected = amount * 997 * reserve1 // (reserve0 * 1000 + amount * 997)
        assert int.from_bytes(answer[-32:], "big") == expected


def test_pools_run_parallel(devnet: Devnet) -> None:
    parallel = Counter((pair.token0, pair.token1) for pair in devnet.market.pairs)
    assert sum(count > 1 for count in parallel.values()) >= 10


def test_the_market_travels_as_json(devnet: Devnet) -> None:
    assert Market.from_json(devnet.market.to_json()) == devnet.market


def test_a_seed_makes_the_same_market_and_the_same_traffic(tmp_path: Path) -> None:
    runs = []
    for run in ("a", "b"):
        with Devnet(tmp_path / run, seed=5) as devnet:
            clock = devnet.clock(0)
            blocks = [clock.step().transactions for _ in range(4)]
            runs.append((devnet.market, blocks, reserves(devnet.anvil.node, devnet.market.pairs)))
    assert runs[0] == runs[1]


def test_traffic_moves_prices_apart_and_some_of_it_fails(devnet: Devnet) -> None:
    clock, node, market = devnet.clock(0), devnet.anvil.node, devnet.market
    statuses: Counter[str] = Counter()
    types: Counter[str] = Counter()
    exploitable = 0
    for _ in range(12):
        block = clock.step()
        receipts = node.call("eth_getBlockReceipts", to_hex(block.hash))
        statuses.update(receipt["status"] for receipt in receipts)
        types.update(receipt["type"] for receipt in receipts)
        prices = defaultdict(list)
        for pair, (reserve0, reserve1) in zip(market.pairs, reserves(node, market.pairs), strict=True):
            prices[pair.token0, pair.token1].append(reserve1 / reserve0)
        # Two fees of 0.3 % stand between the two pools.
        exploitable += sum(max(both) / min(both) > 1.007 for both in prices.values())
    assert statuses["0x0"] >= 2 and statuses["0x1"] >= 40
    assert types["0x0"] >= 2 and types["0x2"] >= 40
    assert exploitable >= 12


def test_a_swap_quoted_to_the_wei_behind_a_users_swap_lands_in_traffic(devnet: Devnet) -> None:
    """The whole way of a backrun: pending users, a bundle at the relay's port, a block in which the quote holds exactly."""
    node, market, builder = devnet.anvil.node, devnet.market, devnet.builder
    users = devnet.traffic.transactions(node, builder.next_number())
    devnet.traffic.send(node, users)
    target = users[0]
    trader = market.signers()[0] if market.signers()[0].address != target.sender else market.signers()[1]
    if any(user.sender == trader.address for user in users):
        trader = next(s for s in market.signers() if s.address not in {user.sender for user in users})
    # What the target does to its pool, as the node itself tells it.
    call = decode(target.raw).call()
    env = builder.next_env()
    (result,) = node.call(
        "eth_simulateV1",
        {"blockStateCalls": [{"blockOverrides": env.overrides(), "calls": [call]}], "validation": True},
        "latest",
    )[0]["calls"]
    syncs = {data(log["address"]): data(log["data"]) for log in result["logs"] if log["topics"][0] == SYNC}
    pool = next(pair for pair in market.pairs if pair.address in syncs)
    reserve0, reserve1 = (int.from_bytes(syncs[pool.address][i : i + 32], "big") for i in (0, 32))
    token_in, token_out, in_, out = (
        (pool.token1, pool.token0, reserve1, reserve0)
        if pool.token0 == market.weth
        else (pool.token0, pool.token1, reserve0, reserve1)
    )
    amount = in_ // 2000
    exact = amount * 997 * out // (in_ * 1000 + amount * 997)
    swap = call_data(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        amount,
        exact,
        [token_in, token_out],
        trader.address,
        2**40,
    )
    nonce = quantity(node.call("eth_getTransactionCount", to_hex(trader.address), "pending"))
    ours = trader.sign(
        chain_id=market.chain_id,
        nonce=nonce,
        to=market.router_of(pool),
        gas=300_000,
        max_fee=env.base_fee * 2 + 10**9,
        max_priority_fee=10**9,
        payload=swap,
    )
    name = send_bundle(devnet.server.url, [target.raw, ours], env.number)
    block = builder.build_block()
    (outcome,) = block.outcomes
    assert outcome.bundle_hash == name and outcome.included, outcome
    place = block.transactions.index(decode(target.raw).hash)
    assert outcome.index == place and block.transactions[place + 1] == decode(ours).hash
    receipt = node.call("eth_getTransactionReceipt", to_hex(decode(ours).hash))
    assert receipt["status"] == "0x1"
    assert exact in {int.from_bytes(data(log["data"])[-32:], "big") for log in receipt["logs"]} | {
        int.from_bytes(data(log["data"])[64:96], "big") for log in receipt["logs"]
    }


def test_the_devnet_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "infra.devnet",
        "run",
        "--folder",
        str(tmp_path),
        "--interval",
        "0.05",
        "--blocks",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert described == json.loads((tmp_path / "devnet.json").read_text())
    assert Market.from_json(described["market"]).pairs and described["builder_url"].startswith("http://127.0.0.1:")


def test_a_clock_builds_by_itself_until_stopped(devnet: Devnet) -> None:
    before = devnet.builder.next_number()
    with devnet.clock(0.05) as clock:
        deadline = time.monotonic() + 90
        while clock.built < 4 and clock.error is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert clock.built >= 4 and devnet.builder.next_number() == before + clock.built
