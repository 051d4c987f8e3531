"""One thread that starts all child processes of this process.

The kernel ties "die with your parent" to the *thread* that made the child, not to its process. A child started from a short-lived
thread would be killed when that thread ends. So one daemon thread, alive as long as the process, starts them all.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future

Start = Callable[[], "subprocess.Popen[bytes]"]

_lock = threading.Lock()
_jobs: queue.SimpleQueue[tuple[Start, Future[subprocess.Popen[bytes]]]] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def _serve() -> None:
    """Start children as asked, for ever; a failed start goes back to the one who asked."""
    while True:
        start, answer = _jobs.get()
        try:
            answer.set_result(start())
        except BaseException as error:
            answer.set_exception(error)


def spawn(start: Start) -> subprocess.Popen[bytes]:
    """Call `start` on the spawner thread and return its process."""
    global _thread
    with _lock:
        # A forked copy of this process has the variable but not the thread: it needs one of its own.
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_serve, name="sluice-spawner", daemon=True)
            _thread.start()
    answer: Future[subprocess.Popen[bytes]] = Future()
    _jobs.put((start, answer))
    return answer.result()
