"""A pool is admitted anew when trades around its price would read what its record does not name, and not more often."""

from __future__ import annotations

import msgspec
import pytest

from operators.ingest.drift import BLOCKS, Drift
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.pools.uniswap_v3 import MINT_TOPIC, SWAP_TOPIC, V3Pool
from operators.pools.v3_math.tick_math import sqrt_price_at
from schemas.logs import Log

ADDRESS, TOKENS = b"\x03" * 20, (b"\x0a" * 20, b"\x0b" * 20)
LIQUIDITY = 10**18


def pool(tick: int = 0) -> V3Pool:
    return V3Pool.from_parts(
        address=ADDRESS, token0=TOKENS[0], token1=TOKENS[1], fee_pips=3000, tick_spacing=60, sqrt_price=sqrt_price_at(tick),
        tick=tick, liquidity=LIQUIDITY, ticks=[(-60_000, LIQUIDITY, LIQUIDITY), (60_000, -LIQUIDITY, LIQUIDITY)],
    )  # fmt: skip


def word(number: int) -> bytes:
    return (number % 2**256).to_bytes(32, "big")


def swap(tick: int) -> Log:
    data = word(1) + word(-1) + word(sqrt_price_at(tick)) + word(LIQUIDITY) + word(tick)
    return Log(address=ADDRESS, topics=(SWAP_TOPIC, bytes(32), bytes(32)), data=data, tx_index=0, log_index=0)


def mint(lower: int, upper: int) -> Log:
    topics = (MINT_TOPIC, bytes(32), word(lower), word(upper))
    return Log(address=ADDRESS, topics=topics, data=word(0) + word(5) + word(1) + word(1), tx_index=0, log_index=0)


@pytest.fixture
def drift() -> Drift:
    following = Drift()
    following.admitted(pool(), pool().slots(), 100, known=True)
    return following


def test_small_moves_are_covered(drift: Drift) -> None:
    assert all(drift.block(100 + n, [swap(30 * n)]) == [] for n in range(1, 20))


def test_a_price_that_leaves_the_middle(drift: Drift) -> None:
    assert drift.block(110, [swap(3000)]) == []
    assert drift.block(111, [swap(3200)]) == [ADDRESS]
    moved = pool(3200)
    drift.admitted(moved, moved.slots(), 112, known=True)
    assert drift.block(120, [swap(3300)]) == []


def test_a_new_tick_near_the_price(drift: Drift) -> None:
    assert drift.block(110, [mint(-6000, 6000)]) == []
    assert drift.block(111, [mint(-600, 6000)]) == [ADDRESS]


def test_not_with_every_block(drift: Drift) -> None:
    assert drift.block(101, [mint(-60, 60)]) == [] == drift.block(103, [swap(1)])
    assert drift.block(104, [swap(2)]) == [ADDRESS]


def test_observations_are_used_up_by_and_by(drift: Drift) -> None:
    due = [n for n in range(BLOCKS + 3) if drift.block(101 + n, [swap(n % 2), swap(0)])]
    assert due == [BLOCKS - 1, BLOCKS, BLOCKS + 1, BLOCKS + 2]


def test_after_a_restart_with_the_first_log() -> None:
    drift = Drift()
    drift.admitted(pool(), pool().slots(), 100, known=False)
    assert drift.block(500, []) == []
    assert drift.block(501, [swap(5)]) == [ADDRESS]


def test_after_a_revert_with_the_next_log(drift: Drift) -> None:
    drift.block(110, [swap(5)])
    drift.reverted(111)
    assert drift.block(111, [swap(6)]) == []
    drift.reverted(111)
    assert drift.block(111, [swap(7)]) == [ADDRESS]


def test_a_log_that_cannot_be_applied_is_read_over(drift: Drift) -> None:
    assert drift.block(110, [msgspec.structs.replace(swap(1), data=b"")]) == [ADDRESS]


def test_others_are_left_alone(drift: Drift) -> None:
    pair = V2Pool(b"\x02" * 20, *TOKENS, 3000, 10, 10)
    drift.admitted(pair, pair.slots(), 100, known=False)
    sync = Log(address=pair.address, topics=(SYNC_TOPIC,), data=word(1) + word(2), tx_index=0, log_index=0)
    assert drift.block(110, [sync, msgspec.structs.replace(sync, topics=())]) == []
    drift.dropped(ADDRESS)
    assert drift.block(111, [swap(9000)]) == []
