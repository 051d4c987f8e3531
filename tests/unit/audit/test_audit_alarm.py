"""The alarm: raised above its share, cleared at another, silent about what is no comparison."""

from __future__ import annotations

import msgspec
import pytest

from operators.audit.alarm import Alarm, AlarmSettings, Change
from schemas.audits import GOLDEN, AuditRecord
from schemas.audits import AuditResult as R

SETTINGS = AlarmSettings(window=10, least=5, raise_share=0.2, clear_share=0.1)


def audit(result: R) -> AuditRecord:
    return msgspec.structs.replace(GOLDEN, result=result)


def feed(alarm: Alarm, results: str) -> list[Change]:
    """`=` is a comparison that agrees, `x` one that differs."""
    found = [alarm.take(audit(R.EQUAL if r == "=" else R.GAS_DIFFERS)) for r in results]
    return [change for change in found if change is not None]


def test_raised_once_above_the_share_and_cleared_at_the_lower_one() -> None:
    alarm = Alarm(SETTINGS)
    assert feed(alarm, "========xx") == [] and alarm.share == 0.2  # not above
    assert feed(alarm, "x") == [Change.RAISED] and alarm.raised
    assert feed(alarm, "xxx") == []  # said once
    # 6 of 10 differ; they leave the window one by one.
    assert feed(alarm, "=====") == [] and alarm.raised
    assert feed(alarm, "===") == [] and alarm.share == 0.2  # between the two shares: as it was
    assert feed(alarm, "=") == [Change.CLEARED] and alarm.share == 0.1
    assert feed(alarm, "x") == [] and alarm.share <= 0.2
    assert feed(alarm, "xx") == [Change.RAISED]


def test_nothing_before_the_least() -> None:
    alarm = Alarm(SETTINGS)
    assert feed(alarm, "xxxx") == []
    assert feed(alarm, "x") == [Change.RAISED]


def test_a_window_below_the_least_is_full_when_it_is_full() -> None:
    assert feed(Alarm(AlarmSettings(3, 20, 0.5, 0.0)), "xxx") == [Change.RAISED]


def test_a_share_of_zero_takes_one_difference() -> None:
    alarm = Alarm(AlarmSettings(5, 1, 0.0, 0.0))
    assert feed(alarm, "===") == [] and feed(alarm, "x") == [Change.RAISED]
    assert feed(alarm, "====") == [] and feed(alarm, "=") == [Change.CLEARED]


@pytest.mark.parametrize("result", [R.NODE_CANNOT, R.HEAD_GONE, R.ENGINE_REFUSED])
def test_what_is_no_comparison_is_no_evidence(result: R) -> None:
    alarm = Alarm(SETTINGS)
    feed(alarm, "=====")
    assert [alarm.take(audit(result)) for _ in range(50)] == [None] * 50
    assert alarm.compared == 5 and alarm.share == 0


@pytest.mark.parametrize("result", [R.SUCCESS_DIFFERS, R.PROFIT_DIFFERS, R.GAS_DIFFERS, R.BASE_FEE_DIFFERS])
def test_every_difference_counts(result: R) -> None:
    alarm = Alarm(AlarmSettings(5, 1, 0.0, 0.0))
    assert alarm.take(audit(result)) is Change.RAISED


def test_a_restart_changes_nothing() -> None:
    whole, parts = Alarm(SETTINGS), Alarm(SETTINGS)
    for result in "===xx=x=xx" * 3 + "=" * 12:
        expected, found = feed(whole, result), feed(parts, result)
        assert found == expected
        parts = Alarm(SETTINGS, parts.snapshot())
    assert not parts.raised
