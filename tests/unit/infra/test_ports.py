"""Free ports are free, different, and out of the kernel's range for outgoing connections."""

from __future__ import annotations

import socket

import pytest

from infra.runtime.ports import HIGHEST, LOWEST, accepts, free_port, free_ports


def taken(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return True
    return accepts(port)


def test_ports_are_free_and_different() -> None:
    for _ in range(5):
        ports = free_ports(20)
        assert len(set(ports)) == 20
        assert all(LOWEST <= port <= HIGHEST for port in ports)
        # They are not reserved: somebody else on this machine may take one before we look. Not every time.
        if not any(taken(port) for port in ports):
            return
    pytest.fail(f"some of {ports} are in use, and so it was with those before")


def test_accepts_sees_a_listener() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert accepts(server.getsockname()[1])


def test_too_many_is_an_error() -> None:
    with pytest.raises(OSError, match="free ports"):
        free_ports(100_000)
