"""Free ports for local servers."""

from __future__ import annotations

import contextlib
import random
import socket

# Below the range from which the kernel takes ports for outgoing connections. In that range a client that retries against a stopped server
# can be given the server's own port and connect to itself, and then the server cannot come back on it.
LOWEST, HIGHEST = 20_000, 32_000
TRIES = 200


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports nobody listens on, all different. They are not reserved: use them soon."""
    # From the system's own randomness: a seeded test must not make two processes try the same ports.
    chance = random.SystemRandom()
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for _ in range(TRIES):
            if len(ports) == count:
                break
            candidate = chance.randint(LOWEST, HIGHEST)
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                probe.bind((host, candidate))
                ports.append(candidate)
        if len(ports) < count:
            raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST} on {host}")
    return ports


def free_port(host: str = "127.0.0.1") -> int:
    """One port nobody listens on."""
    return free_ports(1, host)[0]


def accepts(port: int, host: str = "127.0.0.1", timeout: float = 0.5) -> bool:
    """Whether somebody listens on the port."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=timeout):
        return True
    return False
