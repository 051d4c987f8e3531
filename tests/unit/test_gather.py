"""Gathering by seq: complete events come out once and in order, whatever the interleaving."""

from __future__ import annotations

import random

import pytest

from operators.gather import Gather, GatherError


@pytest.mark.parametrize("seed", range(20))
def test_any_interleaving_that_keeps_each_streams_order_completes_in_order(seed: int) -> None:
    rng = random.Random(seed)
    shards, events = 4, 30
    streams = [[(seq, None) for seq in range(events)]] + [
        [(seq, shard) for seq in range(events)] for shard in range(shards)
    ]
    gather: Gather[str, int] = Gather(shards)
    out = []
    while any(streams):
        stream = rng.choice([s for s in streams if s])
        seq, shard = stream.pop(0)
        done = gather.context(seq, f"event {seq}") if shard is None else gather.answer(seq, shard, shard)
        if done is not None:
            out.append(done)
    assert out == [(f"event {seq}", [0, 1, 2, 3]) for seq in range(events)]
    assert gather.idle()


def test_repeated_pieces_and_gaps_are_errors() -> None:
    gather: Gather[str, int] = Gather(1)
    gather.answer(0, 0, 1)
    with pytest.raises(GatherError, match="twice"):
        gather.answer(0, 0, 1)
    gather.context(0, "a")
    gather.context(2, "c")
    with pytest.raises(GatherError, match="completed after"):
        gather.answer(2, 0, 1)
