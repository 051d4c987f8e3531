"""The routes found are all there are: against every choice of pools and, where reserves are small, every input."""

from __future__ import annotations

import random

import msgspec
import pytest

from operators.pools.uniswap_v2 import V2Pool
from operators.search.cycles import Route, find_routes
from operators.search.graph import Graph
from tests.shared_data import recorded
from tests.unit.search.brute_force import all_cycles, best_gross, pay
from tests.unit.search.markets import WETH, address, random_pools, token

NO_LIMIT = 10**9
NO_CAP = 2**112


def by_pools(routes: list[Route]) -> dict[tuple[bytes, ...], int]:
    found = {tuple(hop.pool for hop in route.hops): route.gross for route in routes}
    assert len(found) == len(routes)
    return found


def check_route(graph: Graph, route: Route, anchor: bytes) -> None:
    """A route is closed, chained, uses no pool twice, and every hop is what the pool itself pays."""
    assert route.hops[0].token_in == route.hops[-1].token_out == anchor
    assert len({hop.pool for hop in route.hops}) == len(route.hops)
    amount, at = route.amount_in, anchor
    for hop in route.hops:
        pool = graph.get(hop.pool)
        assert isinstance(pool, V2Pool) and pool.tradable
        assert (hop.token_in, hop.amount_in, hop.family) == (at, amount, "uniswap_v2")
        assert hop.zero_for_one == (hop.token_in == pool.token0)
        assert hop.amount_out == pool.quote(hop.token_in, hop.amount_in).amount_out
        at, amount = hop.token_out, hop.amount_out
    assert amount - route.amount_in == route.gross


@pytest.mark.parametrize("seed", range(12))
def test_all_routes_of_a_small_market(seed: int) -> None:
    """Reserves so small that each input of each route can be tried: routes, sizes and profits are exactly those."""
    rnd = random.Random(seed)
    pools = random_pools(rnd, 12, 4, 20, 300)
    graph = Graph(pools)
    for max_hops in (2, 3):
        expected = {}
        for path in all_cycles(pools, WETH, max_hops):
            gross = best_gross(path, range(1, 601))
            if gross > 0:
                expected[tuple(pool.address for pool, _ in path)] = gross
        routes = find_routes(graph, [pool.address for pool in pools], WETH, max_hops, 0, 600, NO_LIMIT)
        assert by_pools(routes) == expected
        for route in routes:
            check_route(graph, route, WETH)


@pytest.mark.parametrize("seed", range(6))
def test_routes_through_what_changed_and_no_others(seed: int) -> None:
    rnd = random.Random(100 + seed)
    pools = random_pools(rnd, 30, 7, 10**18, 3 * 10**18)
    graph = Graph(pools)
    everything = find_routes(graph, [pool.address for pool in pools], WETH, 3, 0, NO_CAP, NO_LIMIT)
    assert everything
    assert set(by_pools(everything)) <= {tuple(pool.address for pool, _ in path) for path in all_cycles(pools, WETH, 3)}
    for changed in ([pool.address] for pool in pools):
        found = find_routes(graph, changed, WETH, 3, 0, NO_CAP, NO_LIMIT)
        assert found == [route for route in everything if changed[0] in {hop.pool for hop in route.hops}]


@pytest.mark.parametrize("seed", range(4))
def test_no_profitable_route_is_missed_at_real_sizes(seed: int) -> None:
    """Each cycle that pays more than it takes at any of many sizes is found, with at least that profit."""
    rnd = random.Random(200 + seed)
    pools = random_pools(rnd, 25, 6, 10**20, 12 * 10**19)
    found = by_pools(find_routes(Graph(pools), [pool.address for pool in pools], WETH, 3, 0, NO_CAP, NO_LIMIT))
    sizes = [step * 10**power for power in range(8, 20) for step in range(1, 10)]
    for path in all_cycles(pools, WETH, 3):
        assert found.get(tuple(pool.address for pool, _ in path), 0) >= best_gross(path, sizes)


@pytest.mark.parametrize("seed", range(6))
def test_neither_insertion_nor_argument_order_matters(seed: int) -> None:
    rnd = random.Random(300 + seed)
    pools = random_pools(rnd, 40, 6, 1000, 9000)
    changed = [pool.address for pool in rnd.sample(pools, 10)]
    first = find_routes(Graph(pools), changed, WETH, 3, 0, NO_CAP, 7)
    assert len(first) == 7
    for _ in range(4):
        rnd.shuffle(pools)
        rnd.shuffle(changed)
        graph = Graph()
        for pool in pools:
            graph.set(msgspec.structs.replace(pool, reserve0=1, reserve1=1, refusal=""))
        for pool in pools:
            graph.set(pool)
        assert find_routes(graph, changed + changed, WETH, 3, 0, NO_CAP, 7) == first


@pytest.mark.parametrize("seed", range(4))
def test_limit_keeps_the_best_in_the_stated_order(seed: int) -> None:
    rnd = random.Random(400 + seed)
    pools = random_pools(rnd, 30, 4, 50, 400)  # small reserves: many ties
    every = find_routes(Graph(pools), [pool.address for pool in pools], WETH, 3, 0, NO_CAP, NO_LIMIT)
    keys = [(-route.gross, len(route.hops), tuple(hop.pool for hop in route.hops)) for route in every]
    assert keys == sorted(keys)
    for limit in (1, 2, 5, 20):
        assert find_routes(Graph(pools), [pool.address for pool in pools], WETH, 3, 0, NO_CAP, limit) == every[:limit]
    floor = every[3].gross
    above = find_routes(Graph(pools), [pool.address for pool in pools], WETH, 3, floor, NO_CAP, NO_LIMIT)
    assert above == [route for route in every if route.gross > floor]


def two_pools() -> tuple[V2Pool, V2Pool]:
    cheap = V2Pool(address(1), WETH, token(1), 3000, 10**20, 2 * 10**23)
    dear = V2Pool(address(2), WETH, token(1), 3000, 10**20, 10**23)
    return cheap, dear


def test_refused_drained_and_unknown_pools_are_passed_over() -> None:
    cheap, dear = two_pools()
    changed = [cheap.address, dear.address, b"\0" * 20]
    assert len(find_routes(Graph([cheap, dear]), changed, WETH, 2, 0, NO_CAP, 9)) == 1
    for change in ({"refusal": "suspended"}, {"reserve0": 0}):
        assert (
            find_routes(Graph([cheap, msgspec.structs.replace(dear, **change)]), changed, WETH, 2, 0, NO_CAP, 9) == []
        )
    assert find_routes(Graph([cheap]), changed, WETH, 3, 0, NO_CAP, 9) == []
    assert find_routes(Graph(), changed, WETH, 3, 0, NO_CAP, 9) == []


def test_position_and_floor() -> None:
    cheap, dear = two_pools()
    graph, changed = Graph([cheap, dear]), [cheap.address]
    (free,) = find_routes(graph, changed, WETH, 3, 0, NO_CAP, 9)
    (capped,) = find_routes(graph, changed, WETH, 3, 0, 10**18, 9)
    assert capped.amount_in <= 10**18 < free.amount_in
    path = ((cheap, WETH), (dear, token(1)))
    assert capped.gross == best_gross(path, range(10**18 - 500, 10**18 + 1))
    assert find_routes(graph, changed, WETH, 3, free.gross, NO_CAP, 9) == []
    assert find_routes(graph, changed, WETH, 3, free.gross - 1, NO_CAP, 9) == [free]
    assert pay(path, free.amount_in) - free.amount_in == free.gross


def test_other_anchors_find_their_own_routes() -> None:
    cheap, dear = two_pools()
    (route,) = find_routes(Graph([cheap, dear]), [dear.address], token(1), 3, 0, NO_CAP, 9)
    assert [hop.pool for hop in route.hops] == [dear.address, cheap.address]
    check_route(Graph([cheap, dear]), route, token(1))
    assert find_routes(Graph([cheap, dear]), [dear.address], token(5), 3, 0, NO_CAP, 9) == []


@pytest.mark.parametrize(("max_hops", "limit"), [(1, 5), (4, 5), (3, 0)])
def test_wrong_use_is_told(max_hops: int, limit: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        find_routes(Graph(), [], WETH, max_hops, 0, 1, limit)


def test_recorded_pairs_against_brute_force() -> None:
    """A part of the real pair list: the pools between its 14 best connected tokens, all cycles of them."""
    pairs = recorded("ccyanxyz__uniswap-arbitrage-analysis/pairs.json.xz")
    degree: dict[str, int] = {}
    for pair in pairs:
        for side in ("token0", "token1"):
            degree[pair[side]["address"].lower()] = degree.get(pair[side]["address"].lower(), 0) + 1
    chosen = set(sorted(degree, key=lambda name: (-degree[name], name))[:14])
    pools = [
        V2Pool(*(bytes.fromhex(a[2:]) for a in (pair["address"], pair["token0"]["address"], pair["token1"]["address"])),
               3000, pair["reserve0"], pair["reserve1"])
        for pair in pairs
        if {pair["token0"]["address"].lower(), pair["token1"]["address"].lower()} <= chosen
    ]  # fmt: skip
    weth = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
    assert len(pools) > 20
    routes = find_routes(Graph(pools), [pool.address for pool in pools], weth, 3, 0, NO_CAP, NO_LIMIT)
    found = by_pools(routes)
    sizes = [step * 10**power for power in range(3, 22) for step in range(1, 10)]
    cycles = 0
    for path in all_cycles(pools, weth, 3):
        cycles += 1
        assert found.get(tuple(pool.address for pool, _ in path), 0) >= best_gross(path, sizes)
    assert cycles > 50
    for route in routes:
        check_route(Graph(pools), route, weth)
