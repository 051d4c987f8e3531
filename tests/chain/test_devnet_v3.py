"""The devnet's Uniswap V3 pools are the canonical ones, at the market's prices, and its traffic moves them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.devnet.contracts import call_data
from infra.devnet.devnet import Devnet
from infra.devnet.market import ETHER, Sender, mine, reserves
from infra.devnet.node import data, quantity, to_hex
from infra.devnet.v3_market import TICK_SPACINGS, V3Market, v3_states
from infra.devnet.v3_traffic import V3Swap, quote, swap_call

pytestmark = pytest.mark.chain

# keccak256 of the creation code of mainnet's pools, as PoolAddress of v3-periphery has it.
CANONICAL_INIT_CODE_HASH = "0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"
# topic0 of Uniswap V3's Swap(address,address,int256,int256,uint160,uint128,int24).
SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
MINT = "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde"


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with Devnet(tmp_path_factory.mktemp("devnet"), seed=11, with_v3=True) as running:
        yield running


def _v3(devnet: Devnet) -> V3Market:
    assert devnet.v3 is not None
    return devnet.v3


def test_the_pools_are_the_canonical_ones(devnet: Devnet) -> None:
    v3, node = _v3(devnet), devnet.anvil.node
    assert to_hex(v3.init_code_hash) == CANONICAL_INIT_CODE_HASH
    assert {pool.fee for pool in v3.pools} == set(TICK_SPACINGS)
    for pool in v3.pools:
        spacing = node.call(
            "eth_call", {"to": to_hex(pool.address), "data": to_hex(call_data("tickSpacing()"))}, "latest"
        )
        assert quantity(spacing) == TICK_SPACINGS[pool.fee]


def test_each_pool_has_positions_over_several_ranges(devnet: Devnet) -> None:
    filters = {"fromBlock": "0x0", "toBlock": "latest", "topics": [MINT]}
    ranges: dict[str, set[tuple[str, str]]] = {}
    for log in devnet.anvil.node.call("eth_getLogs", filters):
        ranges.setdefault(log["address"], set()).add((log["topics"][2], log["topics"][3]))
    assert set(ranges) == {to_hex(pool.address) for pool in _v3(devnet).pools}
    assert all(len(different) == 3 for different in ranges.values())


def test_the_pools_begin_at_the_prices_of_the_others(devnet: Devnet) -> None:
    beside = 0
    for pool in _v3(devnet).pools:
        for pair in devnet.market.pairs:
            if (pair.token0, pair.token1) == (pool.token0, pool.token1):
                price = (pool.sqrt_price / 2**96) ** 2
                assert abs(price * pair.reserve0 / pair.reserve1 - 1) < 0.0035
                beside += 1
    assert beside >= 8


def test_it_travels_as_json(devnet: Devnet) -> None:
    assert V3Market.from_json(_v3(devnet).to_json()) == devnet.v3
    assert V3Market.from_json(devnet.describe()["v3_market"]) == devnet.v3


def test_a_seed_makes_the_same_pools_and_the_same_traffic(tmp_path: Path) -> None:
    runs = []
    for run in ("a", "b"):
        with Devnet(tmp_path / run, seed=5, with_v3=True) as devnet:
            clock, node = devnet.clock(0), devnet.anvil.node
            blocks = [clock.step().transactions for _ in range(4)]
            states = v3_states(node, _v3(devnet).pools)
            runs.append((devnet.market, devnet.v3, blocks, reserves(node, devnet.market.pairs), states))
    assert runs[0] == runs[1]


def test_without_the_switch_nothing_is_other_than_before(tmp_path: Path) -> None:
    with Devnet(tmp_path, seed=5) as devnet:
        assert devnet.v3 is None and devnet.describe()["v3_market"] is None


def test_traffic_crosses_ranges_and_some_of_it_fails(devnet: Devnet) -> None:
    v3, node, clock = _v3(devnet), devnet.anvil.node, devnet.clock(0)
    before = v3_states(node, v3.pools)
    statuses: Counter[str] = Counter()
    liquidity: dict[str, set[str]] = {}
    for _ in range(40):
        block = clock.step()
        for receipt in node.call("eth_getBlockReceipts", to_hex(block.hash)):
            if receipt["to"] != to_hex(v3.router):
                continue
            statuses.update([receipt["status"]])
            for log in receipt["logs"]:
                if log["topics"][0] == SWAP:
                    liquidity.setdefault(log["address"], set()).add(data(log["data"])[96:128].hex())
    assert statuses["0x1"] >= 30 and statuses["0x0"] >= 2
    assert len(liquidity) >= 6
    # More than one value of the liquidity in range: a tick with liquidity was crossed.
    assert any(len(values) > 1 for values in liquidity.values())
    assert sum(old != new for old, new in zip(before, v3_states(node, v3.pools), strict=True)) >= 6


@pytest.mark.parametrize("buys_ether", [True, False])
def test_a_trade_for_ether_pays_what_was_quoted(devnet: Devnet, buys_ether: bool) -> None:
    v3, node, market = _v3(devnet), devnet.anvil.node, devnet.market
    node.call("anvil_dropAllTransactions")
    user = market.signers()[3]
    pool = v3.pools[1]
    swap = V3Swap(pool, (pool.token0 == market.weth) != buys_ether, ETHER // 10 if not buys_ether else 10**8)
    quoted = quote(node, v3, swap)
    payload, router, value = swap_call(v3, market.weth, swap, quoted, user.address, 2**40)
    sender = Sender(node, user, market.chain_id)

    def ether() -> int:
        return quantity(node.call("eth_getBalance", to_hex(user.address), "latest"))

    before = ether()
    hash_ = node.call("eth_sendRawTransaction", to_hex(sender.sign(router, payload, value=value).raw))
    mine(node)
    receipt = node.call("eth_getTransactionReceipt", hash_)
    (paid,) = [data(log["data"]) for log in receipt["logs"] if log["topics"][0] == SWAP]
    amounts = [int.from_bytes(paid[k : k + 32], "big", signed=True) for k in (0, 32)]
    assert sorted(amounts) == [-quoted, swap.amount_in]
    fee = quantity(receipt["gasUsed"]) * quantity(receipt["effectiveGasPrice"])
    assert ether() - before + fee == (quoted if buys_ether else -swap.amount_in)
