"""Every pool is looked at within a day, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tripwire.rotation import Rotation, sample_size


def test_the_sample_is_large_enough_for_a_day() -> None:
    assert sample_size(10_000, 12, 1) == 2  # 7200 blocks a day
    assert sample_size(7_200, 12, 1) == 1
    assert sample_size(100, 12, 4) == 4
    assert sample_size(3, 12, 16) == 3
    assert sample_size(0, 12, 16) == 0
    assert sample_size(1_000_000, 100_000, 0) == 1_000_000


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 43_200), st.integers(0, 8))
def test_a_day_of_samples_has_all_pools(pools: int, block_seconds: int, least: int) -> None:
    addresses = [i.to_bytes(20, "big") for i in range(pools)]
    rotation, size = Rotation(b"\xff" * 20), sample_size(pools, block_seconds, least)
    seen: set[bytes] = set()
    for _ in range(-(-pools // size)):
        seen.update(rotation.next(addresses, size))
    assert seen == set(addresses)
    assert -(-pools // size) <= max(1, 86_400 // block_seconds)


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 200), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=60),
    st.integers(1, 5),
)
def test_nobody_is_overtaken_by_those_who_come_and_go(
    start: set[int], changes: list[tuple[int, bool]], size: int
) -> None:
    """A pool that stays is visited at least once in each round over as many addresses as there ever were."""
    rotation, present = Rotation(), {i.to_bytes(20, "big") for i in start}
    waited = dict.fromkeys(present, 0)
    for number, comes in changes:
        visited = rotation.next(present, size)
        assert len(visited) == len(set(visited)) == min(size, len(present))
        for address in present:
            waited[address] = 0 if address in visited else waited.get(address, 0) + 1
            assert waited[address] * size <= 201
        address = number.to_bytes(20, "big")
        (present.add if comes else present.discard)(address)
        if not comes:
            waited.pop(address, None)


def test_the_cursor_is_all_that_has_to_be_kept() -> None:
    addresses = [bytes([i]) * 20 for i in range(7)]
    one = Rotation()
    one.next(addresses, 3)
    other = Rotation(one.cursor)
    assert [one.next(addresses, 3) for _ in range(5)] == [other.next(addresses, 3) for _ in range(5)]
