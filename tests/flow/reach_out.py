"""`python -m tests.flow.reach_out python|native PORT`: try to reach a port of this machine, the way Python or native code does."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys


def by_python(port: int) -> None:
    """Raises `OSError` where it cannot be reached."""
    socket.create_connection(("127.0.0.1", port), 2).close()


def by_native_code(port: int) -> None:
    """As a library would, past Python's audit. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)
    if handle < 0 or libc.connect(handle, address, len(address)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    try:
        (by_python if sys.argv[1] == "python" else by_native_code)(int(sys.argv[2]))
        print("reached")
    except OSError as refused:
        print(f"not reached: {refused}")
