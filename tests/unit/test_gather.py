"""Gathering by seq: complete events come out once and in order, whatever the interleaving."""

from __future__ import annotations

import random

import pytest

from operators.gather import Gather, GatherError


@pytest.mark.parametrize("last", [None, 6])
@pytest.mark.parametrize("seed", range(30))
def test_any_interleaving_that_keeps_each_streams_order_completes_in_order(seed: int, last: int | None) -> None:
    rng = random.Random(seed)
    shards, first = 4, 0 if last is None else last + 1
    seqs = range(first, first + 30)
    # Who has a part in which event: all in some, nobody in others.
    asked = {seq: sorted(rng.sample(range(shards), rng.choice((0, 0, 1, 2, shards)))) for seq in seqs}
    streams = [[(seq, None) for seq in seqs]]
    streams += [[(seq, shard) for seq in seqs if shard in asked[seq]] for shard in range(shards)]
    gather: Gather[str, int] = Gather(shards, last)
    out = []
    while any(streams):
        stream = rng.choice([s for s in streams if s])
        seq, shard = stream.pop(0)
        if shard is None:
            out += gather.context(seq, f"event {seq}", len(asked[seq]))
        else:
            out += gather.answer(seq, shard, shard)
    assert out == [(f"event {seq}", asked[seq]) for seq in seqs]
    assert gather.idle()
    assert gather.last_seq == seqs[-1]


def test_all_shards_answer_unless_it_is_said_otherwise() -> None:
    gather: Gather[str, int] = Gather(2)
    assert gather.context(5, "a") == []
    assert gather.answer(5, 1, 11) == []
    assert gather.answer(5, 0, 10) == [("a", [10, 11])]


def test_an_event_that_is_complete_waits_for_those_before_it() -> None:
    gather: Gather[str, int] = Gather(1)
    assert gather.context(0, "a") == []
    assert gather.context(1, "b", 0) == []
    assert not gather.idle()
    assert gather.answer(0, 0, 7) == [("a", [7]), ("b", [])]


def test_repeated_pieces_and_gaps_are_errors() -> None:
    gather: Gather[str, int] = Gather(1)
    gather.answer(0, 0, 1)
    with pytest.raises(GatherError, match="twice"):
        gather.answer(0, 0, 1)
    gather.context(0, "a")
    with pytest.raises(GatherError, match="after it was complete"):
        gather.answer(0, 0, 1)
    gather.context(1, "b")
    with pytest.raises(GatherError, match="event 1 arrived twice"):
        gather.context(1, "b")
    with pytest.raises(GatherError, match="event 3 came after event 1"):
        gather.context(3, "d")
