"""The table of the classes, whole: every combination of what can be seen, and what follows."""

from __future__ import annotations

from itertools import product

import pytest

from operators.tripwire.classify import Elsewhere, Evidence, classify
from operators.tripwire.tally import Compared, Tally, compare, tally_of
from schemas.findings import Difference
from schemas.logs import Log

E, M, X, U = Compared.EQUAL, Compared.MISSING, Compared.EXTRA, Compared.UNKNOWN
NO, LATER = Elsewhere.NOWHERE, Elsewhere.LATER
WITH, WITHOUT = Elsewhere.EARLIER_WITH_LOGS, Elsewhere.EARLIER_WITHOUT_LOGS

TABLE = [
    (Evidence(True, True, E, E, NO), Difference.STORAGE_CHANGED_WITHOUT_LOG),
    (Evidence(True, True, E, E, WITHOUT), Difference.STORAGE_CHANGED_WITHOUT_LOG),
    (Evidence(True, True, M, M, NO), Difference.MISSED_LOG),
    (Evidence(True, True, M, M, WITH), Difference.MISSED_LOG),
    (Evidence(True, True, M, U, NO), Difference.MISSED_LOG),
    (Evidence(True, True, M, E, NO), Difference.LATE_DELIVERY),
    (Evidence(True, True, E, E, WITH), Difference.LATE_DELIVERY),
    (Evidence(True, True, E, E, LATER), Difference.LATE_DELIVERY),
    (Evidence(True, True, U, U, LATER), Difference.LATE_DELIVERY),
    (Evidence(True, True, U, U, NO), Difference.UNEXPLAINED),
    (Evidence(True, True, U, U, WITHOUT), Difference.UNEXPLAINED),
    (Evidence(True, True, X, X, NO), Difference.NODE_DISAGREES),
    (Evidence(True, False, E, E, NO), Difference.NODE_DISAGREES),
    (Evidence(True, False, M, M, NO), Difference.NODE_DISAGREES),
    (Evidence(False, True, M, M, NO), Difference.UNHANDLED_REORG),
    (Evidence(False, False, X, X, LATER), Difference.UNHANDLED_REORG),
]


@pytest.mark.parametrize(("seen", "difference"), TABLE)
def test_the_table(seen: Evidence, difference: Difference) -> None:
    assert classify(seen) is difference


def test_there_is_a_class_for_everything_and_something_for_every_class() -> None:
    every = {classify(Evidence(*seen)) for seen in product((True, False), (True, False), Compared, Compared, Elsewhere)}
    assert every == set(Difference)


def log(number: int, address: bytes = b"\x01" * 20) -> Log:
    return Log(address, (bytes([number]) * 32,), b"data", 0, number)


def test_tallies_tell_which_side_lacks_what() -> None:
    logs = [log(i) for i in range(6)]
    early, all_of_them = tally_of(logs[:2]), tally_of(logs)
    assert all_of_them.since(early) == tally_of(logs[2:]) == tally_of(reversed(logs[2:]))
    assert compare(tally_of(logs[2:]), tally_of(logs[2:])) is E
    assert compare(tally_of(logs[3:]), tally_of(logs[2:])) is M
    assert compare(tally_of(logs[2:]), tally_of(logs[3:])) is X
    assert compare(tally_of(logs[:5]), tally_of(logs[1:])) is M
    assert compare(Tally(), None) is U
    # Where a log stands is not part of what it says: one that came with another block is the same.
    moved = Log(logs[0].address, logs[0].topics, logs[0].data, 7, 99)
    assert tally_of([moved]) == tally_of([logs[0]])
    assert tally_of([log(1), log(1)]) != tally_of([log(1)])
