"""Runs a command that dies with the process that asked for it.

Called as a program: `python tether.py PARENT_PID COMMAND…`. It asks the kernel for SIGKILL on the parent's death and then becomes the
command (`exec`), so the process id the parent sees is the command's own. Standard library only, no import of ours: it has to start fast.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; the wish survives `exec`."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    die_with_parent()
    # The parent may have died before the wish was made; then nobody would ever kill us.
    if os.getppid() != parent:
        sys.exit("the parent process is gone, nothing is started")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
