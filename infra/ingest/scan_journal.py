"""How far a factory's past has been searched and what was found there: a file of JSON lines that only grows.

A killed search loses at most the line it was writing. Lines name the block they end with by its hash, so that a file of another chain, or
of a branch that is gone, is noticed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

log = logging.getLogger("sluice.ingest")


class FoundPool(NamedTuple):
    """A pool that was announced: its family, its key, what its announcement said besides."""

    family: str
    address: bytes
    seed: bytes


class Searched(NamedTuple):
    """One step: everything up to block `last` is known, and `found` is what came new. `listed` counts what the factory's own list gave
    so far, where the node tells no logs."""

    last: int
    block_hash: bytes
    listed: int
    found: tuple[FoundPool, ...]


class ScanJournal:
    """One factory's file. Held by one process at a time: a second one reads it and keeps what it finds to itself."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """`identity` is what the search depends on; a file with another one is begun anew."""
        self._path = path
        self._identity = dict(identity)
        self._file: IO[str] | None = None
        self.steps: list[Searched] = []

    def open(self) -> ScanJournal:
        """Read what is there."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = file
        except OSError:
            log.warning("%s is in use by another process: what is found now will be searched for again", self._path)
        file.seek(0)
        text = file.read()
        lines = text.splitlines()
        if self._file is None:
            file.close()
        self.steps = _steps(lines, self._identity)
        # What follows the readable lines is the end of a killed writer, or somebody else's.
        if self._file is not None and (len(lines) != len(self.steps) + 1 or not text.endswith("\n")):
            self._rewrite()
        return self

    def keep(self, count: int) -> None:
        """Forget all but the first steps."""
        if count < len(self.steps):
            del self.steps[count:]
            self._rewrite()

    def append(self, step: Searched) -> None:
        """Write down a step."""
        self.steps.append(step)
        if self._file is not None:
            self._file.write(_line(step))
            self._file.flush()

    def _rewrite(self) -> None:
        if self._file is None:
            return
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(self._identity) + "\n")
        self._file.writelines(map(_line, self.steps))
        self._file.flush()

    def close(self) -> None:
        """Let others have the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> ScanJournal:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(step: Searched) -> str:
    found = [[p.family, p.address.hex(), p.seed.hex()] for p in step.found]
    return json.dumps([step.last, step.block_hash.hex(), step.listed, found]) + "\n"


def _steps(lines: Sequence[str], identity: Mapping[str, Any]) -> list[Searched]:
    out: list[Searched] = []
    with contextlib.suppress(ValueError, TypeError, IndexError):
        if not lines or json.loads(lines[0]) != identity:
            return []
        for line in lines[1:]:
            last, block_hash, listed, found = json.loads(line)
            pools = tuple(FoundPool(str(f), bytes.fromhex(a), bytes.fromhex(s)) for f, a, s in found)
            out.append(Searched(int(last), bytes.fromhex(block_hash), int(listed), pools))
    return out
