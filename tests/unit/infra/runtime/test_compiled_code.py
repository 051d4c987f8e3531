"""Compiled code of the search is kept in the project, one folder a version of its sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.runtime import compiled_code
from infra.toolchain import layout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").touch()
    for name in compiled_code._COMPILED:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(layout, "ROOT", tmp_path)
    monkeypatch.setattr(layout, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(compiled_code, "_SOURCES", tmp_path)
    monkeypatch.delenv(compiled_code.VARIABLE, raising=False)
    return tmp_path


def test_a_folder_belongs_to_the_sources(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiled_code.keep_in_project()
    assert first is not None
    assert first.is_dir()
    assert project / "cache" / "numba" == first.parent
    assert os.environ[compiled_code.VARIABLE] == str(first)
    assert not compiled_code.is_compiled()
    (first / "search").mkdir()
    (first / "search" / "kernels.1.nbc").touch()
    assert compiled_code.is_compiled()
    monkeypatch.delenv(compiled_code.VARIABLE)
    assert compiled_code.keep_in_project() == first
    assert compiled_code.is_compiled()
    for name in compiled_code._COMPILED:
        monkeypatch.delenv(compiled_code.VARIABLE)
        (project / name).write_text("changed")
        other = compiled_code.keep_in_project()
        assert other != first
        assert not compiled_code.is_compiled()
    assert not first.exists()


def test_a_folder_of_the_user_and_a_place_that_is_no_checkout_stay_as_they_are(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiled_code.VARIABLE, "mine")
    assert compiled_code.keep_in_project() is None
    assert os.environ[compiled_code.VARIABLE] == "mine"
    monkeypatch.delenv(compiled_code.VARIABLE)
    (project / "pyproject.toml").unlink()
    assert compiled_code.keep_in_project() is None
    assert compiled_code.VARIABLE not in os.environ
    assert not compiled_code.is_compiled()
