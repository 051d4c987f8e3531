"""One flow spread over several processes of this machine: started together, drained together, none left behind."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.runtime.child import ChildProcess
from infra.runtime.drain import Drain
from infra.runtime.ports import free_ports

log = logging.getLogger("sluice.cluster")

_POLL_S = 0.1
#: How long the processes may take to drain, in seconds.
DRAIN_S = 60.0
#: How long the others may take after one died: they wait for it for ever.
_AFTER_DEATH_S = 3.0


class ProcessDied(RuntimeError):
    """A process of the flow ended by itself; the message carries the end of its log."""


def run_processes(name: str, command: Sequence[str], count: int, logs: Path, drain: Drain) -> None:
    """Run `count` processes of a flow until drained.

    `command` starts one; it gets `--process-id` and `--addresses` added. Each logs to `logs/NAME-ID.log` and dies with this
    process. Raises `ProcessDied`.
    """
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
    children = [
        ChildProcess(
            f"{name} process {index}",
            [*command, "--process-id", str(index), "--addresses", addresses],
            logs / f"{name}-{index}.log",
        )
        for index in range(count)
    ]
    try:
        for child in children:
            child.start()
            log.info("%s is pid %s, its log is %s", child.name, child.pid, child.log_path)
        _watch(children, drain)
    finally:
        for child in children:
            child.kill()


def _watch(children: Sequence[ChildProcess], drain: Drain) -> None:
    deadline: float | None = None
    while any(child.running for child in children):
        if deadline is None and drain.wait(_POLL_S):
            # All at once: a flow drains only when the sources of all its processes have ended.
            for child in children:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + DRAIN_S
        dead = next((child for child in children if child.returncode not in (None, 0)), None)
        if dead is not None:
            _settle_down(children)
            raise ProcessDied(
                f"{dead.name} ended with status {dead.returncode}; the end of {dead.log_path}:\n{dead.log_tail()}"
            )
        if deadline is not None:
            if time.monotonic() > deadline:
                stuck = ", ".join(child.name for child in children if child.running)
                raise ProcessDied(
                    f"{stuck} did not drain within {DRAIN_S:g} s and was killed; nothing is lost, the next start goes on from the last epoch"
                )
            time.sleep(_POLL_S)


def _settle_down(children: Sequence[ChildProcess]) -> None:
    deadline = time.monotonic() + _AFTER_DEATH_S
    while any(child.running for child in children) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def this_program(*arguments: str) -> list[str]:
    """The command that runs our command line again with other arguments."""
    return [sys.executable, "-m", "flows.cli.main", *arguments]
