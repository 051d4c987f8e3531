"""The set-up: does what is missing, in order, once; survives interruption; says what went wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.toolchain import bootstrap, extension, layout, stamps, steps
from infra.toolchain.progress import StepFailed, run_logged
from tests.unit.infra.test_child import gone


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder for the set-up to work in; the engine is not built for it (`test_extension.py` does)."""
    monkeypatch.setattr(extension, "set_up", lambda: False)
    monkeypatch.setattr(layout, "HOME", tmp_path)
    monkeypatch.setattr(layout, "STAMPS", tmp_path / "stamps")
    return tmp_path


def make_step(house: Path, name: str, done: list[str], key: str = "k") -> steps.Step:
    def work() -> None:
        done.append(name)
        (house / name).touch()

    return steps.Step(name, name, lambda: key, house / name, work)


def test_each_step_once(house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    monkeypatch.setattr(steps, "STEPS", (make_step(house, "a", done), make_step(house, "b", done)))
    bootstrap.set_up()
    bootstrap.set_up()
    assert done == ["a", "b"]
    assert "nothing to do" in capsys.readouterr().out


def test_a_changed_lock_or_a_lost_product_is_done_again(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(steps, "STEPS", (make_step(house, "a", done), make_step(house, "b", done)))
    bootstrap.set_up()
    (house / "a").unlink()
    monkeypatch.setattr(steps, "STEPS", (make_step(house, "a", done), make_step(house, "b", done, key="other")))
    bootstrap.set_up()
    assert done == ["a", "b", "a", "b"]


def test_an_interrupted_step_is_not_done(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    step = make_step(house, "a", done)
    monkeypatch.setattr(steps, "STEPS", (step,))
    bootstrap.set_up()

    def breaks() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "STEPS", (steps.Step("a", "a", lambda: "new", step.product, breaks),))
    with pytest.raises(KeyboardInterrupt):
        bootstrap.set_up()
    assert not stamps.is_done("a", "k") and not stamps.is_done("a", "new")


def test_a_failed_tool_is_told_with_its_log_and_a_way_out(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no route to host'); raise SystemExit(4)"]
    with pytest.raises(StepFailed, match=r"(?s)ended with 4.*no route to host.*check the network.*tool\.log"):
        run_logged(command, tmp_path / "tool.log", os.environ, tmp_path, "check the network")


def test_an_unsupported_python_is_refused_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "SUPPORTED", ((2, 0),))
    with pytest.raises(SystemExit, match=r"needs 3\.11 or 3\.12.*"):
        bootstrap.use_a_supported_python()


def test_a_second_set_up_waits_for_the_first(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from infra.toolchain import layout, stamps\n"
        "layout.HOME = pathlib.Path(sys.argv[1])\n"
        "with stamps.only_one():\n"
        "    print('in', time.monotonic(), flush=True); time.sleep(0.5); print('out', time.monotonic(), flush=True)\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(layout.ROOT))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    spans = []
    for process in both:
        output = process.communicate(timeout=120)[0]
        spans.append(tuple(float(re.search(rf"^{word} ([0-9.]+)$", output, re.MULTILINE)[1]) for word in ("in", "out")))
    first, second = sorted(spans)
    assert first[1] <= second[0]


def test_a_killed_set_up_leaves_no_installer_at_work(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from infra.toolchain.progress import run_logged\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "tool = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)']\n"
        "run_logged(tool, folder / 'log', os.environ, folder, '')\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(layout.ROOT))
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) as setup:
        deadline = time.monotonic() + 90
        while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = int((tmp_path / "log").read_text())
        setup.kill()
    deadline = time.monotonic() + 90
    while not gone(pid):
        assert time.monotonic() < deadline, "the installer outlived the set-up"
        time.sleep(0.02)


def test_the_bootstrap_imports_nothing_but_the_standard_library() -> None:
    code = "import infra.toolchain.bootstrap, infra.toolchain.steps, infra.toolchain.stamps"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(layout.ROOT)!r}); {code}"], check=False
    )
    assert result.returncode == 0
