"""The market view: pools as they will be in the next block, what time changes, and that a resume changes nothing."""

from __future__ import annotations

from operators.graph.messages import PoolUpdate, ShardOutput
from operators.graph.tracked import Needs
from operators.market.view import MarketView
from operators.pools import curve
from operators.pools.base import Pool
from schemas.pools import AccountSlots
from tests.unit.graph.families import TIME, all_families, log

SAMPLES = {sample.pool.FAMILY: sample.pool for sample in all_families()}
PAIR, CURVE, STABLE = (SAMPLES[name] for name in ("uniswap_v2", "curve", "balancer_v2_stable"))
NEEDS = Needs((AccountSlots(b"\x01" * 20, (bytes(32),)),))


def answer(*pools: Pool, full: bool = False, refusal: str = "", needs: Needs | None = NEEDS) -> list[ShardOutput]:
    updates = tuple(PoolUpdate(pool.address, pool, refusal, needs) for pool in pools)
    touched = () if full else tuple(sorted(pool.address for pool in pools))
    return [ShardOutput(0, 0, full, touched, updates, (), (), 0, ())]


def ramping() -> Pool:
    """From 10,000 to 20,000 over 120 seconds."""
    ramp = log(CURVE.address, curve.RAMP_A, data=(10_000, 20_000, TIME, TIME + 120))
    return CURVE.at(TIME).apply(ramp)


def market() -> MarketView:
    """One that routes through the samples' first token."""
    return MarketView(PAIR.tokens[0], PAIR.tokens[:1], {})


def changed(view: MarketView, answers: list[ShardOutput], before: int, after: int) -> list[bytes]:
    """The pools that an event changed, none of which the view refuses."""
    found, faults = view.apply(answers, before, after)
    assert not faults
    return found


def shown(view: MarketView, pool: Pool) -> Pool:
    found = view.tables.get(pool.address)
    assert found is not None
    return found


def out(pool: Pool) -> int:
    return pool.quote(pool.tokens[0], 10**22).amount_out


def test_a_pool_is_shown_as_it_will_be_in_the_next_block() -> None:
    view, pool = market(), ramping()
    assert changed(view, answer(pool), 0, TIME + 12) == [pool.address]
    assert out(shown(view, pool)) == out(pool.at(TIME + 12)) != out(pool)


def test_what_time_alone_changes_is_changed_as_if_by_a_log() -> None:
    view, pool = market(), ramping()
    changed(view, answer(pool, PAIR), 0, TIME + 12)
    for block in range(1, 14):
        before, after = TIME + 12 * block, TIME + 12 * (block + 1)
        moved = changed(view, answer(), before, after)
        # The ramp ends after ten blocks; a pool that stands still is not searched through for the time.
        assert moved == ([pool.address] if before < TIME + 120 else [])
        assert out(shown(view, pool)) == out(pool.at(after))
    assert shown(view, PAIR) is PAIR


def test_a_revert_brings_back_the_time_too() -> None:
    view, pool = market(), ramping()
    changed(view, answer(pool), 0, TIME + 12)
    changed(view, answer(), TIME + 12, TIME + 24)
    assert changed(view, answer(), TIME + 24, TIME + 12) == [pool.address]
    assert out(shown(view, pool)) == out(pool.at(TIME + 12))


def test_a_rate_that_expires_takes_the_pool_off_the_market() -> None:
    view = market()
    changed(view, answer(STABLE), 0, TIME + 12)
    assert shown(view, STABLE).tradable
    assert changed(view, answer(), TIME + 12, TIME + 1999) == []
    assert changed(view, answer(), TIME + 1999, TIME + 2011) == [STABLE.address]
    assert not shown(view, STABLE).tradable


def test_a_resume_shows_and_searches_the_same() -> None:
    lived, resumed, pool = market(), market(), ramping()
    changed(lived, answer(pool, PAIR, STABLE), 0, TIME + 12)
    for block in range(1, 8):
        before, after = TIME + 12 * block, TIME + 12 * (block + 1)
        of_lived = changed(lived, answer(), before, after)
    # The first answer after a resume tells everything, but touches only what its event did.
    assert changed(resumed, answer(pool, PAIR, STABLE, full=True), before, after) == of_lived
    for each in (pool, PAIR, STABLE):
        assert out(shown(resumed, each)) == out(shown(lived, each))
        assert shown(resumed, each).tradable == shown(lived, each).tradable


def test_a_refused_pool_is_not_on_the_market_and_comes_back() -> None:
    view, pool = market(), ramping()
    changed(view, answer(pool), 0, TIME + 12)
    assert changed(view, answer(pool, refusal="bad_log:wrong_length"), TIME + 12, TIME + 24) == []
    assert view.tables.get(pool.address) is None
    assert changed(view, answer(), TIME + 24, TIME + 36) == []
    assert changed(view, answer(pool), TIME + 36, TIME + 48) == [pool.address]
    assert changed(view, [ShardOutput(0, 0, False, (pool.address,), (PoolUpdate(pool.address, None, "", NEEDS),), (), (), 0, ())],
                      TIME + 48, TIME + 60) == []  # fmt: skip
    assert view.tables.get(pool.address) is None


def test_needs_that_are_not_told_again_are_what_they_were() -> None:
    view = market()
    changed(view, answer(PAIR), 0, TIME)
    changed(view, answer(PAIR, needs=None), TIME, TIME)
    assert view.needs_of([PAIR.address, b"\x99" * 20]) == NEEDS.slots
    changed(view, answer(PAIR, needs=Needs(())), TIME, TIME)
    assert view.needs_of([PAIR.address]) == ()
