"""Late or missing: only what was looked for up to ends taken after the wait is missing."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kafka.assembler import Assembler
from infra.kafka.errors import MissingSequence, ReadFailed
from infra.kafka.gap_watch import GapWatch
from infra.kafka.positions import Partition, Position
from schemas.blocks import GOLDEN as BLOCK
from tests.unit.infra.kafka.parts import part

BLOCKS = Partition("blocks", 0)


class _Ends:
    def __init__(self, ends: dict[Partition, int], ready: bool = True) -> None:
        self.ends, self.ready = ends, ready

    def result(self) -> dict[Partition, int]:
        if not self.ends:
            raise ReadFailed("away")
        return self.ends


class _Cluster:
    """Stands for reader and layout: positions read so far, and the ends that the cluster would tell."""

    def __init__(self) -> None:
        self.positions = {BLOCKS: 11}
        self.answer = _Ends({BLOCKS: 20})
        self.asked = 0

    def ask_ends(self, partitions: Any) -> _Ends:
        self.asked += 1
        return self.answer


@pytest.fixture
def watched() -> tuple[Assembler, _Cluster, GapWatch, list[float]]:
    assembler, cluster, now = Assembler(1), _Cluster(), [0.0]
    assembler.add(part(BLOCK, 1, 0, 1), Position("blocks", 0, 10), 10)
    watch = GapWatch(assembler, cluster, cluster, 30.0, clock=lambda: now[0])  # type: ignore[arg-type]
    return assembler, cluster, watch, now


def test_missing_only_after_the_ends_of_then_were_read(watched: Any) -> None:
    _, cluster, watch, now = watched
    watch.check()
    now[0] = 29.0
    watch.check()
    assert cluster.asked == 0
    now[0] = 31.0
    for _ in range(3):
        watch.check()  # asks, learns the ends, finds that they were not read yet
    assert cluster.asked == 1
    cluster.positions[BLOCKS] = 20
    with pytest.raises(
        MissingSequence, match=r"event 0 is missing; the next one there is 1 \(at blocks/0@10\).*blocks/0 to offset 20"
    ):
        watch.check()


def test_a_late_event_starts_the_wait_anew(watched: Any) -> None:
    assembler, cluster, watch, now = watched
    watch.check()
    now[0] = 29.0
    assembler.add(part(BLOCK, 0, 0, 1), Position("blocks", 0, 12), 10)
    assembler.add(part(BLOCK, 3, 0, 1), Position("blocks", 0, 14), 10)
    assert len(assembler.take(10)) == 2
    watch.check()
    now[0] = 31.0
    watch.check()
    assert cluster.asked == 0


def test_nothing_is_missing_while_the_cluster_is_away(watched: Any) -> None:
    _, cluster, watch, now = watched
    cluster.answer = _Ends({})
    cluster.positions[BLOCKS] = 100
    watch.check()
    for _ in range(10):
        now[0] += 31.0
        watch.check()
    assert cluster.asked >= 2


def test_the_answer_is_not_waited_for(watched: Any) -> None:
    _, cluster, watch, now = watched
    cluster.answer = _Ends({BLOCKS: 11}, ready=False)
    watch.check()
    now[0] = 31.0
    for _ in range(5):
        watch.check()
    cluster.answer.ready = True
    watch.check()
    with pytest.raises(MissingSequence):
        watch.check()
