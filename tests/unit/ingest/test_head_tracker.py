"""The head tracker against brute force over random block trees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.head_tracker import Advance, Broken, HeadTracker, Link, NeedHeaders, Stale, TooDeep

GENESIS = Link(100, b"\0" * 32, b"\xff" * 32)


@st.composite
def trees(draw: st.DrawFn) -> list[Link]:
    """A block tree; each block's parent is an earlier one, mostly a recent one, so that long branches come about."""
    blocks = [GENESIS]
    for index in range(1, draw(st.integers(2, 60))):
        parent = blocks[draw(st.integers(max(0, index - 6), index - 1))]
        blocks.append(Link(parent.number + 1, index.to_bytes(32, "big"), parent.hash))
    return blocks


def path(tree: list[Link], head: Link) -> list[Link]:
    by_hash = {b.hash: b for b in tree}
    out = [head]
    while out[-1].parent in by_hash:
        out.append(by_hash[out[-1].parent])
    return out[::-1]


def settle(tracker: HeadTracker, tree: list[Link], head: Link) -> Advance | Stale | TooDeep:
    """Ask until there is a plan, answering from the canonical chain of `head` as a node would."""
    canonical = {b.number: b for b in path(tree, head)}
    branch = [head]
    for _ in range(100):
        plan = tracker.plan(branch)
        if isinstance(plan, NeedHeaders):
            assert plan.first <= plan.last == branch[0].number - 1
            branch = [canonical[n] for n in range(plan.first, plan.last + 1)] + branch
            continue
        assert not isinstance(plan, Broken)
        return plan
    raise AssertionError("it never ends")


@given(trees(), st.data(), st.integers(1, 8))
def test_following_any_heads_gives_the_chain_of_the_head(tree: list[Link], data: st.DataObject, depth: int) -> None:
    tracker = HeadTracker([GENESIS], depth)
    logged = [GENESIS]
    # What is forgotten stays forgotten, also when the chain gets shorter: undo journals downstream are like that.
    floor = 0
    for _ in range(data.draw(st.integers(1, 8))):
        head = data.draw(st.sampled_from(tree))
        wanted = path(tree, head)
        shared = sum(a == b for a, b in zip(logged, wanted, strict=False))
        plan = settle(tracker, tree, head)
        if head in logged[floor:]:
            assert isinstance(plan, Stale)
            assert tracker.above(head) == tuple(reversed(logged[logged.index(head) + 1 :]))
            continue
        if head.number < logged[floor].number:
            assert isinstance(plan, Stale) and tracker.above(head) == ()
            continue
        if shared <= floor:
            assert isinstance(plan, TooDeep)
            assert plan.tip == logged[-1].number
            return
        assert isinstance(plan, Advance)
        assert list(plan.revert) == logged[shared:][::-1]
        assert list(plan.apply) == wanted[shared:]
        for _ in plan.revert:
            tracker = tracker.reverted()
        for link in plan.apply:
            tracker = tracker.extended(link)
        logged = wanted
        assert tracker.tip == head
        floor = max(floor, len(logged) - depth - 1)
        assert list(tracker.chain) == logged[floor:]


def chain(first: int, last: int, salt: int = 0) -> list[Link]:
    out = []
    for n in range(first, last + 1):
        parent = (n - 1, salt) if n > first or salt == 0 else (n - 1, 0)
        out.append(Link(n, repr((n, salt)).encode().ljust(32), repr(parent).encode().ljust(32)))
    return out


def test_a_gap_is_asked_for_at_once() -> None:
    tracker = HeadTracker(chain(0, 10), 64)
    assert tracker.plan(chain(40, 40)) == NeedHeaders(11, 39)


def test_headers_that_do_not_link_are_refused() -> None:
    tracker = HeadTracker(chain(0, 10), 64)
    mixed = [*chain(11, 12), *chain(13, 14, salt=7)]
    assert isinstance(tracker.plan(mixed), Advance)
    assert tracker.plan([*chain(11, 12), *chain(14, 14)]) == Broken(14)


def test_the_deepest_allowed_reorg_and_one_more() -> None:
    tracker = HeadTracker(chain(0, 100), 64)
    assert len(tracker.chain) == 65
    allowed = tracker.plan(chain(37, 101, salt=1))
    assert isinstance(allowed, Advance) and len(allowed.revert) == 64
    assert tracker.plan(chain(36, 101, salt=1)) == TooDeep(36, 100)


def test_a_chain_must_link() -> None:
    with pytest.raises(ValueError, match="follow"):
        HeadTracker([chain(1, 1)[0], chain(3, 3)[0]], 4)
    with pytest.raises(ValueError, match="at least one"):
        HeadTracker([chain(1, 1)[0]], 4).reverted()
