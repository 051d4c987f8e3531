"""The walls around a process without a network are walls: each alone keeps out what it is meant for."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.flow.cut_off import EXIT_ASKED


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Somebody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def reach(port: int, how: str, by: str | None) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A process that tries to reach the port behind the given walls (None: none), and the walls that stood."""
    target = ["tests.flow.reach_out", how, str(port)]
    walls = ["tests.flow.cut_off", "--by", by] if by else []
    done = subprocess.run([sys.executable, "-m", *walls, *target], capture_output=True, text=True, timeout=240)
    return done, json.loads(done.stdout.splitlines()[0]) if by else []


def standing(port: int, how: str, wall: str) -> subprocess.CompletedProcess[str]:
    done, walls = reach(port, how, wall)
    if walls != [wall]:
        pytest.skip(f"this machine does not let us build the wall {wall!r}")
    return done


@pytest.mark.parametrize("how", ["python", "native"])
def test_without_walls_the_port_is_reached(port: int, how: str) -> None:
    assert reach(port, how, None)[0].stdout == "reached\n"


@pytest.mark.parametrize("how", ["python", "native"])
def test_a_namespace_has_no_route_to_anything(port: int, how: str) -> None:
    assert "not reached: [Errno 101]" in standing(port, how, "namespace").stdout


@pytest.mark.parametrize("how", ["python", "native"])
def test_the_kernel_ends_a_process_at_its_first_network_socket(port: int, how: str) -> None:
    assert standing(port, how, "kernel").returncode == -signal.SIGSYS


def test_the_audit_refuses_and_remembers(port: int) -> None:
    done = standing(port, "python", "audit")
    assert "not reached: no network in here" in done.stdout
    assert done.returncode == EXIT_ASKED and "by_python" in done.stderr
