"""Says on the terminal what the set-up is doing, and keeps what a tool printed in a log file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.runtime import tether

HEARTBEAT_SECONDS = 10.0


class StepFailed(Exception):
    """A set-up step did not work. Carries what to show: what failed, the end of its log, and the way out."""


def say(text: str) -> None:
    """One line for the user, at once."""
    print(f"sluice set-up: {text}", flush=True)


def run_logged(command: Sequence[str], log: Path, environment: Mapping[str, str], cwd: Path, way_out: str) -> None:
    """Run a tool with its output in `log`; every few seconds say that it is alive and what it does now."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            # Tethered: a killed set-up must not leave an installer at work in a folder that the next set-up takes for its own.
            [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
        )
        try:
            _wait_aloud(process, log)
        except BaseException:
            # Ctrl-C: do not leave a half-done installer running behind our back.
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        raise StepFailed(
            f"{' '.join(command[:4])} … ended with {process.returncode}\n{tail(log, 15)}\n{way_out}\nWhole log: {log}"
        )


def _wait_aloud(process: subprocess.Popen[bytes], log: Path) -> None:
    started = time.monotonic()
    while True:
        try:
            process.wait(HEARTBEAT_SECONDS)
            return
        except subprocess.TimeoutExpired:
            now = tail(log, 1).strip()[:90]
            say(f"    … {time.monotonic() - started:3.0f} s  {now}")


def tail(log: Path, lines: int) -> str:
    """The last lines of a log that are not empty."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
