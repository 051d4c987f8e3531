"""A pool whose reading contradicts itself is read again at later blocks, a few times."""

from __future__ import annotations

from operators.ingest.doubts import TRIES, Doubts

A, B = b"\x01" * 20, b"\x02" * 20


def test_at_later_blocks_and_not_for_ever() -> None:
    doubts = Doubts()
    assert doubts.due(A, 0) and A not in doubts
    for number in range(100, 100 + TRIES):
        doubts.doubt(A, number)
        assert A in doubts and B not in doubts
        assert not doubts.due(A, number) and doubts.due(A, number + 1) and doubts.due(B, number)
    doubts.doubt(A, 100 + TRIES)
    # Asked for once more, by a command: from the beginning.
    assert A not in doubts and doubts.due(A, 100 + TRIES)
    doubts.doubt(A, 100 + TRIES)
    assert A in doubts


def test_one_sound_reading_clears_it() -> None:
    doubts = Doubts()
    for _ in range(5):
        for number in range(TRIES):
            doubts.doubt(A, number)
            assert A in doubts
        doubts.sound(A)
        assert A not in doubts and doubts.due(A, 0)


def test_behind_a_reorg_it_is_read_at_the_block_that_comes_instead() -> None:
    doubts = Doubts()
    doubts.doubt(A, 105)
    doubts.doubt(B, 100)
    doubts.reverted(103)
    assert not doubts.due(A, 102) and doubts.due(A, 103)
    assert doubts.due(B, 101)
