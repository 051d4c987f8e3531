"""A child process: starts, answers, logs, stops, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from infra.runtime.child import ChildError, ChildProcess
from infra.toolchain import layout

#: For what comes soon, unless the machine stands still.
PATIENCE_S = 90.0
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def wait_until(condition, timeout: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_life(tmp_path: Path) -> None:
    child = ChildProcess("sleeper", SLEEP, tmp_path / "deep" / "log")
    assert child.pid is None and not child.running and child.returncode is None and child.log_tail() == ""
    child.start()
    child.wait_ready(lambda: "up" in child.log_tail(), timeout=PATIENCE_S)
    assert child.running and psutil.Process(child.pid).cmdline()[1:] == SLEEP[1:]
    assert child.stop() == -signal.SIGTERM
    assert not child.running and gone(child.pid)
    assert child.stop() == -signal.SIGTERM, "stopping twice is harmless"


def test_starts_again_and_appends_to_the_log(tmp_path: Path) -> None:
    child = ChildProcess("sleeper", SLEEP, tmp_path / "log")
    for times in (1, 2):
        child.start()
        child.wait_ready(lambda n=times: child.log_tail().count("up") == n, timeout=PATIENCE_S)
        child.kill()
        assert child.returncode == -signal.SIGKILL


def test_starting_twice_is_an_error(tmp_path: Path) -> None:
    with ChildProcess("sleeper", SLEEP, tmp_path / "log") as child, pytest.raises(ChildError, match="already running"):
        child.start()


def test_early_end_is_told_with_the_log(tmp_path: Path) -> None:
    child = ChildProcess("liar", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path / "log")
    child.start()
    with pytest.raises(ChildError, match=r"(?s)liar ended with 3 before it was ready.*the reason"):
        child.wait_ready(lambda: False, timeout=PATIENCE_S)


def test_deadline_is_told_with_the_last_probe_error(tmp_path: Path) -> None:
    def probe() -> bool:
        raise ConnectionRefusedError("nobody there")

    with (
        ChildProcess("mute", SLEEP, tmp_path / "log") as child,
        pytest.raises(ChildError, match=r"within 0.3 s.*nobody there"),
    ):
        child.wait_ready(probe, timeout=0.3)


def test_unknown_program(tmp_path: Path) -> None:
    child = ChildProcess("ghost", ["/no/such/program"], tmp_path / "log").start()
    with pytest.raises(ChildError, match=r"(?s)ghost ended.*No such file"):
        child.wait_ready(lambda: False, timeout=PATIENCE_S)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    child = ChildProcess("stubborn", [sys.executable, "-c", stubborn], tmp_path / "log").start()
    child.wait_ready(lambda: "up" in child.log_tail(), timeout=PATIENCE_S)
    assert child.stop(timeout=0.3) == -signal.SIGKILL


def test_environment_and_folder_are_handed_on(tmp_path: Path) -> None:
    code = "import os; print(os.environ.get('WORD'), os.getcwd())"
    child = ChildProcess("echo", [sys.executable, "-c", code], tmp_path / "log", env={"WORD": "heard"}, cwd=tmp_path)
    assert child.start().wait(PATIENCE_S) == 0
    assert child.log_tail().strip() == f"heard {tmp_path.resolve()}"


def test_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    # The kernel's parent-death signal belongs to the thread that forked; a start from a short thread must not be a trap.
    child = ChildProcess("sleeper", SLEEP, tmp_path / "log")
    starter = threading.Thread(target=child.start)
    starter.start()
    starter.join()
    time.sleep(0.3)
    assert child.running
    child.kill()


PARENT = """
import sys, time
from infra.runtime.child import ChildProcess
child = ChildProcess("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], sys.argv[1]).start()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_no_orphan_when_the_parent_is_killed(tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(layout.ROOT))
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    assert wait_until(lambda: gone(pid)), "the child outlived its killed parent"


def test_the_tether_starts_nothing_when_the_parent_is_already_gone(tmp_path: Path) -> None:
    from infra.runtime import tether

    witness = tmp_path / "started"
    command = [sys.executable, "-I", "-S", tether.__file__, "1", "/bin/sh", "-c", f"touch {witness}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "parent process is gone" in result.stderr
    assert not witness.exists()
