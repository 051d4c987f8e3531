"""Free ports are free, different, and out of the kernel's range for outgoing connections."""

from __future__ import annotations

import socket

import pytest

from infra.runtime.ports import HIGHEST, LOWEST, accepts, free_port, free_ports


def test_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        assert LOWEST <= port <= HIGHEST and not accepts(port)
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_accepts_sees_a_listener() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert accepts(server.getsockname()[1])


def test_too_many_is_an_error() -> None:
    with pytest.raises(OSError, match="free ports"):
        free_ports(100_000)
