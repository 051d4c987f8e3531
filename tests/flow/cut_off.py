"""`python -m tests.flow.cut_off MODULE [ARGUMENT ...]`: run a module in a process that has no network.

Three walls, each of which would do: a network namespace in which nothing is up (where the machine lets us make one), a system call filter
that ends the process at its first network socket, also one that native code opens (Linux), and Python's audit hook, which names who asked.
What stands is printed as the first line, as JSON. `--by` builds some of them only, to see that each holds by itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import runpy
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

#: Exit status of a module that ended well although Python asked for a socket on the way: somebody swallowed the refusal.
EXIT_ASKED = 86

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_KILL_PROCESS, _ALLOW = 0x8000_0000, 0x7FFF_0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_AF_UNIX = 1
#: Of each machine: its AUDIT_ARCH and the number of `socket`. `io_uring_setup`, which can open sockets unseen, is 425 everywhere.
_SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425


def namespace() -> bool:
    """Leave for a network namespace of our own, in which not even the loopback is up. False where the machine does not let us."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def kernel() -> bool:
    """Have the kernel end this process (SIGSYS) at the first socket that is not a local one. Binds every thread started from now on."""
    if sys.platform != "linux" or platform.machine() not in _SOCKET:
        return False
    arch, socket_call = _SOCKET[platform.machine()]
    # seccomp_data: number at 0, architecture at 4, first argument (low word) at 16. Jumps count from the next instruction.
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 4),
            (_EQUAL, 0, 6, arch),
            (_LOAD, 0, 0, 0),
            (_EQUAL, 4, 0, _IO_URING_SETUP),
            (_EQUAL, 0, 2, socket_call),
            (_LOAD, 0, 0, 16),
            (_EQUAL, 0, 1, _AF_UNIX),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _KILL_PROCESS),
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel reads five machine words, and demands zeros in the unused ones.
    zero = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), described, zero, zero) == 0)


class Audit:
    """Python's own view: every event about sockets is refused, and remembered in case the refusal is swallowed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def build(self) -> bool:
        """Nothing takes an audit hook off again."""
        sys.addaudithook(self._heard)
        return True

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            self.asked.append(f"{event} {arguments!r}\n{''.join(traceback.format_stack(limit=6))}")
            raise PermissionError(f"no network in here: {event}")


def main(arguments: Sequence[str]) -> int:
    """Build the walls, then run the module as if it had been started by itself."""
    audit = Audit()
    walls: dict[str, Callable[[], bool]] = {"namespace": namespace, "kernel": kernel, "audit": audit.build}
    wanted = list(walls)
    rest = list(arguments)
    if rest[:1] == ["--by"]:
        wanted, rest = rest[1].split(","), rest[2:]
    standing = [name for name in wanted if walls[name]()]
    print(json.dumps(standing), flush=True)
    sys.argv = rest
    runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    for asked in audit.asked:
        print(asked, file=sys.stderr)
    return EXIT_ASKED if audit.asked else os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
