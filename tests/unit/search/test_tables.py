"""The tables: what routes are, that all of them are listed, and that nothing but the pools' states shows in the list."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from math import inf, log

import msgspec
import pytest

from operators.pools.base import Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.search import kernels
from operators.search.floors import Floor
from operators.search.store import NONE
from operators.search.tables import Listed, Tables
from tests.unit.search.every_cycle import Compiled, Cycle, every_cycle, profitable_by_pool, steps_of
from tests.unit.search.priced_markets import Market, PricedPool, address, token

A, B, X, Y, Z = (token(number) for number in range(5))
FREE = log(1.0)


def cycles(listed: Iterable[Listed]) -> dict[Cycle, float]:
    """The routes by their legs; each is there once."""
    listed = list(listed)
    found = {tuple(tuple(leg) for leg in route.legs): route.log_price for route in listed}
    assert len(found) == len(listed)
    return found


def pool(number: int, tokens: Sequence[bytes], worth: Sequence[float], tradable: bool = True) -> PricedPool:
    return PricedPool(address(number), tuple(tokens), tuple(worth), FREE, tradable)


def paths(tables: Tables, changed: Iterable[PricedPool], max_hops: int = 4) -> set[tuple[int, ...]]:
    """Routes as the numbers of their pools."""
    listed = tables.routes_through([one.address for one in changed], max_hops)
    return {tuple(int.from_bytes(leg.pool[1:], "big") for leg in route.legs) for route in listed}


# ---------------------------------------------------------------- what a route is


@pytest.mark.parametrize(
    ("anchors", "expected"),
    [((A, B), (3, 2, 1)), ((B, A), (1, 3, 2)), ((X,), (2, 1, 3)), ((Y, B, X), (1, 3, 2)), ((Y,), None)],
)
def test_a_cycle_is_listed_once_from_its_first_anchor(
    anchors: tuple[bytes, ...], expected: tuple[int, ...] | None
) -> None:
    """A to X to B and back gains; the other way round loses."""
    pools = [pool(1, (A, B), (0, 1)), pool(2, (B, X), (0, 1)), pool(3, (X, A), (0, 1))]
    for changed in (pools[:1], pools[1:2], pools[2:], pools, pools[::-1]):
        assert paths(Tables(anchors, pools), changed) == ({expected} if expected else set())


def test_no_token_twice_and_no_anchor_in_the_middle_that_comes_first() -> None:
    # Every pool gains, so each closed walk is a profitable one; the definition alone decides.
    gaining = [
        PricedPool(address(n), pair, (0.0, 0.0), 0.1)
        for n, pair in enumerate([(A, B), (B, X), (X, A), (X, Y), (Y, A), (B, Y)])
    ]
    for anchors in ((A,), (A, B), (B, A), (X, B)):
        tables = Tables(anchors, gaining)
        for max_hops in (2, 3, 4, 5):
            found = cycles(tables.routes_through([one.address for one in gaining], max_hops))
            assert found == pytest.approx(dict(every_cycle(gaining, anchors, max_hops)))
            for legs in found:
                starts = [token_in for _, token_in, _ in legs]
                assert len(set(starts)) == len(starts)
                assert starts[0] == next(anchor for anchor in anchors if anchor in starts)


def test_a_pool_of_many_tokens_is_used_once() -> None:
    """All its directions gain, and the only way back is the one other pool."""
    three = PricedPool(address(1), (A, X, Y), (0, 0, 0), 0.1)
    assert paths(Tables((A,), [three]), [three], 5) == set()
    other = PricedPool(address(2), (A, X), (0, 0), 0.1)
    assert paths(Tables((A,), [three, other]), [three], 5) == {(1, 2), (2, 1)}
    third = PricedPool(address(3), (X, Y), (0, 0), 0.1)
    assert paths(Tables((A,), [three, other, third]), [third], 5) == {(1, 3, 2), (2, 3, 1)}


def test_a_route_and_its_reverse_are_two() -> None:
    gaining = [PricedPool(address(n), pair, (0.0, 0.0), 0.1) for n, pair in enumerate([(A, X), (X, Y), (Y, A)])]
    assert paths(Tables((A,), gaining), gaining) == {(0, 1, 2), (2, 1, 0)}


def test_two_anchors_or_none() -> None:
    with pytest.raises(ValueError, match="anchors"):
        Tables(())
    with pytest.raises(ValueError, match="anchors"):
        Tables((A, B, A))


@pytest.mark.parametrize("max_hops", [1, 6])
def test_hops(max_hops: int) -> None:
    with pytest.raises(ValueError, match="max_hops"):
        Tables((A,)).routes_through([], max_hops)


@pytest.mark.parametrize("price", [inf, float("nan")])
def test_a_price_that_is_none(price: float) -> None:
    """The pool is named, and nothing of what came with it is taken."""
    tables = Tables((A,), [pool(1, (A, X), (0, 0))])
    with pytest.raises(ValueError, match=address(2).hex()):
        tables.put_many([pool(1, (A, X), (5, 0)), pool(2, (A, X), (price, 0))])
    assert tables.get(address(1)) == pool(1, (A, X), (0, 0))
    assert address(2) not in tables


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("anchors", [1, 2, 5])
def test_all_routes_through_every_pool(seed: int, anchors: int) -> None:
    """Against the definition in plain Python, and that against its compiled form."""
    market = Market(seed, 50, 14, anchors, noise=0.003, many=0.15)
    tables = Tables(market.anchors, market.pools)
    for max_hops in (2, 3, 4, 5):
        expected = profitable_by_pool(market.pools, market.anchors, max_hops)
        assert Compiled(steps_of(market.pools), market.anchors).by_pool(max_hops) == expected
        for one in market.pools:
            assert cycles(tables.routes_through([one.address], max_hops)) == expected.get(one.address, {})
        assert max_hops == 2 or expected


@pytest.mark.parametrize("seed", range(6))
def test_routes_through_several_pools_are_listed_once(seed: int) -> None:
    market = Market(seed, 60, 15, noise=0.003, many=0.1)
    tables = Tables(market.anchors, market.pools)
    expected = profitable_by_pool(market.pools, market.anchors, 4)
    for count in (2, 7, 60):
        changed = [one.address for one in market.rnd.sample(market.pools, count)]
        wanted = {cycle: price for one in changed for cycle, price in expected.get(one, {}).items()}
        assert cycles(tables.routes_through([*changed, changed[0], b"unknown"], 4)) == wanted


@pytest.mark.parametrize("seed", range(8))
def test_all_routes_while_the_market_moves(seed: int) -> None:
    """Prices up and down, pools suspended and admitted, dropped and back; the tables against the definition after each step."""
    market = Market(seed, 40, 10, noise=0.003, many=0.15)
    rnd, pools, tables = market.rnd, {one.address: one for one in market.pools}, Tables(market.anchors, market.pools)
    for step in range(60):
        changed = []
        for one in rnd.sample(sorted(pools.values(), key=lambda one: one.address), 5):
            kind = rnd.random()
            if kind < 0.1:
                del pools[one.address]
                tables.drop(one.address)
                continue
            state = one.moved(rnd, 0.02) if kind < 0.9 else msgspec.structs.replace(one, tradable=not one.tradable)
            pools[one.address] = state
            changed.append(state)
        if step % 5 == 0:
            number = rnd.randrange(60)
            if address(number) not in pools:
                pools[address(number)] = market.pool(number)
                changed.append(pools[address(number)])
        tables.put_many(changed)
        expected = profitable_by_pool(pools.values(), market.anchors, 4)
        wanted = {cycle: price for one in changed for cycle, price in expected.get(one.address, {}).items()}
        assert cycles(tables.routes_through([one.address for one in changed], 4)) == wanted
        assert len(tables) == len(pools)
        assert list(tables) == [pools[key] for key in sorted(pools)]


# ---------------------------------------------------------------- nothing else shows


def content(tables: Tables) -> dict[object, object]:
    """All that the tables hold, bit by bit, without the private numbers of tokens, links and arcs."""
    store, names = tables._store, {number: name for name, number in tables._tokens.items()} | {NONE: b""}
    kernels.refresh_all(store, len(tables._tokens))
    held: dict[object, object] = {}
    for name, number in tables._tokens.items():
        for link in range(store.token[number, 0], store.token[number, 0] + store.token[number, 1]):
            if store.price[:, link].max() > -inf:
                held["link", name, names[store.head[link]]] = store.price[:, link].tobytes()
        for rank, anchor in enumerate(tables.anchors):
            for way in (0, 1):
                if store.near[way, number, rank] > -inf:
                    held["near", way, name, anchor] = store.near[way, number, rank].tobytes()
                if store.via[way, number, rank, 0] > -inf:
                    # Of ways with the same price it is not said which comes first: the price is what is used.
                    held["via", way, name, anchor] = store.via[way, number, rank].tobytes()
    for row, floor in enumerate(store.lists.floor):
        length = store.lists.state[row, 0]
        held["list", row] = floor, store.lists.price[row, :length].tobytes()
    for one, place in tables._places.items():
        if one in tables:
            held["arcs", one] = store.offer[list(place.arcs)].tobytes()
    return held


def exact_content(tables: Tables) -> list[bytes]:
    """All arrays as they are, after what is stale was looked up; of lists the part that is in use."""
    kernels.refresh_all(tables._store, len(tables._tokens))
    lists, used = tables._store.lists, tables._store.lists.state[:, 0]
    rows = [(held[row, :count].tobytes()) for held in (lists.price, lists.token) for row, count in enumerate(used)]
    return [array.tobytes() for array in (*tables._store[:-1], lists.floor, used)] + rows


@pytest.mark.parametrize("seed", range(6))
def test_the_tables_are_a_function_of_the_states(seed: int) -> None:
    """Built in one go, in another order, or by way of other states: the same tables and the same list in the same order."""
    market = Market(seed, 60, 15, noise=0.003, many=0.15)
    rnd, pools = market.rnd, list(market.pools)
    first = Tables(market.anchors, pools)
    everything = [one.address for one in pools]
    expected, listed = content(first), list(first.routes_through(everything, 4))
    assert listed
    for _ in range(4):
        rnd.shuffle(pools)
        rnd.shuffle(everything)
        tables = Tables(market.anchors)
        for one in pools:
            tables.put(one.moved(rnd, 0.1))
        for number in range(1000, 1010):
            tables.put(market.pool(number))
        for one in rnd.sample(pools, 20):
            tables.drop(one.address)
        for number in range(1000, 1010):
            tables.drop(address(number))
        tables.put_many(msgspec.structs.replace(one, tradable=False) for one in rnd.sample(pools, 20))
        tables.put_many(pools)
        assert content(tables) == expected
        assert list(tables.routes_through(everything, 4)) == listed


def test_equal_promises_are_ordered_by_hops_and_addresses() -> None:
    """Pools that are all alike: nothing but their addresses tells the routes apart."""
    pools = [
        pool(n, pair, (0, 0))
        for n, pair in enumerate([(A, X), (X, A), (A, X), (A, Y), (X, Y), (Y, X), (B, A), (B, X), (B, Y)])
    ]
    orders = []
    for seed in range(5):
        random.Random(seed).shuffle(pools)
        orders.append([route.legs for route in Tables((A, B), pools).routes_through([one.address for one in pools], 4)])
    assert orders[0] == sorted(orders[0], key=lambda legs: (len(legs), legs))
    assert all(order == orders[0] for order in orders)
    assert len(orders[0]) > 50


@pytest.mark.parametrize("seed", range(6))
def test_an_overlay_is_another_market_and_leaves_no_trace(seed: int) -> None:
    market = Market(seed, 50, 14, noise=0.003, many=0.15)
    rnd, tables = market.rnd, Tables(market.anchors, market.pools)
    everything = [one.address for one in market.pools]
    suspended = msgspec.structs.replace(market.pools[3], tradable=False)
    tables.put(suspended)
    base = {one.address: one for one in (*market.pools, suspended)}
    before, listed = exact_content(tables), list(tables.routes_through(everything, 4))
    for _ in range(5):
        changed = [one.moved(rnd, 0.05) for one in rnd.sample(market.pools, 8)]
        changed += [msgspec.structs.replace(one, tradable=False) for one in rnd.sample(market.pools, 3)]
        upper = [one.moved(rnd, 0.05) for one in rnd.sample(market.pools, 5)]
        with tables.overlay(changed) as under:
            for states in ({}, {one.address: one for one in upper}):
                with under.overlay(states.values()):
                    laid = base | {one.address: one for one in changed} | states
                    expected = profitable_by_pool(laid.values(), market.anchors, 4)
                    names = [one.address for one in changed]
                    wanted = {cycle: price for one in names for cycle, price in expected.get(one, {}).items()}
                    assert cycles(tables.routes_through(names, 4)) == wanted
                    assert all(tables.get(key) == one for key, one in laid.items())
                    with pytest.raises(RuntimeError, match="overlay"):
                        tables.put(market.pools[0])
                    with pytest.raises(RuntimeError, match="overlay"):
                        tables.drop(everything[0])
        assert exact_content(tables) == before
        assert list(tables.routes_through(everything, 4)) == listed
        assert {one.address: one for one in tables} == base


def test_an_overlay_with_new_pools_and_tokens() -> None:
    market = Market(1, 30, 10, noise=0.003)
    tables = Tables(market.anchors, market.pools)
    before = content(tables)
    fresh = [
        pool(900, (A, token(77)), (0, 3)),
        pool(901, (token(77), A), (-3, 1)),
        msgspec.structs.replace(market.pools[2], tokens=(X, token(78)), worth=(0, 0)),
    ]
    for _ in range(3):
        with tables.overlay(fresh):
            assert paths(tables, fresh[:1], 2)
            assert tables.get(address(900)) == fresh[0]
        assert content(tables) == before
        assert address(900) not in tables
        assert tables.get(market.pools[2].address) == market.pools[2]
    expected = profitable_by_pool(market.pools, market.anchors, 4)
    for one in market.pools:
        assert cycles(tables.routes_through([one.address], 4)) == expected.get(one.address, {})


def test_an_overlay_that_fails_leaves_no_trace() -> None:
    market = Market(2, 30, 10)
    tables = Tables(market.anchors, market.pools)
    before = exact_content(tables)
    with pytest.raises(ValueError, match="log prices"), tables.overlay([pool(5, market.pools[5].tokens, (inf, 0))]):
        pass
    with pytest.raises(ZeroDivisionError), tables.overlay([market.pools[5].moved(market.rnd, 1)]):
        raise ZeroDivisionError
    assert exact_content(tables) == before
    tables.put(market.pools[0])


@pytest.mark.parametrize("hubs", [1, 3, 20])
def test_naming_hubs_changes_no_result(hubs: int) -> None:
    market = Market(3, 60, 15, 2, noise=0.003, many=0.15)
    named = [token(number) for number in range(1, 1 + hubs)]
    with_hubs = Tables(market.anchors, market.pools, hubs=named)
    everything = [one.address for one in market.pools]
    for max_hops in (2, 3, 4, 5):
        listed = list(Tables(market.anchors, market.pools).routes_through(everything, max_hops))
        assert list(with_hubs.routes_through(everything, max_hops)) == listed
        assert len(listed) > max_hops - 2
    with with_hubs.overlay([one.moved(market.rnd, 0.02) for one in market.pools[:9]]):
        moved = Tables(market.anchors, with_hubs)
        assert list(with_hubs.routes_through(everything, 4)) == list(moved.routes_through(everything, 4))


# ---------------------------------------------------------------- floors


def v2(number: int, tokens: Sequence[bytes], reserves: Sequence[int]) -> V2Pool:
    return V2Pool(address(number), tokens[0], tokens[1], 3000, reserves[0], reserves[1])


def random_pairs(rnd: random.Random, count: int) -> list[Pool]:
    pools: list[Pool] = []
    for number in range(count):
        pair = rnd.sample((A, B, X, Y, Z, token(6)), 2)
        size = 10 ** rnd.uniform(15, 22)
        pools.append(v2(number, pair, [int(size), int(size * rnd.uniform(0.97, 1.03))]))
    return pools


@pytest.mark.parametrize("seed", range(6))
def test_floors_leave_out_exactly_what_the_bound_says(seed: int) -> None:
    rnd = random.Random(seed)
    pools = random_pairs(rnd, 40)
    tables = Tables((A, B), pools, {"uniswap_v2": 60_000})
    free = {one.address: list(tables.routes_through([one.address], 4)) for one in pools}
    for floor in (Floor(10.0**12), Floor(10.0**15, 10.0**9), Floor(0.0, 10.0**11), Floor(10.0**40)):
        for one in pools:
            kept = list(tables.routes_through([one.address], 4, {A: floor}))
            expected = []
            for route in free[one.address]:
                from_a = route.legs[0].token_in == A
                cost = floor.fixed + floor.gas_price * 60_000 * len(route.legs) if from_a else 0.0
                if cost == 0 or route.gross_bound > cost:
                    expected.append(route._replace(cost=cost))
            assert kept == expected
    assert any(free.values())


def test_gas_of_a_family_can_be_corrected() -> None:
    pools: list[Pool] = [v2(1, (A, X), (10**21, 10**21)), v2(2, (A, X), (10**21, 2 * 10**21))]
    tables = Tables((A,), pools, {"uniswap_v2": 60_000})
    (route,) = tables.routes_through([pools[0].address], 2, {A: Floor(5.0, 2.0)})
    assert route.cost == 5 + 2 * 2 * 60_000
    tables.set_gas("uniswap_v2", 70_000)
    tables.put(v2(3, (A, Y), (10**21, 10**21)))
    (route,) = tables.routes_through([pools[0].address], 2, {A: Floor(5.0, 2.0)})
    assert route.cost == 5 + 2 * 2 * 70_000
