"""Finding and reading recorded files: by their shape, in whatever folder they are."""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import track

_KINDS = (".json", ".json.xz", ".jsonl.xz", ".jsonl")
BUNDLE_SCHEMA = "replay-bundle/1"


class UnreadableFile(Exception):
    """A file of the folder that cannot be read; the message names it."""


def recorded(data: Path) -> list[Path]:
    """All recorded JSON files under the folder, sorted."""
    return sorted(path for path in data.rglob("*") if path.name.endswith(_KINDS) and path.is_file())


def replay_bundles(data: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The replay bundles: blocks with receipts and the truth about their pools."""
    for path, raw in read_all(data, b'"replay-bundle/'):
        content = parse(path, raw)
        if isinstance(content, dict) and content.get("schema") == BUNDLE_SCHEMA:
            yield path, content


def read_all(data: Path, *marks: bytes) -> Iterator[tuple[Path, bytes]]:
    """The files in which at least one of the marks occurs, unpacked. Progress goes to stderr."""
    console = Console(stderr=True)
    paths = recorded(data)
    if not paths:
        return
    for path in track(
        paths, description=f"reading {data.name or data}", console=console, disable=not sys.stderr.isatty()
    ):
        raw = read(path)
        if any(mark in raw for mark in marks):
            yield path, raw


def read(path: Path) -> bytes:
    """A file's bytes, unpacked. Raises `UnreadableFile`."""
    try:
        return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (OSError, lzma.LZMAError) as error:
        raise UnreadableFile(f"{path}: {error}") from None


def parse(path: Path, raw: bytes) -> Any:
    """The file's JSON; of a lines file the list of its lines. Raises `UnreadableFile`."""
    try:
        if ".jsonl" in path.name:
            return [msgspec.json.decode(line) for line in raw.splitlines() if line.strip()]
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:
            # Recordings from Python hold integers beyond 64 bits as plain numbers, and NaN.
            return json.loads(raw)
    except ValueError as error:
        raise UnreadableFile(f"{path}: not JSON: {error}") from None
