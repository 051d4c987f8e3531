"""Remembers which set-up steps are done, and for which locks; keeps two set-ups from working at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from infra.toolchain import layout
from infra.toolchain.progress import say


def is_done(step: str, key: str) -> bool:
    """Whether the step was finished for exactly this key."""
    try:
        return (layout.STAMPS / step).read_text(encoding="ascii") == key
    except FileNotFoundError:
        return False


def mark_done(step: str, key: str) -> None:
    """Remember that the step is finished; the stamp appears whole or not at all."""
    layout.STAMPS.mkdir(parents=True, exist_ok=True)
    draft = layout.STAMPS / f".{step}.{os.getpid()}"
    draft.write_text(key, encoding="ascii")
    os.replace(draft, layout.STAMPS / step)


def forget(step: str) -> None:
    """Take the stamp away before the step's work begins: an interrupted step is not done."""
    with contextlib.suppress(FileNotFoundError):
        (layout.STAMPS / step).unlink()


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the set-up lock; a second set-up waits. The kernel frees the lock when its holder dies."""
    layout.HOME.mkdir(parents=True, exist_ok=True)
    with (layout.HOME / "setup.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in this folder, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
