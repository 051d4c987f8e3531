"""The table of builder dialects: data in `dialects.toml`, checked on load."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_TABLE = Path(__file__).with_name("dialects.toml")
DEFAULT = "flashbots"


class CancelMethod(StrEnum):
    """How a builder is told to forget a bundle."""

    METHOD = "method"
    EMPTY_BUNDLE = "empty_bundle"
    NONE = "none"


class SignatureUse(StrEnum):
    """What a builder makes of X-Flashbots-Signature."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class Dialect(BaseModel):
    """One builder's way to speak. `verified_at` is empty until an exchange with the builder has been recorded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    replacement_field: str
    cancel: CancelMethod
    signature: SignatureUse
    requests_per_second: float = Field(gt=0)
    max_bundle_bytes: int = Field(gt=0)
    verified_at: str


@cache
def dialects() -> dict[str, Dialect]:
    """All rows by name."""
    rows = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: Dialect(name=name, **row) for name, row in rows.items()}


def dialect(relay_name: str) -> Dialect:
    """The dialect of a relay, by its name in the configuration; an unknown one is spoken to like Flashbots."""
    table = dialects()
    return table.get(relay_name.lower(), table[DEFAULT])
