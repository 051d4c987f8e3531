"""The graph and hypothetical states over it."""

from __future__ import annotations

import random

import msgspec
import pytest

from operators.search.cycles import find_routes
from operators.search.graph import Graph, GraphView
from tests.unit.search.markets import WETH, address, random_pools, token


def picture(graph: GraphView, pools: range, tokens: range) -> tuple[object, ...]:
    """All that a search could see of a graph."""
    states = tuple(graph.get(address(number)) for number in pools)
    edges = tuple(sorted(graph.edges(token(a), token(b)).items()) for a in tokens for b in tokens)
    return states, edges


def reached(graph: GraphView, number: int) -> set[bytes]:
    return {other for other in graph.neighbours(token(number)) if graph.edges(token(number), other)}


@pytest.mark.parametrize("seed", range(5))
def test_set_and_remove_leave_no_trace(seed: int) -> None:
    rnd = random.Random(seed)
    pools = random_pools(rnd, 40, 8, 1, 100)
    graph = Graph(pools[:20])
    before = picture(graph, range(40), range(8))
    for pool in pools[20:]:
        graph.set(pool)
    assert picture(graph, range(40), range(8)) == picture(Graph(pools), range(40), range(8))
    assert len(graph) == 40
    for pool in pools[20:]:
        graph.remove(pool.address)
    assert picture(graph, range(40), range(8)) == before
    assert [pool.address for pool in graph] == sorted(pool.address for pool in pools[:20])
    with pytest.raises(KeyError):
        graph.remove(pools[20].address)


@pytest.mark.parametrize("seed", range(10))
def test_an_overlay_looks_like_the_changed_graph_and_leaves_the_base(seed: int) -> None:
    rnd = random.Random(50 + seed)
    pools = random_pools(rnd, 40, 8, 1000, 9000)
    graph = Graph(pools[:30])
    before = picture(graph, range(40), range(8))
    later = [
        msgspec.structs.replace(pool, reserve0=rnd.choice((0, rnd.randint(1000, 9000))))
        for pool in rnd.sample(pools[:30], 6)
    ]
    first, second = [*later[:3], *pools[30:35]], [*later[3:], *pools[35:]]

    view = graph.overlay(first).overlay(second)
    changed = Graph(pools[:30])
    for pool in (*first, *second):
        changed.set(pool)

    assert picture(view, range(40), range(8)) == picture(changed, range(40), range(8))
    for number in range(8):
        assert reached(view, number) == reached(changed, number)
    addresses = [pool.address for pool in (*first, *second)]
    assert find_routes(view, addresses, WETH, 3, 0, 2**112, 50) == find_routes(
        changed, addresses, WETH, 3, 0, 2**112, 50
    )
    assert picture(graph, range(40), range(8)) == before


def test_a_pool_that_is_refused_later_loses_its_edges_and_stays_known() -> None:
    (pool,) = (one for one in random_pools(random.Random(1), 1, 2, 10, 20))
    graph = Graph([pool])
    assert graph.edges(pool.token0, pool.token1)
    graph.set(msgspec.structs.replace(pool, refusal="suspended"))
    assert not graph.edges(pool.token0, pool.token1)
    assert not graph.neighbours(pool.token0)
    assert pool.address in graph
    graph.set(pool)
    assert list(graph.edges(pool.token0, pool.token1)) == [pool.address]
