"""The choice of the engine."""

from __future__ import annotations

import pytest

from operators.simulation import engines, revm_engine
from operators.simulation.engines import EngineUnavailable, describe, make_engine


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineUnavailable, match="choose one of auto, revm, pyrevm"):
        make_engine("geth")


def test_pyrevm_can_always_be_had():
    assert make_engine("pyrevm").name.startswith("pyrevm")
    assert "Cancun" in describe("pyrevm")


def test_auto_takes_the_current_rules_where_they_are_built():
    name = make_engine().name
    assert name.startswith("revm " if revm_engine.available() else "pyrevm")
    assert describe().split()[1] == name.split()[0]


def test_without_the_extension_auto_falls_back_and_revm_says_so(monkeypatch):
    monkeypatch.setattr(engines, "available", lambda: False)
    assert make_engine().name.startswith("pyrevm")
    assert "pyrevm" in describe()
    with pytest.raises(EngineUnavailable, match="make wheel"):
        make_engine("revm")
