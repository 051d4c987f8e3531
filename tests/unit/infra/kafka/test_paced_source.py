"""A source that waits while there is enough, loses nothing by it, and still drains."""

from __future__ import annotations

from typing import Any

import pytest
from bytewax.inputs import FixedPartitionedSource
from bytewax.testing import TestingSource

from infra.kafka.paced_source import PacedSource
from infra.runtime.drain import Drain


def part_of(source: FixedPartitionedSource[Any, Any]) -> Any:
    (key,) = source.list_parts()
    return source.build_part("step", key, None)


def test_it_waits_and_goes_on_where_it_was() -> None:
    full = [False]
    part = part_of(PacedSource(TestingSource([1, 2, 3]), lambda: full[0], Drain()))
    assert part.next_batch() == [1]
    full[0] = True
    before = part.snapshot()
    assert part.next_batch() == [] and part.next_awake() is not None and part.snapshot() == before
    full[0] = False
    assert part.next_batch() == [2] and part.next_batch() == [3]
    with pytest.raises(StopIteration):
        part.next_batch()


def test_it_drains_while_it_waits() -> None:
    drain = Drain()
    part = part_of(PacedSource(TestingSource([1]), lambda: True, drain))
    assert part.next_batch() == []
    drain.set()
    with pytest.raises(StopIteration):
        part.next_batch()
