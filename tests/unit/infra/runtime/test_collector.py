"""The cycle collector runs rarely while a flow runs, and as before when it has ended."""

from __future__ import annotations

import gc
import threading

import pytest

from infra.runtime.collector import rare_collections


def test_rare_while_it_lasts_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] >= 50_000 and gc.get_freeze_count() > 0
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_also_when_the_body_fails() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), rare_collections():
        raise ZeroDivisionError
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_the_last_of_several_sets_it_back() -> None:
    before, entered, leave = gc.get_threshold(), threading.Event(), threading.Event()

    def longer() -> None:
        with rare_collections():
            entered.set()
            leave.wait(120)

    thread = threading.Thread(target=longer)
    with rare_collections():
        thread.start()
        assert entered.wait(120)
    assert gc.get_threshold() != before
    leave.set()
    thread.join(120)
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0
