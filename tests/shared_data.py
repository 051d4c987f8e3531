"""The recorded chain data, which lies beside the project and is never part of it."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded data (../shared/data) is not here")


def recorded(path: str) -> Any:
    """The content of a recorded JSON file. Skips the test, saying so, where it is absent."""
    file = DATA / path
    if not file.is_file():
        pytest.skip(f"recorded data is not here: ../shared/data/{path}")
    return json.loads(lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes())
