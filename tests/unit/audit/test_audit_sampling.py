"""The sample depends on ids alone."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from operators.audit.sampling import sampled, threshold

IDS = [blake2b(n.to_bytes(4, "big"), digest_size=32).digest() for n in range(20_000)]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_the_rate(rate: float) -> None:
    taken = sum(sampled(i, threshold(rate)) for i in IDS)
    # Five standard deviations of a binomial.
    assert abs(taken - rate * len(IDS)) < 5 * (len(IDS) * rate * (1 - rate)) ** 0.5


def test_none_and_all() -> None:
    extremes = [bytes(32), b"\xff" * 32, *IDS]
    assert not any(sampled(i, threshold(0.0)) for i in extremes)
    assert all(sampled(i, threshold(1.0)) for i in extremes)


def test_a_higher_rate_takes_the_same_and_more() -> None:
    low, high = ({i for i in IDS if sampled(i, threshold(rate))} for rate in (0.05, 0.2))
    assert low < high


def test_it_is_these_for_ever() -> None:
    """Recorded: a change would make the audits of a log those of other opportunities."""
    assert [n for n, i in enumerate(IDS[:200]) if sampled(i, threshold(0.02))] == [27, 48]
