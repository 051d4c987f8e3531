"""What waits to be compared: nothing is lost over a restart, nothing piles up, and what was passed over is made up for."""

from __future__ import annotations

from operators.pools.base import Found
from operators.pools.uniswap_v2 import V2Pool
from operators.tripwire.backlog import MOST_SAMPLES, Backlog
from operators.tripwire.messages import Mark, Sample, Sampled, TakenOff
from operators.tripwire.tally import Tally


def sampled(number: int, since: int = 1, last: int = 1) -> Sampled:
    address = bytes([number]) * 20
    pool = V2Pool(address, b"\xaa" * 20, b"\xbb" * 20, 3000, 2**111, 7)
    mark = Mark(last, Tally(last, 2**255))
    return Sampled(Found("uniswap_v2", address, b"\x5c" * 20, b"s"), pool, since, mark, Tally(9, 9), Tally(10, 10))


def sample(number: int, *pools: Sampled, shard: int = 0, fork: int = 0, head: int | None = None) -> Sample:
    return Sample(
        number, shard, number, bytes([fork]) * 16 + number.to_bytes(16, "big"), 12 * number, head or number, pools
    )


def test_the_shards_samples_of_a_block_are_one_and_the_oldest_comes_first() -> None:
    messages = [sample(3, sampled(1)), sample(2, sampled(2)), sample(3, sampled(3), shard=1), sample(3, shard=2)]
    due, surplus = Backlog(4).take(messages)
    assert [(s.number, [p.found.address[0] for p in s.pools]) for s in due] == [(2, [2]), (3, [1, 3])]
    assert surplus == []


def test_what_is_kept_comes_again_unless_its_block_goes() -> None:
    backlog = Backlog(4)
    (kept,), _ = backlog.take([sample(3, sampled(1))])
    backlog.keep(kept)
    assert backlog.take([])[0] == [kept]
    backlog.keep(kept)
    assert backlog.take([TakenOff(3, kept.block_hash)])[0] == []


def test_patience_is_counted_from_when_the_sample_was_told() -> None:
    backlog = Backlog(2)
    (early,), _ = backlog.take([sample(3, sampled(1), head=5)])
    assert not backlog.expired(early)
    backlog.take([sample(6)])
    assert not backlog.expired(early)
    backlog.take([sample(7)])
    assert backlog.expired(early)


def test_a_node_that_is_away_for_long_costs_the_oldest_samples() -> None:
    backlog = Backlog(2)
    for number in range(1, MOST_SAMPLES + 4):
        for waiting in backlog.take([sample(number, sampled(1))])[0]:
            backlog.keep(waiting)
    due, surplus = backlog.take([])
    assert (len(due), [s.number for s in surplus]) == (MOST_SAMPLES, [])
    for waiting in due:
        backlog.keep(waiting)
    due, surplus = backlog.take([sample(9999, sampled(1)), sample(10_000, sampled(1))])
    assert [s.number for s in surplus] == [4, 5]


def test_logs_are_compared_from_the_last_comparison_on() -> None:
    backlog = Backlog(2)
    first, second = sampled(1, last=5), sampled(1, last=9)
    backlog.skipped(first)
    backlog.skipped(second)
    assert backlog.mark(sampled(1, last=12)) == first.last
    # Not from before the pool was admitted anew: the tallies began again.
    assert backlog.mark(sampled(1, since=7, last=12)).number == 12
    backlog.compared(second)
    assert backlog.mark(sampled(1, last=12)).number == 12


def test_a_pool_is_found_once_until_it_is_admitted_anew() -> None:
    backlog = Backlog(2)
    assert backlog.news(sampled(1, since=3))
    backlog.found(sampled(1, since=3), 8)
    assert not backlog.news(sampled(1, since=3)) and not backlog.news(sampled(1, since=8))
    assert backlog.news(sampled(1, since=9)) and backlog.news(sampled(2, since=3))


def test_a_restart_goes_on_where_it_was() -> None:
    backlog = Backlog(2)
    (kept,), _ = backlog.take([sample(3, sampled(1), sampled(2), head=4)])
    backlog.keep(kept)
    backlog.skipped(sampled(3, last=5))
    backlog.found(sampled(4), 8)
    backlog.take([sample(6)])
    backlog.keep(kept)
    restarted = Backlog(2, backlog.snapshot())
    assert restarted.snapshot() == backlog.snapshot()
    assert restarted.expired(kept) and not restarted.news(sampled(4))
    assert restarted.mark(sampled(3, last=12)).number == 5
    assert restarted.take([])[0] == [kept]
