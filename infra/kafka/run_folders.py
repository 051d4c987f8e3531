"""Folders for brokers that nobody gave a folder: named by the process that uses them, swept when that process is gone."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from infra.toolchain import layout

PREFIX = "kafka-"


def new_run_folder(base: Path = layout.RUN) -> Path:
    """A new folder for this process's broker, after sweeping what dead processes left."""
    sweep(base)
    folder = base / f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    return folder


def sweep(base: Path) -> None:
    """Remove the folders of processes that are gone; their brokers died with them."""
    for folder in base.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
