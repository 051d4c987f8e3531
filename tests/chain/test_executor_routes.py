"""Cycles over any mix of pools on a real node: what encoder and contract together earn, what they leave, what they cost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from web3 import Web3

from contracts.executor import AnyHop, decode_execute, encode_execute
from contracts.several import encode_all
from infra.runtime.child import ChildProcess
from infra.runtime.ports import free_port
from infra.toolchain import paths
from tests.chain.route_market import DOLLAR, USDC, USDE, WETH, Edge, RouteMarket
from tests.shared_data import needs_data

pytestmark = pytest.mark.chain

# Gas of the whole transaction in the steady state of a chain (see test_executor_onchain), 2 % above what was measured.
# By the kinds of a cycle WETH, USDC, USDE; the last walks WETH, USDE, USDC, so that it is turned and a flash swap in its middle lends.
GAS_CEILING = {
    "v2 v2 v2": 199_400,
    "v3 v3 v3": 228_100,
    "pancake pancake pancake": 259_200,
    "v4 v4 v4": 153_100,
    "v2 v3 v2": 210_000,
    "v2 v4 v2": 212_000,
    "v2 curve v2": 268_700,
    "v2 ng v2": 268_900,
    "balancer v2 v2": 226_700,
    "v2 v2 balancer": 227_700,
}
_IN = 1000 * DOLLAR[WETH]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouteMarket]:
    port = free_port()
    argv = [str(paths.anvil()), "--port", str(port), "--hardfork", "prague", "--silent"]
    url = f"http://127.0.0.1:{port}"
    with ChildProcess("anvil", argv, tmp_path_factory.mktemp("anvil") / "anvil.log") as anvil:
        anvil.wait_ready(lambda: Web3(Web3.HTTPProvider(url)).is_connected(), timeout=20)
        yield RouteMarket(url, "prague")


@pytest.fixture(autouse=True)
def undone(market: RouteMarket) -> Iterator[None]:
    """Each test leaves the market as it was."""
    before = market.snapshot()
    yield
    market.restore(before)


def _hops(edges: Sequence[Edge], tokens: Sequence[str], amount: int) -> list[AnyHop]:
    """The hops of a walk over `edges` selling `tokens` in turn."""
    hops = []
    for edge, sold in zip(edges, tokens, strict=True):
        hops.append(edge.quote(sold, amount))
        amount = hops[-1].amount_out
    return hops


def _paying(market: RouteMarket, edges: Sequence[Edge], tokens: Sequence[str]) -> list[AnyHop] | None:
    """The hops of the cycle in the direction that pays; None where neither does."""
    for way, sold in ((edges, tokens), (edges[::-1], [tokens[0], *tokens[:0:-1]])):
        hops = _hops(way, sold, _IN)
        if hops[-1].amount_out > _IN:
            return hops
    return None


def _run(market: RouteMarket, hops: Sequence[AnyHop]) -> int:
    """Execute for exactly the profit there is and hold the books; the gas used."""
    profit = hops[-1].amount_out - _IN
    calldata = encode_execute(_raw(WETH), _IN, profit, hops, _raw(market.manager.address))
    assert decode_execute(calldata).hops == tuple(hops)
    owned, nothing = market.balances(market.owner), dict.fromkeys(market.tokens, 0)
    receipt = market.execute(calldata)
    assert receipt["status"] == 1, hops
    assert market.balances(market.owner) == {**owned, WETH: owned[WETH] + profit}
    assert market.balances(market.executor) == nothing
    # The pools have moved: nothing of it may happen again.
    assert market.execute(encode_execute(_raw(WETH), _IN, 0, hops, _raw(market.manager.address)))["status"] == 0
    return int(receipt["gasUsed"])


def _cycle(market: RouteMarket, rng: random.Random) -> tuple[list[Edge], list[str]]:
    """Two to eight different pools around, from WETH back to it."""
    while True:
        edges: list[Edge] = []
        tokens = [WETH]
        while len(edges) < 8:
            # The first Curve pool is an edge for each couple of its coins, and still one pool.
            pools = {edge.kind if edge.kind == "curve" else edge for edge in edges}
            way = [e for e in market.edges if tokens[-1] in e.tokens and not pools & {e, e.kind}]
            # Kinds as often as each other, though there are more pools of some.
            kind = rng.choice(sorted({edge.kind for edge in way}))
            edge = rng.choice([edge for edge in way if edge.kind == kind])
            edges.append(edge)
            (bought,) = edge.tokens - {tokens[-1]}
            if bought == WETH and len(edges) > 1:
                return edges, tokens
            tokens.append(bought)
            if bought == WETH:
                break


@pytest.mark.parametrize("seed", range(40))
def test_any_mix_pays_the_owner_exactly(market: RouteMarket, seed: int) -> None:
    rng = random.Random(f"cycle {seed}")
    while True:
        edges, tokens = _cycle(market, rng)
        if (hops := _paying(market, edges, tokens)) is not None:
            break
    gas = _run(market, hops)
    print(f"\n{' '.join(edge.kind for edge in edges)}: {gas} gas")


@pytest.mark.parametrize("seed", range(8))
def test_several_cycles_go_together_or_not_at_all(market: RouteMarket, seed: int) -> None:
    """The second may go through pools that the first has moved: it is quoted behind it."""
    rng, weth, manager = random.Random(f"several {seed}"), _raw(WETH), _raw(market.manager.address)
    calls, profit, gas = list[bytes](), 0, 0
    before = market.snapshot()
    while len(calls) < 3:
        edges, tokens = _cycle(market, rng)
        if (hops := _paying(market, edges, tokens)) is None:
            continue
        earned = hops[-1].amount_out - _IN
        call = encode_execute(weth, _IN, earned, hops, manager)
        # Pools write their price oracles in the first trade of a second; all that are compared here have to.
        market.skip_seconds(12)
        receipt = market.execute(call)
        assert receipt["status"] == 1
        calls.append(call)
        profit, gas = profit + earned, gas + int(receipt["gasUsed"])
    market.restore(before)
    # What the last one is sized for is there behind the others only.
    owned = market.balances(market.owner)
    turned = market.execute(encode_all([*calls[::-1], calls[0]]))
    assert turned["status"] == 0 and market.balances(market.owner) == owned
    market.skip_seconds(12)
    receipt = market.execute(encode_all(calls))
    assert receipt["status"] == 1
    assert market.balances(market.owner) == {**owned, WETH: owned[WETH] + profit}
    assert not any(market.balances(market.executor).values())
    print(f"\nthree cycles: {receipt['gasUsed']} gas together, {gas} one by one")
    assert receipt["gasUsed"] < gas


@needs_data
@pytest.mark.parametrize("kinds", GAS_CEILING)
def test_gas_of_the_steady_state(market: RouteMarket, kinds: str) -> None:
    tokens = [WETH, USDE, USDC] if kinds.endswith("balancer") else [WETH, USDC, USDE]
    edges = [
        next(e for e in market.edges if e.kind == kind and e.tokens == {sold, bought})
        for kind, sold, bought in zip(kinds.split(), tokens, tokens[1:] + tokens[:1], strict=True)
    ]
    # Whoever sold WETH to the last pool made it cheap there.
    edges[-1].push(WETH, 800_000 * DOLLAR[WETH])
    for _ in range(2):
        # The first run writes fresh slots and gives allowances; the second is what a cycle costs from then on.
        market.skip_seconds(12)
        gas = _run(market, _hops(edges, tokens, _IN))
    print(f"\n{kinds}: {gas} gas")
    assert gas <= GAS_CEILING[kinds]


@needs_data
def test_the_vault_lends_where_no_pool_does(market: RouteMarket) -> None:
    """The real Vault's flash loan, for a cycle of the two Curve pools."""
    (first,) = [edge for edge in market.edges if edge.kind == "curve" and edge.tokens == {USDC, USDE}]
    (second,) = [edge for edge in market.edges if edge.kind == "ng"]
    first.push(USDE, 20_000_000 * DOLLAR[USDE])
    second.push(USDC, 20_000_000 * DOLLAR[USDC])
    amount = 10_000 * DOLLAR[USDC]
    hops = _hops((first, second), (USDC, USDE), amount)
    profit = hops[-1].amount_out - amount
    assert profit > 0
    owned = market.balances(market.owner)[USDC]
    receipt = market.execute(encode_execute(_raw(USDC), amount, profit, hops))
    assert receipt["status"] == 1
    assert market.balances(market.owner)[USDC] == owned + profit
    assert not any(market.balances(market.executor).values())


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])
