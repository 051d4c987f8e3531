"""Forked processes of benchmarks: each repetition begins in the state that the parent has, and ends with its process."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

from tests.bench.own_pages import own_pages

FORK = multiprocessing.get_context("fork")
_SECONDS = 120
#: Bytes that a process has at hand for what it works on, and of each piece of them.
_ROOM, _PIECE = 32 << 20, 32 << 10


class Child:
    """A forked process around a body; ends with it, and with this process."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._process: ForkProcess = FORK.Process(target=work, args=arguments, daemon=True)

    def __enter__(self) -> None:
        self._process.start()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def received(pipe: Connection) -> Any:
    """What a child tells. Raises `TimeoutError` if it tells nothing, and `EOFError` if it ended."""
    if not pipe.poll(_SECONDS):
        raise TimeoutError(f"a process of the benchmark did not answer within {_SECONDS} s")
    return pipe.recv()


def at_home() -> None:
    """Make a forked process like one that has run for long: it copies each page when it is first written to, and gets new ones when it first
    needs more, which the other one has done."""
    gc.collect()
    own_pages()
    _ = [bytearray(_PIECE) for _ in range(_ROOM // _PIECE)]


def answer_of(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work returns in a process of its own, which leaves nothing changed here."""
    ours, theirs = FORK.Pipe(duplex=False)
    with Child(_tell, work, arguments, theirs):
        return received(ours)


def _tell(work: Callable[..., Any], arguments: tuple[Any, ...], told: Connection) -> None:
    told.send(work(*arguments))
