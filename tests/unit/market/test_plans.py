"""Routes that go into one call together: true on what each leaves to the next, worth more than the best alone, and when there is no such thing."""

from __future__ import annotations

import random

import pytest

from operators.market.candidates import hop_of
from operators.market.plans import INTRINSIC_GAS, Limits, Plan, find_plans
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.search.net import GasModel, Terms
from operators.search.prices import PAR
from operators.search.sizing import Directed, trade
from operators.search.tables import Tables
from schemas.opportunities import cycles_of
from tests.unit.search.markets import WETH, address, token
from tests.unit.search.overlapping import overlapping

E18 = 10**18
GWEI = 10**9
PER_ROUTE = 30_000
LIMITS = Limits(4, 8, 4, 10**7)


def terms(fee_wei: int = GWEI, floor_wei: int = 0) -> Terms:
    return Terms(GasModel(PER_ROUTE, {}), fee_wei, {WETH: PAR}, {WETH: 10**24}, floor_wei)


def plans_of(pools: list[V2Pool], held: Terms, limits: Limits = LIMITS) -> list[Plan]:
    found = find_plans(Tables((WETH,), pools), [pool.address for pool in pools], held, limits)
    return list(found.plans)


def net_of(plan: Plan, held: Terms) -> int:
    return plan.gross - plan.gas * held.fee_wei


def carried_out(plan: Plan, pools: list[V2Pool]) -> int:
    """Each cycle by the pools' own quotes on what the ones before it left. The sum."""
    now: dict[bytes, Pool] = {pool.address: pool for pool in pools}
    earned = 0
    for each in plan.trades:
        again = trade(
            [Directed(now[h.hop.pool.address], h.hop.token_in, h.hop.token_out) for h in each.hops], each.amount_in
        )
        assert [hop.amount_out for hop in again.hops] == [hop.amount_out for hop in each.hops]
        now |= {hop.state.address: hop.state for hop in again.hops}
        earned += again.gross
    return earned


@pytest.mark.parametrize("seed", range(12))
def test_several_are_true_one_after_the_other_and_earn_more_than_any_alone(seed: int) -> None:
    rnd, held, several = random.Random(seed), terms(), 0
    for _ in range(10):
        pools = overlapping(rnd, rnd.choice((1, 2, 3)))
        plans = plans_of(pools, held)
        for number, plan in enumerate(plans):
            assert carried_out(plan, pools) == plan.gross
            assert len(plan.trades) == 1 or number == len(plans) - 1
        if plans and len(plans[-1].trades) > 1:
            several += 1
            *alone, together = plans
            assert 2 <= len(together.trades) <= 4
            assert net_of(together, held) > max(net_of(plan, held) for plan in alone)
            assert together.gas >= INTRINSIC_GAS + sum(each.gas for each in together.trades)
            # What records show of it can be told apart again.
            hops = [hop_of(hop) for each in together.trades for hop in each.hops]
            told = cycles_of(hops)
            assert [len(cycle) for cycle in told] == [len(each.hops) for each in together.trades]
            assert [int(cycle[0].amount_in) for cycle in told] == [each.amount_in for each in together.trades]
    assert several >= 3


def two_apart() -> list[V2Pool]:
    """Two tokens, each cheap in one pool and dear in another: two routes that share nothing."""
    return [
        V2Pool(address(2 * n + m), WETH, token(n + 1), 3000, 100 * E18, (100 + 20 * m) * E18)
        for n in range(2)
        for m in range(2)
    ]


def test_what_shares_nothing_is_added_up() -> None:
    one, other, both = plans_of(two_apart(), terms())
    assert both.gross == one.gross + other.gross
    # The transaction is paid for once.
    assert both.gas == one.gas + other.gas - INTRINSIC_GAS


def test_no_more_than_is_allowed() -> None:
    pools = two_apart()
    for limits in (LIMITS._replace(cycles=1), LIMITS._replace(routes=1), LIMITS._replace(gas=250_000)):
        assert all(len(plan.trades) == 1 for plan in plans_of(pools, terms(), limits))
    assert len(plans_of(pools, terms(), LIMITS._replace(cycles=2))[-1].trades) == 2


def test_a_route_that_only_pays_alone_stays_alone() -> None:
    """Two parallel pools that are equally dear, so little apart that one trade closes the gap."""
    pools = two_apart()[:2]
    (only,) = plans_of(pools, terms())
    # At a fee at which the second cycle does not earn its own gas.
    thin = V2Pool(address(9), WETH, token(1), 3000, 10**15, 12 * 10**14)
    assert all(len(plan.trades) == 1 for plan in plans_of([*pools, thin], terms(fee_wei=100 * GWEI)))
    assert only.trades[0].gross > 0


def test_the_order_of_pools_makes_no_difference() -> None:
    rnd = random.Random(5)
    pools = overlapping(rnd, 3)
    first = plans_of(pools, terms())
    for _ in range(5):
        rnd.shuffle(pools)
        assert plans_of(pools, terms()) == first


def test_routes_of_other_anchors_are_left_to_themselves() -> None:
    """One call earns in one token."""
    usd = token(50)
    pools = two_apart()
    pools += [V2Pool(address(20 + m), usd, token(60), 3000, 100 * E18, (100 + 30 * m) * E18) for m in range(2)]
    held = terms()._replace(prices={WETH: PAR, usd: PAR}, max_position={WETH: 10**24, usd: 10**24})
    found = find_plans(Tables((WETH, usd), pools), [pool.address for pool in pools], held, LIMITS)
    *alone, last = found.plans
    assert {plan.anchor for plan in alone} == {WETH, usd}
    # The dollar's route is the best one and has no other beside it, so nothing is put together.
    assert alone[0].anchor == usd and len(last.trades) == 1
