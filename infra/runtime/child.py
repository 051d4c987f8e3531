"""A child process that dies with its parent, logs to a file, and says why when it does not come up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from infra.runtime import tether
from infra.runtime.spawner import spawn


class ChildError(RuntimeError):
    """A child process did not start, did not answer in time, or ended by itself; the message carries its last log lines."""


class ChildProcess:
    """One external program, from start to stop. It can be started again after it ended."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        log_path: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        """Describe the program; nothing runs before `start`. `env` replaces the environment, None hands ours on."""
        self.name = name
        self.argv = [os.fspath(part) for part in argv]
        self.log_path = Path(log_path)
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"ChildProcess({self.name!r}, pid={self.pid}, running={self.running})"

    # ---------------------------------------------------------------- state

    @property
    def pid(self) -> int | None:
        """The program's own process id, None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended (negative: by that signal), None while it runs or before the first start."""
        return self._process.poll() if self._process else None

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the log, empty when there is none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - 64 * 1024))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # ---------------------------------------------------------------- life

    def start(self) -> ChildProcess:
        """Start the program; returns at once, see `wait_ready`. The log is appended to."""
        if self.running:
            raise ChildError(f"{self.name} is already running (pid {self.pid})")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._process = spawn(self._popen)
        return self

    def _popen(self) -> subprocess.Popen[bytes]:
        # -I -S: the tether needs nothing but the standard library, and must not be slowed or changed by site packages.
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.argv]
        with self.log_path.open("ab") as log:
            # An own session: Ctrl-C in the terminal reaches us, and we decide in which order things stop.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def wait_ready(self, probe: Callable[[], bool], timeout: float, interval: float = 0.05) -> None:
        """Wait until `probe` answers True. An exception of the probe counts as "not yet".

        Raises ChildError with the log's tail when the program ends first or the time is over.
        """
        deadline = time.monotonic() + timeout
        last: Exception | None = None
        while True:
            if not self.running:
                raise ChildError(self._complaint(f"ended with {self.returncode} before it was ready"))
            try:
                if probe():
                    return
            except Exception as error:
                last = error
            if time.monotonic() >= deadline:
                why = f" (last probe: {last!r})" if last else ""
                raise ChildError(self._complaint(f"did not answer within {timeout:g} s{why}"))
            time.sleep(interval)

    def _complaint(self, what: str) -> str:
        return f"{self.name} {what}. Its log is {self.log_path}; the end of it:\n{self.log_tail() or '(empty)'}"

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program ends by itself and return how."""
        if self._process is None:
            raise ChildError(f"{self.name} was never started")
        return self._process.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the program has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, timeout: float = 10.0) -> int | None:
        """Ask the program to end (SIGTERM), kill it when it has not after `timeout`; returns how it ended."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout)
            self.kill()
        return process.returncode

    def kill(self) -> int | None:
        """End the program now (SIGKILL to it and what it started) and wait until it is gone."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            # The child leads its own process group, so its helpers go with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def __enter__(self) -> ChildProcess:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
