"""Reads are values: they can be told apart, compared and used as keys, which is how their answers are found again."""

from __future__ import annotations

from schemas.reads import Code, Read, Reading, Slot, View


def test_reads_of_different_kinds_are_told_apart_by_their_type() -> None:
    place, key = b"\x01" * 20, bytes(32)
    reads: tuple[Read, ...] = (View(place, key), Slot(place, key), Code(place))
    assert [type(read) for read in reads] == [View, Slot, Code]
    assert View(place, key) == View(to=place, data=key)
    # Named tuples with equal fields are equal and hash alike: who keeps answers by read must keep the kinds apart.
    assert View(place, key) == Slot(place, key)


def test_a_reading_is_sent_one_answer_a_read_and_returns_what_it_learned() -> None:
    def reading() -> Reading[int]:
        (first,) = yield (Slot(b"\x01" * 20, bytes(32)),)
        second, third = yield View(b"\x01" * 20, first or b""), Code(b"\x02" * 20)
        return len(second or b"") + len(third or b"")

    running = reading()
    assert next(running) == (Slot(b"\x01" * 20, bytes(32)),)
    assert running.send((b"a",)) == (View(b"\x01" * 20, b"a"), Code(b"\x02" * 20))
    try:
        running.send((b"abc", b"d"))
    except StopIteration as end:
        assert end.value == 4
    else:
        raise AssertionError("the reading did not end")
