"""What wei are worth in an anchor."""

from __future__ import annotations

import random

import pytest

from operators.pools.uniswap_v2 import V2Pool
from operators.search.prices import PAR, PROBE_WEI, WeiPrice, pools_between, wei_price
from tests.unit.search.markets import WETH, address, token
from tests.unit.search.recorded_market import USDC, recorded_pools
from tests.unit.search.recorded_market import WETH as REAL_WETH

E18 = 10**18
USD, HUB, OTHER = token(1), token(2), token(3)


def pair(number: int, one: bytes, other: bytes, reserve_one: int, reserve_other: int) -> V2Pool:
    return V2Pool(address(number), one, other, 3000, reserve_one, reserve_other)


def test_the_native_token_is_at_par_and_an_unreachable_one_has_no_price() -> None:
    between = pools_between([pair(1, WETH, USD, 100 * E18, 200_000 * 10**6)])
    assert wei_price(between, WETH, WETH) == PAR
    assert wei_price(between, WETH, OTHER, [USD, HUB]) is None
    assert wei_price(pools_between([]), WETH, USD) is None


def test_the_price_is_what_the_anchor_is_sold_for() -> None:
    """So the fee is on the side of the cost: a wei costs a little more than at the pool's price, in both roundings."""
    pool = pair(1, WETH, USD, 1000 * E18, 2_000_000 * 10**6)
    price = wei_price(pools_between([pool]), WETH, USD)
    assert price is not None
    assert pool.quote(USD, price.amount).amount_out == price.wei < PROBE_WEI
    assert price.of_wei(E18) == pytest.approx(2000 * 10**6, rel=0.01)
    assert price.of_wei(E18) > 2000 * 10**6
    assert price.to_wei(price.of_wei(E18)) >= E18
    assert price.of_wei(1) == 1
    assert WeiPrice(3, 7).to_wei(1) == 2


def test_the_deepest_pool_decides_not_the_one_that_pays_most() -> None:
    deep = pair(1, WETH, USD, 1000 * E18, 2_000_000 * 10**6)
    pushed = pair(2, WETH, USD, 10 * E18, 90_000 * 10**6)
    expected = wei_price(pools_between([deep]), WETH, USD)
    assert wei_price(pools_between([pushed, deep]), WETH, USD) == expected


def test_a_hub_leads_where_no_pool_or_only_a_shallow_one_does() -> None:
    first = pair(1, WETH, HUB, 1000 * E18, 2_000_000 * E18)
    second = pair(2, USD, HUB, 3_000_000 * 10**6, 3_000_000 * E18)
    shallow = pair(3, WETH, USD, E18 // 2, 900 * 10**6)
    by_hub = wei_price(pools_between([first, second]), WETH, USD, [OTHER, HUB])
    assert by_hub is not None
    assert by_hub.of_wei(E18) == pytest.approx(2000 * 10**6, rel=0.02)
    assert wei_price(pools_between([first, second]), WETH, USD) is None
    assert wei_price(pools_between([first, second, shallow]), WETH, USD, [HUB]) == by_hub
    only_shallow = wei_price(pools_between([shallow]), WETH, USD, [HUB])
    assert only_shallow is not None
    assert only_shallow != by_hub


def test_refused_and_empty_pools_set_no_price() -> None:
    refused = V2Pool(address(1), WETH, USD, 3000, 1000 * E18, 2_000_000 * 10**6, "suspended")
    empty = pair(2, WETH, USD, 0, 5)
    tiny = pair(3, WETH, USD, 10, 1)
    assert wei_price(pools_between([refused, empty, tiny]), WETH, USD) is None


def test_order_makes_no_difference_and_recorded_prices_agree() -> None:
    rnd = random.Random(1)
    pools = list(recorded_pools())
    tokens = {held for pool in pools for held in pool.tokens}
    hubs = [*sorted(tokens)[:50], USDC]
    price = wei_price(pools_between(pools), REAL_WETH, USDC, hubs)
    assert price is not None
    assert 1000 * 10**6 < price.of_wei(E18) < 10_000 * 10**6
    for _ in range(3):
        rnd.shuffle(pools)
        rnd.shuffle(hubs)
        assert wei_price(pools_between(pools), REAL_WETH, USDC, hubs) == price
    direct = wei_price(pools_between(pools), REAL_WETH, USDC)
    assert direct is not None
    assert direct.of_wei(E18) == pytest.approx(price.of_wei(E18), rel=0.01)
