"""What a benchmark is told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Settings:
    """`data`: a folder of recorded data, or one that is not there. `quick`: a short run, for trying things out."""

    data: Path
    folder: Path
    quick: bool


@dataclass
class Result:
    """Tables for people, numbers for machines, and sentences on what could not be measured."""

    tables: list[Table] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank). Raises `IndexError` on an empty list."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]
