"""Audits that wait: once a head, not longer than their patience, not more than fit."""

from __future__ import annotations

import pickle

import pytest

from operators.audit import waiting
from operators.audit.messages import Tick
from operators.audit.waiting import Waiting
from tests.unit.audit.samples import HEAD, due, opportunity

FIRST, SECOND = due(opportunity(1)), due(opportunity(2))
AT = HEAD.number


def test_tried_again_at_the_next_head_only() -> None:
    book = Waiting(4)
    assert book.take([Tick(AT), FIRST]) == ([FIRST], [])
    assert book.keep(FIRST)
    assert book.take([SECOND]) == ([SECOND], [])
    assert book.take([Tick(AT + 1)]) == ([FIRST], []) and len(book) == 0


def test_patience_is_counted_in_blocks() -> None:
    book = Waiting(2)
    for height, kept in ((AT, True), (AT + 1, True), (AT + 2, False)):
        book.take([Tick(height), FIRST])
        assert book.keep(FIRST) is kept


def test_without_patience_nothing_waits() -> None:
    book = Waiting(0)
    book.take([Tick(AT), FIRST])
    assert not book.keep(FIRST) and len(book) == 0


def test_the_oldest_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 2)
    book = Waiting(4)
    book.take([Tick(AT), FIRST, SECOND])
    assert book.keep(FIRST) and book.keep(SECOND)
    third = due(opportunity(3))
    assert book.take([third]) == ([third], [FIRST])
    assert book.keep(third)
    assert book.take([Tick(AT + 1)]) == ([SECOND, third], [])


def test_a_restart_keeps_what_waits() -> None:
    book = Waiting(4)
    book.take([Tick(AT), FIRST])
    book.keep(FIRST)
    again = Waiting(4, pickle.loads(pickle.dumps(book.snapshot())))
    assert again.take([Tick(AT + 1)]) == ([FIRST], [])
